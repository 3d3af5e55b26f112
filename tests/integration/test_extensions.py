"""The examples of the page about extensions, installed and used; guards and redactors have files of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from seekd.accounts.prices import PriceQuestion, Pricing
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.types import Price
from seekd.engine.scripted import say
from seekd.errors import ConfigError
from seekd.extensions import ExtensionPoint, load_extension
from seekd.testing.server import serve_script
from tests.extensions import example, install
from tests.integration.conftest import StartServer

PRICES = (PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1", output="1"),)
BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
MIDNIGHT_MS = 1_700_006_400_000
HOUR_MS = 3_600_000


def _question(account_id: str, hour: int) -> PriceQuestion:
    table: Mapping[str, Price] = {"USD": Price(hit_micros=2, miss_micros=20, output_micros=200)}
    return PriceQuestion(model="m", account_id=account_id, at_ms=MIDNIGHT_MS + hour * HOUR_MS, table=table)


def test_the_pricing_of_the_page_says_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points = {"seekd.pricings": "night = night_price:NightPrice"}
    install(tmp_path, monkeypatch, module="night_price", code=example("night_price"), entry_points=entry_points)
    pricing: Pricing = load_extension(ExtensionPoint.PRICINGS, "night")
    assert pricing.prices(_question("a", 12)) == _question("a", 12).table
    assert pricing.prices(_question("a", 3)) == {"USD": Price(hit_micros=1, miss_micros=10, output_micros=100)}
    assert pricing.prices(_question("acct_night_shift", 12)) == {}


def test_a_server_asks_the_pricing_of_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "class Free:\n    def prices(self, question):\n        return {}\n"
    place = tmp_path / "package"
    place.mkdir()
    install(place, monkeypatch, module="all_free", code=code, entry_points={"seekd.pricings": "free = all_free:Free"})
    for pricing, status in ((None, 402), ("free", 200)):
        accounts = AccountsSettings(prices=PRICES, pricing=pricing)
        with serve_script(say("x"), data_dir=tmp_path / str(pricing), accounts=accounts) as server:
            assert httpx.post(f"{server.url}/chat/completions", json=BODY).status_code == status
    with (
        pytest.raises(ConfigError, match="no extension 'none'"),
        serve_script(say("x"), data_dir=tmp_path / "none", accounts=AccountsSettings(pricing="none")),
    ):
        pass


def test_the_router_of_the_page_chooses_and_the_answer_says_so(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "package"
    place.mkdir()
    entry_points = {"seekd.routers": "small_first = small_first:SmallFirst"}
    install(place, monkeypatch, module="small_first", code=example("small_first"), entry_points=entry_points)
    config = tmp_path / "seekd.toml"
    config.write_text(
        '[model]\nrouter = "small_first"\n[models.small]\nsource = "bundled"\n[models.large]\nsource = "bundled"\n'
    )
    path = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
    server = start_server("--config", str(config), PYTHONPATH=path).wait_until_ready()
    short = httpx.post(f"{server.url}/chat/completions", json={**BODY, "model": "large", "max_tokens": 5}, timeout=60)
    assert (short.status_code, short.headers.get("x-seekd-model")) == (200, "small")
    assert short.json()["model"] == "large"
    long = httpx.post(f"{server.url}/chat/completions", json={**BODY, "model": "large", "max_tokens": 201}, timeout=60)
    assert (long.status_code, long.headers.get("x-seekd-model")) == (200, None)
