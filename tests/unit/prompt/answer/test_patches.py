import copy
from typing import Any

from seekd.prompt.answer.patches import patch_chat, patch_messages, patch_responses

_CHAT_USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 3},
    "prompt_cache_hit_tokens": 3,
    "prompt_cache_miss_tokens": 4,
}


def _chat(usage: dict[str, Any] | None, num_reasoning_tokens: int | None) -> dict[str, Any]:
    data: dict[str, Any] = {"id": "x", "created": 1, "model": "m", "usage": usage}
    patch_chat(data, 99, num_reasoning_tokens)
    return data


def test_created_is_written_in_its_place() -> None:
    data = _chat(None, 5)
    assert data == {"id": "x", "created": 99, "model": "m", "usage": None}
    assert list(data) == ["id", "created", "model", "usage"]


def test_reasoning_tokens_come_before_the_cache_counts() -> None:
    usage = _chat(_CHAT_USAGE, 5)["usage"]
    assert list(usage)[2:5] == ["prompt_tokens_details", "completion_tokens_details", "prompt_cache_hit_tokens"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 5}


def test_a_count_that_is_there_is_replaced() -> None:
    usage = _chat({"completion_tokens_details": {"reasoning_tokens": 9}, **_CHAT_USAGE}, 6)["usage"]
    assert list(usage) == list(_chat(_CHAT_USAGE, 6)["usage"])
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 6}


def test_without_a_count_the_usage_stays() -> None:
    assert _chat(dict(_CHAT_USAGE), None)["usage"] == _CHAT_USAGE


def test_a_response_gets_both_and_the_tools_that_it_repeats_neither() -> None:
    details = {"output_tokens_details": {"reasoning_tokens": 0}}
    response: dict[str, Any] = {
        "object": "response",
        "created_at": 1,
        "tools": [copy.deepcopy(details)],
        "usage": copy.deepcopy(details),
    }
    expected = {
        "object": "response",
        "created_at": 7,
        "tools": [details],
        "usage": {"output_tokens_details": {"reasoning_tokens": 8}},
    }
    event = {"type": "response.completed", "response": copy.deepcopy(response)}
    patch_responses(event, 7, 8)
    patch_responses(response, 7, 8)
    assert response == event["response"] == expected


def test_events_without_a_response_and_those_of_messages_stay() -> None:
    delta = {"type": "response.output_text.delta", "delta": "x"}
    patch_responses(delta, 7, 8)
    assert delta == {"type": "response.output_text.delta", "delta": "x"}
    message = {"type": "message", "usage": {"output_tokens": 3}}
    patch_messages(message, 7, 8)
    assert message == {"type": "message", "usage": {"output_tokens": 3}}
