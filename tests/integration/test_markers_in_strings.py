"""Strings are as long as their schema says, also where the model would rather end its reasoning."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.integration.conftest import ServerProcess


@pytest.mark.fault("marker-in-a-string")
@pytest.mark.parametrize(
    ("question", "name"),
    [("Write about the sea", "summary"), ("What is a dog?", "summary"), ("A long text please", "story")],
)
def test_a_string_has_its_least_length(server: ServerProcess, question: str, name: str) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": 50}},
        "required": [name],
        "additionalProperties": False,
    }
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 300,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    assert "</think>" not in choice["message"]["content"]
    if choice["finish_reason"] == "stop":
        assert len(json.loads(choice["message"]["content"])[name]) >= 50
