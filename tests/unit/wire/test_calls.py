import json

import pytest

from seekd.errors import EngineError
from seekd.prompt.answer.recipe_parser import RecipeChunk
from seekd.wire.calls import ChatEncoder
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
def test_chat_answers_are_unnamed_frames_with_done_behind(dialect: Dialect) -> None:
    encoder = ChatEncoder(dialect)
    assert encoder.encode_chunk(RecipeChunk('{"a":1}')) == b'data: {"a":1}\n\n'
    assert encoder.encode_end() == b"data: [DONE]\n\n"
    assert encoder.encode_response('{"choices":[]}') == b'{"choices":[]}'


def test_an_error_frame_holds_the_dialects_envelope() -> None:
    messages = [
        json.loads(ChatEncoder(dialect).encode_error(EngineError("gone")).removeprefix(b"data: "))["error"]["message"]
        for dialect in (CLASSIC, HOSTED)
    ]
    assert messages == ["gone", "Internal Server Error"]
