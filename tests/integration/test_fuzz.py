"""Every documented operation, asked with generated requests: whatever comes, the server has an answer.

The requests come from the served OpenAPI document, in shape and out of shape. A few each here, always the same ones;
`make fuzz` asks with many fresh ones.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import openapi
from schemathesis.generation import GenerationMode

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import open_connection
from seekd.engine.scripted import say
from seekd.testing.server import ScriptedServer, serve_script
from seekd.wire.openapi import openapi_document

NUM_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
IS_FRESH = "FUZZ_EXAMPLES" in os.environ
PROOFS = ("authorization", "x-api-key")
SECOND_SPELLINGS = ("/anthropic/messages",)
"""Paths whose operations are asked under another path already."""

SCHEMA: Any = openapi.from_dict(openapi_document(version="test"))  # typed for its plugin, which is not loaded
OPERATIONS = {
    operation.label: operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
    if not operation.path.startswith(SECOND_SPELLINGS)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running server, what opens its `/admin` and the rest, and ids that may be changed, by their parameters."""

    server: ScriptedServer
    admin_token: str
    key: str
    ids: Mapping[str, str]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    data_dir = tmp_path_factory.mktemp("fuzz")
    accounts = AccountsSettings(synchronous="normal")  # what a power cut takes is not the question here
    with serve_script(say("Hello"), data_dir=data_dir, accounts=accounts) as running:
        token = (data_dir / "admin-token").read_text(encoding="utf-8").strip()
        connection = open_connection(accounts, data_dir)
        with contextlib.closing(connection):
            registry = Registry(connection)
            key = registry.create_key(registry.create_account("caller").id).secret
            account_id = registry.create_account("changed").id
            key_id = registry.create_key(account_id).view.id
        yield Target(server=running, admin_token=token, key=key, ids={"account_id": account_id, "key_id": key_id})


def _use_known_names(case: Any, ids: Mapping[str, str]) -> None:
    if isinstance(case.body, dict):
        case.body["model"] = "deepseek-chat"
    case.path_parameters = {
        name: ids.get(name, value) for name, value in (case.path_parameters or {}).items()
    } or case.path_parameters


def _sent(case: Any, target: Target, *, proof: str) -> requests.Response:
    """The answer to a case that proves who asks: another or no key would meet the brake, which has tests of its own."""
    arguments = case.as_transport_kwargs(base_url=target.server.url)
    headers = {name: value for name, value in arguments.pop("headers", {}).items() if name.lower() not in PROOFS}
    return requests.request(headers={**headers, "Authorization": f"Bearer {proof}"}, timeout=60, **arguments)


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_generated_request_is_answered_with_a_500(target: Target, label: str) -> None:
    operation = OPERATIONS[label]
    shapes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=NUM_EXAMPLES,
        deadline=None,
        derandomize=not IS_FRESH,
        database=None,
        phases=(Phase.generate,),  # the failing request itself says enough; making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(shapes), knows_names=st.booleans())
    def ask(case: Any, knows_names: bool) -> None:
        if knows_names:  # made-up names end most requests at their first rule
            _use_known_names(case, target.ids)
        response = _sent(case, target, proof=target.admin_token if "/admin" in label else target.key)
        statuses[response.status_code] += 1
        assert response.status_code < 500, f"{response.text}\n{case.as_curl_command()}"
        if response.status_code >= 400:
            assert response.json()["error"]["message"]

    ask()
    assert statuses
    assert 401 not in statuses
    assert httpx.get(f"{target.server.url}/healthz").status_code == 200
