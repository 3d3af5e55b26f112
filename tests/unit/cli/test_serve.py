"""What `seekd serve` does to its own process."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from seekd.api.settings import default_data_dir
from seekd.app import FirstRequest
from seekd.cli.serve import calm_collector, first_steps


@pytest.mark.parametrize(
    ("needs_key", "currency", "words"),
    [
        (False, None, ["try: curl U/v1/chat/completions -H 'Content-Type"]),
        (
            True,
            None,
            ["seekd keys create --account NAME", 'curl U/v1/chat/completions -H "Authorization: Bearer $KEY"'],
        ),
        (False, "USD", ["seekd accounts top-up open 10;"]),
        (True, "CNY", ["seekd keys create", "seekd accounts top-up NAME 10 --currency CNY;", "Bearer"]),
    ],
)
def test_the_ready_line_says_what_comes_before_a_first_answer(
    needs_key: bool, currency: str | None, words: list[str]
) -> None:
    first = FirstRequest(model="m", needs_key=needs_key, needs_balance_in=currency)
    steps = first_steps("U", first, data_dir=default_data_dir())
    assert all(word in steps for word in words), steps
    assert "--data-dir" not in steps
    assert ("top-up" in steps, "Bearer" in steps) == (currency is not None, needs_key)


def test_commands_of_the_ready_line_name_a_data_directory_of_its_own() -> None:
    first = FirstRequest(model="m", needs_key=True, needs_balance_in="USD")
    assert first_steps("U", first, data_dir=Path("/my data")).count("--data-dir '/my data'") == 2


def test_objects_of_the_start_are_left_out_of_collections() -> None:
    thresholds, num_frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        calm_collector()
        assert gc.get_freeze_count() > num_frozen
        assert gc.get_threshold()[0] > thresholds[0]
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
