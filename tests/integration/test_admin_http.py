"""`/admin` and the self-service usage view over real HTTP."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.engine.scripted import Cached, Delay, EmitText, Script, say
from seekd.testing.server import ScriptedServer

PRICED = AccountsSettings(
    prices=(PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000"),)
)
BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}


@pytest.fixture
def server(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> ScriptedServer:
    return seekd_server(say("four"), data_dir=tmp_path, accounts=PRICED)


@pytest.fixture
def admin(server: ScriptedServer, tmp_path: Path) -> Iterator[httpx.Client]:
    token = (tmp_path / "admin-token").read_text().strip()
    with httpx.Client(
        base_url=f"{server.url}/admin", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


def test_admin_routes_ask_for_the_token_also_while_the_server_is_open(server: ScriptedServer, tmp_path: Path) -> None:
    assert (tmp_path / "admin-token").stat().st_mode & 0o777 == 0o600
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for path in ("accounts", "keys", "usage"):
            assert httpx.get(f"{server.url}/admin/{path}", headers=headers).status_code == 401


def test_whoever_guesses_the_token_is_slowed(seekd_server: Callable[..., ScriptedServer]) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(failed_auth_free=1, failed_auth_delay_s=0.2))
    started_s = time.monotonic()
    for _ in range(4):
        headers = {"Authorization": "Bearer adm-wrong"}
        assert httpx.get(f"{server.url}/admin/accounts", headers=headers).status_code == 401
    assert time.monotonic() - started_s >= 0.05 + 0.1 + 0.2


def test_an_account_is_made_paid_used_and_reported(admin: httpx.Client, server: ScriptedServer) -> None:
    account = admin.post("/accounts", json={"name": "team", "limits": {"requests_per_minute": 100}}).json()
    key = admin.post("/keys", json={"account_id": account["id"], "name": "ci"}).json()
    assert key["key"].startswith("sk-")
    admin.post(f"/accounts/{account['id']}/top-up", json={"amount": "1.50", "currency": "USD"})
    admin.post(f"/accounts/{account['id']}/grant", json={"amount": "0.10", "currency": "USD", "expires": "30d"})
    headers = {"Authorization": f"Bearer {key['key']}"}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 200
    [shown] = [entry for entry in admin.get("/accounts").json() if entry["id"] == account["id"]]
    assert shown["balances"][0]["total_balance"] == "1.20"
    assert shown["balances"][0]["granted_balance"] == "0.00"
    [line] = admin.get("/usage", params={"by": "account", "account_id": account["id"]}).json()
    assert (line["num_requests"], line["num_completion_tokens"], line["cost"]) == (1, 4, "0.40")
    assert admin.get("/usage", params={"format": "csv"}).text.splitlines()[0].startswith("day,")
    [own] = httpx.get(f"{server.url}/user/usage", params={"by": "model"}, headers=headers).json()
    assert (own["model"], own["num_requests"]) == ("deepseek-chat", 1)
    table = httpx.get(f"{server.url}/user/usage", params={"by": "model", "format": "csv"}, headers=headers)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.text.splitlines()[1].startswith("deepseek-chat,USD,1,")
    assert admin.delete(f"/keys/{key['id']}").json()["revoked_at"]
    assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 401


@pytest.mark.fault("account-disabled")
def test_an_account_is_renamed_disabled_and_a_wrong_top_up_taken_back(
    admin: httpx.Client, server: ScriptedServer
) -> None:
    account = admin.post("/accounts", json={"name": "team"}).json()
    key = admin.post("/keys", json={"account_id": "team"}).json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    paid = {"amount": "150", "currency": "USD", "reference": "invoice 7"}
    admin.post("/accounts/team/top-up", json=paid)
    left = admin.post("/accounts/team/take-back", json={**paid, "amount": "148.5"}).json()
    assert (left["id"], left["balances"][0]["topped_up_balance"]) == (account["id"], "1.50")

    assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 200
    changed = admin.patch("/accounts/team", json={"name": "crew", "is_disabled": True}).json()
    assert (changed["id"], changed["name"], changed["disabled_at"] is None) == (account["id"], "crew", False)
    assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 401
    assert admin.patch("/accounts/crew", json={"is_disabled": False}).json()["disabled_at"] is None
    assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/accounts/none", {"name": "x"}),
        ("PATCH", "/accounts/open", {"is_disabled": True}),
        ("POST", "/accounts/open/take-back", {"amount": "1", "currency": "USD"}),
        ("POST", "/accounts/open/grant", {"amount": "1", "currency": "USD", "reference": "x"}),
        ("POST", "/accounts", {"nme": "x"}),
        ("POST", "/accounts/none/top-up", {"amount": "1", "currency": "USD"}),
        ("POST", "/accounts/none/top-up", {"amount": "-1", "currency": "USD"}),
        ("POST", "/accounts/none/top-up", {"amount": "1", "currency": "EUR"}),
        ("POST", "/keys", {"account_id": "none"}),
        ("DELETE", "/keys/none", None),
        ("GET", "/usage?by=moon", None),
        ("GET", "/usage?by=day&by=day", None),
        ("GET", "/usage?since=yesterday", None),
        ("GET", "/requests/none/cache", None),
        ("DELETE", "/requests/none", None),
    ],
)
def test_a_mistake_is_a_clear_400(admin: httpx.Client, method: str, path: str, body: object) -> None:
    response = admin.request(method, path, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


@pytest.mark.fault("key-that-outlives-the-calendar")
def test_a_key_that_expires_after_the_year_9999_is_refused_and_keys_can_be_listed(admin: httpx.Client) -> None:
    refused = admin.post("/keys", json={"account_id": "open", "expires": "999999w"})
    assert refused.status_code == 400
    assert "9999" in refused.json()["error"]["message"]
    assert admin.get("/keys").json() == []


@pytest.mark.fault("report-by-one-thing-many-times")
def test_a_report_by_the_same_thing_many_times_is_a_400_that_says_what_is_allowed(admin: httpx.Client) -> None:
    refused = admin.get("/usage?" + "&".join(["by=day"] * 3000))
    assert refused.status_code == 400
    assert "day, account, key, model" in refused.json()["error"]["message"]


@pytest.mark.fault("database-refuses-an-admin-request")
@pytest.mark.parametrize(("method", "path"), [("GET", "/usage"), ("GET", "/keys"), ("POST", "/accounts/open/top-up")])
def test_what_the_database_says_of_its_trouble_reaches_no_client(
    admin: httpx.Client, tmp_path: Path, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "books.sqlite3")) as other:
        for table in ("usage", "api_keys", "pools"):
            other.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
    refused = admin.request(method, path, json={"amount": "1", "currency": "USD"})
    assert refused.status_code == 503
    assert "SQL" not in refused.text
    assert "table" not in refused.text
    assert any("no such table" in getattr(record, "reason", "") for record in caplog.records)


def test_every_change_is_written_down_with_its_request_and_can_be_read_by_the_admin_only(
    admin: httpx.Client, server: ScriptedServer, tmp_path: Path
) -> None:
    account = admin.post("/accounts", json={"name": "team"}).json()
    made = admin.post("/keys", json={"account_id": account["id"]})
    admin.delete(f"/keys/{made.json()['id']}")
    entries = admin.get("/audit").json()
    assert [entry["action"] for entry in entries] == ["key.revoke", "key.create", "account.create"]
    assert entries[1]["target"] == made.json()["id"]
    assert entries[1]["actor"] == "admin token from 127.0.0.1"
    assert entries[1]["request_id"] == made.headers["x-request-id"]
    assert made.json()["key"] not in (tmp_path / "audit.jsonl").read_text()
    assert len(admin.get("/audit?limit=1").json()) == 1
    assert admin.get("/audit?limit=x").status_code == 400
    assert httpx.get(f"{server.url}/admin/audit").status_code == 401


ENDLESS: Script = lambda _: (Cached(num_tokens=2), EmitText(text="four"), Delay(delay_s=3600), EmitText(text="never"))  # noqa: E731


def _running(admin: httpx.Client, request_id: str) -> dict[str, Any]:
    """The one request that runs, once it has begun to answer."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        shown = admin.get("/requests").json()
        if [(one["id"], one["state"]) for one in shown] == [(request_id, "decode")]:
            return dict(shown[0])
        time.sleep(0.01)
    raise AssertionError(f"{request_id} is not running: {shown}")


@pytest.fixture
def endless(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> ScriptedServer:
    return seekd_server(ENDLESS, data_dir=tmp_path)


@pytest.fixture
def operator(endless: ScriptedServer, tmp_path: Path) -> Iterator[httpx.Client]:
    token = (tmp_path / "admin-token").read_text().strip()
    with httpx.Client(
        base_url=f"{endless.url}/admin", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


def test_a_stream_that_is_cancelled_ends_with_an_error_frame_and_is_settled(
    endless: ScriptedServer, operator: httpx.Client, tmp_path: Path
) -> None:
    with httpx.stream("POST", f"{endless.url}/v1/chat/completions", json=BODY | {"stream": True}, timeout=30) as stream:
        request_id = stream.headers["x-request-id"]
        shown = _running(operator, request_id)
        page = (Path(__file__).parents[2] / "docs" / "reference" / "admin.md").read_text(encoding="utf-8")
        [example] = json.loads(page.partition("```json\n")[2].partition("```")[0])
        assert list(shown) == list(example)
        age_s = shown.pop("age_s")
        assert shown == {
            "id": request_id,
            "account_id": "open",
            "key_name": "open",
            "model": "deepseek-chat",
            "route": "/v1/chat/completions",
            "stream": True,
            "state": "decode",
            "prompt_tokens": len(endless.engine.requests[0].prompt_token_ids),
            "cached_tokens": 2,
            "completion_tokens": 4,
        }
        assert 0 <= age_s < 30
        assert operator.get(f"/requests/{request_id}/cache").json()["num_used_tokens"] == 2
        assert operator.delete(f"/requests/{request_id}").json()["id"] == request_id
        frames = stream.read().decode().split("\n\n")
    error = json.loads(frames[-2].removeprefix("data: "))["error"]
    assert (error["code"], error["message"]) == (
        "request_cancelled",
        "An operator of this server cancelled the request.",
    )
    assert "[DONE]" not in "".join(frames)
    assert operator.get("/requests").json() == []
    [entry] = operator.get("/audit").json()
    assert (entry["action"], entry["target"], entry["details"]) == (
        "request.cancel",
        request_id,
        {"account_id": "open", "model": "deepseek-chat"},
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "books.sqlite3")) as books:
        deadline = time.monotonic() + 10
        while not (rows := books.execute("SELECT outcome, num_completion_tokens FROM usage").fetchall()):
            assert time.monotonic() < deadline  # a free request's last byte waits for a file, not for the database
            time.sleep(0.01)
    assert rows == [("cancelled", 4)]


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}])
def test_an_answer_in_one_piece_that_is_cancelled_is_a_403_that_no_client_repeats(
    endless: ScriptedServer, operator: httpx.Client, headers: dict[str, str]
) -> None:
    answers: list[httpx.Response] = []

    def ask() -> None:
        url = f"{endless.url}/v1/chat/completions"
        answers.append(httpx.post(url, json=BODY, headers=headers, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    deadline_s = time.monotonic() + 30
    while not (shown := operator.get("/requests").json()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    operator.delete(f"/requests/{_running(operator, shown[0]['id'])['id']}")
    asking.join(30)
    assert answers[0].status_code == 403
    assert answers[0].json()["error"]["code"] == "request_cancelled"
