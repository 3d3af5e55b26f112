"""`kill -9` of a real server under load: every answer was charged exactly once, and the ledger verifies."""

from pathlib import Path

import pytest

from tests.integration.served_load import Shop


@pytest.mark.fault("killed-under-load")
def test_killing_the_server_or_its_engine_under_load_charges_every_answer_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run(num_rounds=4)
    assert shop.load.num_answers >= 4
