"""Pages of other origins ask seekd as a real browser lets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from seekd.accounts.settings import AccountsSettings
from seekd.engine.scripted import say
from seekd.testing import ScriptedServer

Serve = Callable[..., ScriptedServer]

# What the SDKs send from a page, and what the page reads: the status and the first letters, or that it may not read.
ASK = """async ([url, method]) => {
  const body = {model: "deepseek-chat", stream: true, messages: [{role: "user", content: "Hi"}]};
  const headers = {"authorization": "Bearer none", "content-type": "application/json", "x-stainless-os": "Unknown",
    "anthropic-dangerous-direct-browser-access": "true", "x-seekd-dialect": "hosted"};
  try {
    const response = await fetch(url, {method, headers, body: method === "POST" ? JSON.stringify(body) : undefined});
    return [response.status, (await response.text()).slice(0, 5)];
  } catch (error) {
    return error.name;
  }
}"""
UNREADABLE = "TypeError"


def _page_of(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    return page


def test_a_page_of_an_allowed_origin_reads_answers_and_errors(
    seekd_server: Serve, context: BrowserContext, tmp_path: Path
) -> None:
    place = seekd_server(say("x"), data_dir=tmp_path / "page").url  # any page that is no seekd of ours
    allowed = AccountsSettings(allowed_origins=(place.replace("127.0.0.1", "localhost"),))
    url = seekd_server(say("x"), accounts=allowed).url
    for address in (place, place.replace("127.0.0.1", "localhost")):
        page = _page_of(context, f"{address}/livez")
        assert page.evaluate(ASK, [f"{url}/v1/chat/completions", "POST"]) == [200, "data:"]
        assert page.evaluate(ASK, [f"{url}/v1/responses", "POST"])[0] == 400
        assert page.evaluate(ASK, [f"{url}/v1/models/none", "GET"])[0] == 404
        assert page.evaluate(ASK, [f"{url}/v1/models", "DELETE"])[0] == 405
        assert page.evaluate(ASK, [f"{url}/admin/keys", "GET"]) == UNREADABLE


@pytest.mark.parametrize(("allowed", "may_read"), [(("null",), True), ((), False)])
def test_a_page_that_was_opened_as_a_file_reads_where_null_is_allowed(
    seekd_server: Serve, context: BrowserContext, tmp_path: Path, allowed: tuple[str, ...], may_read: bool
) -> None:
    url = seekd_server(say("x"), accounts=AccountsSettings(allowed_origins=allowed)).url
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><title>A page</title>")
    answer = _page_of(context, file.as_uri()).evaluate(ASK, [f"{url}/v1/chat/completions", "POST"])
    assert answer == ([200, "data:"] if may_read else UNREADABLE)
