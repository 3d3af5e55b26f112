import copy
from typing import Any

import pytest

from seekd.wire.nullable_fields import add_messages_fields, add_refusal, set_verbosity


def test_a_chat_message_has_a_refusal_and_a_completion_has_none() -> None:
    chat: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": "x"}}]}
    add_refusal(chat)
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": "x", "refusal": None}
    completion: dict[str, Any] = {"choices": [{"text": "x"}]}
    add_refusal(completion)
    assert completion == {"choices": [{"text": "x"}]}


@pytest.mark.parametrize("is_event", [True, False])
def test_a_response_without_a_wish_has_medium_verbosity(is_event: bool) -> None:
    response: dict[str, Any] = {"object": "response", "text": {"format": {"type": "text"}, "verbosity": None}}
    set_verbosity({"type": "response.created", "response": response} if is_event else response)
    assert response["text"]["verbosity"] == "medium"


def test_a_wish_for_verbosity_stays() -> None:
    response: dict[str, Any] = {"object": "response", "text": {"verbosity": "low"}}
    set_verbosity(response)
    assert response["text"]["verbosity"] == "low"


def test_deltas_pass_untouched() -> None:
    data = {"type": "content_block_delta", "delta": {"text": "x"}}
    before = copy.deepcopy(data)
    add_messages_fields(data)
    set_verbosity(data)
    assert data == before


def test_values_that_are_there_stay() -> None:
    whole: dict[str, Any] = {
        "type": "message",
        "content": [{"type": "text", "text": "a", "citations": ["x"]}],
        "usage": {"input_tokens": 1, "server_tool_use": {"web_search_requests": 1}},
    }
    add_messages_fields(whole)
    assert whole["content"][0]["citations"] == ["x"]
    assert whole["usage"]["server_tool_use"] == {"web_search_requests": 1}
    assert whole["stop_details"] is None


def test_only_texts_have_citations() -> None:
    whole: dict[str, Any] = {
        "type": "message",
        "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
        "usage": {},
    }
    add_messages_fields(whole)
    assert whole["content"][0]["citations"] is None
    assert "citations" not in whole["content"][1]
