"""Answers with the originals in them."""

import json
from typing import Any

from seekd.prompt.answer.recipe_parser import RecipeChunk
from seekd.wire.calls import ChatEncoder
from seekd.wire.dialect import CLASSIC
from seekd.wire.restoring import AnswerRestorer, ScreenedEncoder

VALUE = 'a"b\n'


def _restore(text: str, *, json_string: bool = False) -> str:
    return text.replace("[KEY_1]", json.dumps(VALUE)[1:-1] if json_string else VALUE)


def _restored(data: object, *, json_answer: bool = False) -> Any:
    restorer = AnswerRestorer(_restore, lambda text: "[KEY_1]" in text, json_answer=json_answer)
    return json.loads(restorer.chunk(json.dumps(data)))


def test_a_text_without_placeholders_is_the_same_object() -> None:
    text = '{"a": "[KEY_2]"}'
    assert AnswerRestorer(_restore, lambda _: False, json_answer=False).chunk(text) is text


def test_content_and_reasoning_get_the_original() -> None:
    delta = {"content": "see [KEY_1]", "reasoning_content": "[KEY_1]?"}
    restored = _restored({"choices": [{"delta": delta, "index": 0}]})
    assert restored["choices"][0]["delta"] == {"content": f"see {VALUE}", "reasoning_content": f"{VALUE}?"}


def test_arguments_get_it_escaped_in_every_protocol() -> None:
    part = '{"key": "[KEY_1]'
    escaped = part.replace("[KEY_1]", 'a\\"b\\n')
    assert _restored({"tool_calls": [{"function": {"arguments": part}}]})["tool_calls"][0]["function"] == {
        "arguments": escaped
    }
    assert _restored({"delta": {"type": "input_json_delta", "partial_json": part}})["delta"]["partial_json"] == escaped
    assert _restored({"type": "response.function_call_arguments.delta", "delta": part})["delta"] == escaped
    call = {"type": "tool_use", "input": {"arguments": "[KEY_1]", "[KEY_1]": ["[KEY_1]", 1]}}
    assert _restored(call, json_answer=True)["input"] == {"arguments": VALUE, VALUE: [VALUE, 1]}


def test_an_answer_that_is_json_gets_it_escaped_and_its_reasoning_does_not() -> None:
    data = {"message": {"content": '{"key":"[KEY_1]"}', "reasoning_content": "[KEY_1]"}}
    message = _restored(data, json_answer=True)["message"]
    assert json.loads(message["content"]) == {"key": VALUE}
    assert message["reasoning_content"] == VALUE
    event = {"type": "response.reasoning_text.delta", "delta": "[KEY_1]"}
    assert _restored(event, json_answer=True)["delta"] == VALUE
    event["type"] = "response.output_text.delta"
    assert _restored(event, json_answer=True)["delta"] == 'a\\"b\\n'


def test_usage_says_what_was_found() -> None:
    encoder = ScreenedEncoder(ChatEncoder(CLASSIC), restorer=None, redacted={"email": 2})
    chunk = RecipeChunk('{"choices":[],"usage":{"total_tokens":3}}')
    assert encoder.encode_chunk(chunk) == (
        b'data: {"choices":[],"usage":{"total_tokens":3,"redacted":{"email":2}}}\n\n'
    )
    for holder in ("response", "message"):
        text = json.dumps({holder: {"usage": {"total_tokens": 3}}}, separators=(",", ":"))
        assert json.loads(encoder.encode_response(text))[holder]["usage"]["redacted"] == {"email": 2}
    plain = RecipeChunk('{"choices":[{"delta":{"content":"[KEY_1]"}}],"usage":null}')
    assert encoder.encode_chunk(plain) == ChatEncoder(CLASSIC).encode_chunk(plain)
    assert encoder.encode_end() == ChatEncoder(CLASSIC).encode_end()
    assert encoder.encode_error(ValueError()) == ChatEncoder(CLASSIC).encode_error(ValueError())
