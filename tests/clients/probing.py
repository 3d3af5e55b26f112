"""How a client behaves under each fault of the test kit. Standard library only, as `checks`.

A client's probe defines how to ask and calls `probe`, which prints one line of JSON for each fault, streamed and whole.
The environment names a server with a kit (`SEEKD_KIT_URL`).
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Callable

URL = os.environ.get("SEEKD_KIT_URL", "")
FAULTS = tuple(os.environ.get("SEEKD_FAULTS", "").split())
TEXT = "Grüße aus Köln: everything is well, and the answer is forty-two."
CITY = {"city": "Paris"}
TOOL = {"name": "get_weather", "description": "Get the weather", "parameters": {"type": "object", "properties": {}}}
TIMEOUT_S = 1.0
QUESTION = "How are you?"

Ask = Callable[[bool, bool], str]
"""Asks, streamed or not, with the tool or not; returns the text, or the arguments of the call as JSON."""


def probe(ask: Ask, *, ways: tuple[bool, ...] = (True, False)) -> None:
    """Ask under every fault."""
    for name in FAULTS:
        is_call = name == "cut-arguments"
        for is_stream in ways:
            _prepare(name, is_call=is_call)
            expected = json.dumps(CITY) if is_call else TEXT
            sys.stdout.write(f"{json.dumps([name, is_stream, _outcome(ask, is_stream, is_call, expected)])}\n")
            sys.stdout.flush()


def _outcome(ask: Ask, is_stream: bool, is_call: bool, expected: str) -> str:
    try:
        text = ask(is_stream, is_call)
    except Exception as error:  # the client's own class is what is looked for
        return type(error).__name__
    if text == expected:
        return "whole"
    if not text:
        return "empty"
    return "part" if expected.startswith(text) else "other text"


def _prepare(name: str, *, is_call: bool) -> None:
    said = {"tool_calls": [{"name": "get_weather", "arguments": CITY}]} if is_call else {"text": TEXT}
    fault = f"{name}; delay_s=4" if name == "slow-start" else name
    _post("reset", {})
    _post("replies", {"reply": [{**said, "fault": fault}]})


def _post(action: str, body: object) -> None:
    request = urllib.request.Request(f"{URL}/_seekd/{action}", json.dumps(body).encode(), method="POST")
    urllib.request.urlopen(request, timeout=10).close()
