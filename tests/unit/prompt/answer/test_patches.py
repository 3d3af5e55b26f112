import json

from seekd.prompt.answer import patches

_CHAT_USAGE = (
    '"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":3},'
    '"prompt_cache_hit_tokens":3,"prompt_cache_miss_tokens":4}'
)


def test_created_is_written_once_and_not_inside_strings() -> None:
    text = json.dumps({"id": "x", "created": 1, "content": '"created":2'}, separators=(",", ":"))
    assert json.loads(patches.set_created(text, 99)) == {"id": "x", "created": 99, "content": '"created":2'}


def test_reasoning_tokens_come_before_the_cache_counts() -> None:
    usage = json.loads(patches.set_chat_reasoning_tokens("{" + _CHAT_USAGE + "}", 5))["usage"]
    assert list(usage)[3:6] == ["prompt_tokens_details", "completion_tokens_details", "prompt_cache_hit_tokens"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 5}


def test_a_count_that_is_there_is_replaced() -> None:
    once = patches.set_chat_reasoning_tokens("{" + _CHAT_USAGE + "}", 5)
    assert json.loads(patches.set_chat_reasoning_tokens(once, 6)) == json.loads(
        patches.set_chat_reasoning_tokens("{" + _CHAT_USAGE + "}", 6)
    )


def test_a_chunk_without_usage_is_left_alone() -> None:
    text = '{"choices":[{"delta":{"content":"\\",\\"prompt_cache_hit_tokens\\":\\""}}],"usage":null}'
    assert patches.set_chat_reasoning_tokens(text, 5) == text


def test_responses_count_is_written_behind_the_echoed_tools() -> None:
    details = {"output_tokens_details": {"reasoning_tokens": 0}}
    text = json.dumps({"tools": [details], "usage": details}, separators=(",", ":"))
    assert json.loads(patches.set_responses_reasoning_tokens(text, 8)) == {
        "tools": [details],
        "usage": {"output_tokens_details": {"reasoning_tokens": 8}},
    }


def test_created_at_is_written_only_where_the_response_is() -> None:
    event = '{"type":"response.created","response":{"id":"x","object":"response","created_at":1}}'
    assert '"created_at":7' in patches.set_created_at(event, 7)
    delta = '{"type":"response.output_text.delta","delta":"x"}'
    assert patches.set_created_at(delta, 7) == delta
