"""Answers with the originals in them."""

import json

from seekd.prompt.types import Json
from seekd.wire.restoring import AnswerRestorer

VALUE = 'a"b\n'


def _restore(text: str, *, json_string: bool = False) -> str:
    return text.replace("[KEY_1]", json.dumps(VALUE)[1:-1] if json_string else VALUE)


def _restored(data: Json, *, json_answer: bool = False) -> Json:
    AnswerRestorer(_restore, json_answer=json_answer)(data)
    return data


def test_every_text_of_a_list_gets_the_original_and_the_rest_stays() -> None:
    data = {"a": [["[KEY_1]", 1], "[KEY_1]", {"b": "[KEY_1]"}], "c": "[KEY_2]", "d": None}
    assert _restored(data) == {"a": [[VALUE, 1], VALUE, {"b": VALUE}], "c": "[KEY_2]", "d": None}


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
    reasoning = {"type": "response.reasoning_text.delta", "delta": "[KEY_1]"}
    assert _restored(reasoning, json_answer=True)["delta"] == VALUE
    answer = {"type": "response.output_text.delta", "delta": "[KEY_1]"}
    assert _restored(answer, json_answer=True)["delta"] == 'a\\"b\\n'
