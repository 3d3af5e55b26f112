from pathlib import Path

import pytest

from seekd.accounts.settings import AccountsSettings, books_path
from seekd.accounts.types import Limits
from seekd.config import describe, load
from seekd.errors import ConfigError
from seekd.settings import Settings

FILE = """
[accounts]
database_url = "postgresql://seekd:secret@db/books"
official_prices = true
currency_order = ["CNY"]
key_limits = { requests_per_minute = 60 }
idempotency_max_body = "1MiB"

[accounts.model_limits.deepseek-chat]
max_concurrency = 4

[[accounts.prices]]
model = "mine"
currency = "USD"
hit = "0.1"
miss = "1"
output = "2"
"""


def test_everything_can_be_written_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text(FILE)
    loaded = load(Settings, file=file, environment={})
    accounts = loaded.settings.accounts
    assert accounts.key_limits == Limits(requests_per_minute=60)
    assert accounts.model_limits == {"deepseek-chat": Limits(max_concurrency=4)}
    assert [(price.model, price.hit) for price in accounts.prices] == [("mine", "0.1")]
    assert (accounts.currency_order, accounts.idempotency_max_body) == (("CNY",), 1024**2)
    assert not any("secret" in str(value) for _, value, _ in describe(loaded))


@pytest.mark.parametrize(
    "wrong", ['synchronous = "off"', 'default_currency = "EUR"', 'prices = [{ model = "m" }]', "hold_wait_s = 'long'"]
)
def test_a_value_that_makes_no_sense_stops_the_start(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text(f"[accounts]\n{wrong}\n")
    with pytest.raises(ConfigError, match=wrong.split()[0]):
        load(Settings, file=file, environment={})


def test_by_default_everything_is_free_unlimited_and_in_a_file() -> None:
    accounts = AccountsSettings()
    assert not accounts.official_prices
    assert accounts.prices == ()
    assert accounts.key_limits.is_unlimited
    assert accounts.database_url is None
    assert books_path(Path("/data")) == Path("/data/books.sqlite3")
