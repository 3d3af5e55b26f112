import json

import msgspec
import pytest

from seekd.errors import EngineError
from seekd.prompt.types import Json
from seekd.wire.calls import ChatEncoder, in_usage
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
def test_chat_answers_are_unnamed_frames_with_done_behind(dialect: Dialect) -> None:
    encoder = ChatEncoder(dialect)
    assert encoder.encode_chunks([{"é": 1}] * 2) == 'data: {"é":1}\n\n'.encode() * 2
    assert encoder.encode_end() == b"data: [DONE]\n\n"
    assert encoder.encode_response({"choices": []}) == b'{"choices":[]}'


def test_edits_come_in_their_order_and_what_none_is_left_of_is_not_sent() -> None:
    def times_ten(data: Json) -> None:
        data["a"] *= 10

    def plus_one(data: Json) -> None:
        data["a"] += 1

    def drop_twenties(data: Json) -> None:
        if data["a"] >= 20:
            data.clear()

    encoder = ChatEncoder(CLASSIC, times_ten, drop_twenties)
    encoder.edit_first(plus_one)
    assert encoder.encode_chunks([{"a": number} for number in (0, 1, 0)]) == b'data: {"a":10}\n\n' * 2
    assert encoder.encode_response({"a": 0, "choices": [{"message": {}}]}) == (
        b'{"a":10,"choices":[{"message":{"refusal":null}}]}'
    )


@pytest.mark.parametrize(
    ("data", "edited"),
    [
        (b'{"choices":[],"usage":{"a":3}}', b'{"choices":[],"usage":{"a":3,"redacted":{"email":2}}}'),
        (b'{"message":{"usage":{}}}', b'{"message":{"usage":{"redacted":{"email":2}}}}'),
        (b'{"response":{"usage":{}}}', b'{"response":{"usage":{"redacted":{"email":2}}}}'),
        (b'{"choices":[],"usage":null}', b'{"choices":[],"usage":null}'),
        (b'{"response":{"usage":null}}', b'{"response":{"usage":null}}'),
        (b'{"type":"ping"}', b'{"type":"ping"}'),
    ],
)
def test_every_usage_gets_the_member(data: bytes, edited: bytes) -> None:
    decoded = msgspec.json.decode(data)
    in_usage("redacted", {"email": 2})(decoded)
    assert msgspec.json.encode(decoded) == edited


def test_an_error_frame_holds_the_dialects_envelope() -> None:
    messages = [
        json.loads(ChatEncoder(dialect).encode_error(EngineError("gone")).removeprefix(b"data: "))["error"]["message"]
        for dialect in (CLASSIC, HOSTED)
    ]
    assert messages == ["gone", "Internal Server Error"]
