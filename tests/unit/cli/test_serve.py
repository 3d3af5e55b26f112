"""What `seekd serve` does to its own process."""

from __future__ import annotations

import gc

from seekd.cli.serve import calm_collector


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
