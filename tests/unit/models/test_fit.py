"""What fits where."""

import pytest

from seekd.models.fit import Fit, Machine, fit

GB = 1000**3


@pytest.mark.parametrize(
    ("need_gb", "gpu_gb", "expected"),
    [
        (8, 0, Fit.YES),
        (9, 0, Fit.TIGHT),
        (11, 0, Fit.NO),
        (8, 12, Fit.GPU),
        (18, 12, Fit.SPLIT),
        (21, 12, Fit.TIGHT),
        (23, 12, Fit.NO),
    ],
)
def test_a_model_runs_where_its_memory_is(need_gb: int, gpu_gb: int, expected: Fit) -> None:
    assert fit(need_gb * GB, Machine(memory_bytes=10 * GB, gpu_bytes=gpu_gb * GB)) is expected
