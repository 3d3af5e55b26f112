"""Strict schemas over HTTP, with the bundled model: what was sent holds, or the request is refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest


def _ask(http: httpx.Client, value: dict[str, Any]) -> httpx.Response:
    schema = {"type": "object", "properties": {"items": value}, "required": ["items"], "additionalProperties": False}
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "Write a list of three fruits as JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "list", "schema": schema, "strict": True}},
        "temperature": 0,
        "max_tokens": 200,
    }
    return http.post("/v1/chat/completions", json=body)


@pytest.mark.fault("strict-drops-keywords")
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_strict_list_has_as_many_items_as_its_schema_asks_for(http: httpx.Client, number: int) -> None:
    short = {"type": "string", "minLength": 3, "maxLength": 8}
    answer = _ask(http, {"type": "array", "items": short, "minItems": number, "maxItems": number})
    assert answer.status_code == 200
    items = json.loads(answer.json()["choices"][0]["message"]["content"])["items"]
    assert len(items) == number
    assert all(3 <= len(item) <= 8 for item in items)


@pytest.mark.fault("foreign-refusals")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"type": "array", "items": {}, "uniqueItems": True}, "properties.items.uniqueItems: distinct items cannot be"),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "properties.items: a value may fit two branches",
        ),
    ],
)
def test_what_cannot_be_enforced_is_a_400_that_says_where_and_why(
    http: httpx.Client, value: dict[str, Any], reason: str
) -> None:
    answer = _ask(http, value)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"The response schema cannot be enforced: {reason}")
