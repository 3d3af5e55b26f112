"""No body, however odd, is anything but answered or refused: nothing else than seekd's own errors comes out."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seekd.errors import SeekdError
from seekd.prompt.types import Renderable
from seekd.wire.chat import parse_chat
from seekd.wire.completions import parse_completion
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.failures import failure_response
from seekd.wire.messages import parse_messages
from seekd.wire.responses import parse_responses
from seekd.wire.tokenize import parse_tokenize
from tests.formats import V4, V41
from tests.wire.bodies import as_sent, chat_bodies, message_bodies, response_bodies

Parse = Callable[[bytes, Dialect], Renderable]

_junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "f", "user", "function", "auto"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "role", "type", "function", "content", "function_call"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "function", "developer"])},
        optional={"content": _junk, "function_call": _junk, "name": _junk, "prefix": _junk},
    ),
    max_size=3,
)
_odd_chat = st.fixed_dictionaries(
    {"model": st.sampled_from(["deepseek-chat", "deepseek-reasoner"])},
    optional={
        "messages": st.one_of(_messages, _junk),
        "functions": _junk,
        "function_call": _junk,
        "tools": _junk,
        "tool_choice": _junk,
        "response_format": _junk,
        "user_id": _junk,
        "max_completion_tokens": _junk,
        "text": _junk,
    },
)
_odd_completion = st.fixed_dictionaries(
    {"model": st.sampled_from(["deepseek-chat", "x"])},
    optional=dict.fromkeys(("prompt", "suffix", "echo", "logprobs", "stop", "stream", "stream_options", "seed"), _junk),
)


def _as_json(bodies: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    return bodies.map(lambda body: json.dumps(body).encode())


CASES: dict[str, tuple[Parse, st.SearchStrategy[bytes]]] = {
    "chat": (
        lambda body, dialect: parse_chat(body, dialect=dialect, beta=True).request.body,
        st.one_of(_as_json(_odd_chat), as_sent(chat_bodies)),
    ),
    "completions": (
        lambda body, dialect: parse_completion(body, dialect=dialect, beta=True).request.body,
        _as_json(_odd_completion),
    ),
    "messages": (lambda body, dialect: parse_messages(body, dialect=dialect).request.body, as_sent(message_bodies)),
    "responses": (lambda body, dialect: parse_responses(body, dialect=dialect).request.body, as_sent(response_bodies)),
    "tokenize": (lambda body, dialect: parse_tokenize(body, dialect=dialect), _as_json(_odd_chat)),
    "bytes": (
        lambda body, dialect: parse_chat(body, dialect=dialect, beta=False).request.body,
        st.binary(max_size=40),
    ),
}


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(data=st.data())
def test_odd_bodies_are_answered_or_refused(name: str, dialect: Dialect, data: st.DataObject) -> None:
    parse, bodies = CASES[name]
    assert _fate(parse, data.draw(bodies), dialect) in (200, 400)


def _fate(parse: Parse, body: bytes, dialect: Dialect) -> int:
    try:
        rendered = parse(body, dialect)
    except SeekdError as error:
        return failure_response(error, dialect).status
    for chat_format in (V41, V4):
        rendered.render(chat_format)
    return 200


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 200_000, b'"' + b"\\u0041" * 100_000, b'{"messages":' + b"[" * 500]
)
def test_deep_and_long_bodies_are_refused(body: bytes) -> None:
    assert {_fate(parse, body, CLASSIC) for parse, _ in CASES.values()} == {400}
