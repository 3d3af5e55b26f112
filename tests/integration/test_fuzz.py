"""Every documented operation, asked with generated requests: whatever comes, the server has an answer.

The requests come from the served OpenAPI document, in shape and out of shape. A few each here, always the same ones;
`make fuzz` asks with many fresh ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import openapi
from schemathesis.generation import GenerationMode

from seekd.accounts.settings import AccountsSettings
from seekd.engine.scripted import say
from seekd.testing.server import ScriptedServer, serve_script
from seekd.wire.openapi import openapi_document

NUM_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
IS_FRESH = "FUZZ_EXAMPLES" in os.environ
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
    """A running server, and what opens its `/admin`."""

    server: ScriptedServer
    admin_token: str


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    data_dir = tmp_path_factory.mktemp("fuzz")
    accounts = AccountsSettings(synchronous="normal")  # what a power cut takes is not the question here
    with serve_script(say("Hello"), data_dir=data_dir, accounts=accounts) as running:
        yield Target(server=running, admin_token=(data_dir / "admin-token").read_text(encoding="utf-8").strip())


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_generated_request_is_answered_with_a_500(target: Target, label: str) -> None:
    operation = OPERATIONS[label]
    shapes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    num_asked = 0

    @settings(
        max_examples=NUM_EXAMPLES,
        deadline=None,
        derandomize=not IS_FRESH,
        database=None,
        phases=(Phase.generate,),  # the failing request itself says enough; making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(shapes), knows_a_model=st.booleans())
    def ask(case: Any, knows_a_model: bool) -> None:
        nonlocal num_asked
        if knows_a_model and isinstance(case.body, dict):
            case.body["model"] = "deepseek-chat"  # a made-up name ends most requests at their first rule
        headers = {"Authorization": f"Bearer {target.admin_token}"} if "/admin" in label else {}
        response = case.call(base_url=target.server.url, headers=headers, timeout=60)
        num_asked += 1
        assert response.status_code < 500, f"{response.text}\n{case.as_curl_command()}"
        if response.status_code >= 400:
            assert response.json()["error"]["message"]

    ask()
    assert num_asked > 0
    assert httpx.get(f"{target.server.url}/healthz").status_code == 200
