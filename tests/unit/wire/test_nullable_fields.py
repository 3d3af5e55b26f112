import json

import pytest

from seekd.wire.nullable_fields import with_messages_fields, with_refusal, with_verbosity


def test_a_chat_message_has_a_refusal_and_a_completion_has_none() -> None:
    chat = json.loads(with_refusal('{"choices":[{"message":{"role":"assistant","content":"é"}}]}'))
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": "é", "refusal": None}
    assert with_refusal('{"choices":[{"text":"é"}]}') == '{"choices":[{"text":"é"}]}'


@pytest.mark.parametrize("holder", [True, False])
def test_a_response_without_a_wish_has_medium_verbosity(holder: bool) -> None:
    response = {"id": "r", "text": {"format": {"type": "text"}, "verbosity": None}}
    text = json.dumps({"type": "response.created", "response": response} if holder else response, separators=(",", ":"))
    read = json.loads(with_verbosity(text))
    assert (read["response"] if holder else read)["text"]["verbosity"] == "medium"


def test_deltas_pass_untouched() -> None:
    text = '{"type":"content_block_delta","delta":{"text":"x"}}'
    assert with_messages_fields(text, "content_block_delta") is text
    assert with_verbosity(text) is text


def test_values_that_are_there_stay() -> None:
    text = (
        '{"content":[{"type":"text","text":"a","citations":["x"]}],'
        '"usage":{"input_tokens":1,"server_tool_use":{"web_search_requests":1}}}'
    )
    whole = json.loads(with_messages_fields(text, None))
    assert whole["content"][0]["citations"] == ["x"]
    assert whole["usage"]["server_tool_use"] == {"web_search_requests": 1}
    assert whole["stop_details"] is None
