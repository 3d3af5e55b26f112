"""The official Anthropic client for Python, on `/anthropic`."""

from __future__ import annotations

from typing import Any

import anthropic
from checks import (
    FORECAST,
    GREETING,
    KEY,
    LIMITED_MODEL,
    MODEL_URL,
    PARAMETERS,
    REASONING,
    UNPAID_MODEL,
    URL,
    raised,
    raised_by_the_second,
    run,
)

CLIENT: Any = anthropic.Anthropic(api_key=KEY, base_url=f"{URL}/anthropic", max_retries=0, timeout=30)
HELLO = [{"role": "user", "content": "Hello, how are you?"}]
ASK = [{"role": "user", "content": "What's the weather like in New York?"}]
TOOLS = [{"name": "get_weather", "description": "Get current weather", "input_schema": PARAMETERS}]


def _create(**options: Any) -> Any:
    return CLIENT.messages.create(**{"model": "deepseek-chat", "max_tokens": 1000, "messages": HELLO, **options})


def check_whole_answer_and_usage() -> None:
    answer = _create()
    assert [(block.type, block.text) for block in answer.content] == [("text", GREETING)]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens >= len(GREETING)
    assert answer.usage.input_tokens > 0
    assert answer.usage.cache_read_input_tokens == 0


def check_stream() -> None:
    with CLIENT.messages.stream(model="deepseek-chat", max_tokens=1000, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == GREETING
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens >= len(GREETING)
    kinds = [event.type for event in _create(stream=True)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def check_system_prompt_and_name_of_another_service() -> None:
    assert _create(model="claude-sonnet-x", system="Be kind.").content[-1].text == GREETING


def check_thinking() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = _create(thinking=thinking, max_tokens=2000)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking == REASONING
    assert answer.content[0].signature
    seen = ""
    for event in _create(thinking=thinking, max_tokens=2000, stream=True):
        if event.type == "content_block_delta" and event.delta.type == "thinking_delta":
            seen += event.delta.thinking
    assert seen == REASONING


def check_tools_round_trip() -> None:
    for options in ({}, {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}):
        answer = _create(messages=ASK, tools=TOOLS, **options)
        assert answer.stop_reason == "tool_use"
        [call] = [block for block in answer.content if block.type == "tool_use"]
        assert (call.name, call.input) == ("get_weather", {"location": "New York"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        history = [*ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        after = _create(messages=history, tools=TOOLS, **options)
        assert after.content[-1].text == FORECAST


def check_tools_streamed() -> None:
    with CLIENT.messages.stream(model="deepseek-chat", max_tokens=1000, messages=ASK, tools=TOOLS) as stream:
        final = stream.get_final_message()
    assert final.content[-1].input == {"location": "New York"}


def check_stop_sequences_and_max_tokens() -> None:
    stopped = _create(stop_sequences=["!"])
    assert (stopped.content[0].text, stopped.stop_reason) == (GREETING.partition("!")[0], "stop_sequence")
    assert stopped.stop_sequence == "!"
    cut = _create(max_tokens=5)
    assert (cut.content[0].text, cut.stop_reason) == (GREETING[:5], "max_tokens")


def check_count_tokens() -> None:
    counted = CLIENT.messages.count_tokens(model="deepseek-chat", messages=HELLO).input_tokens
    assert counted == _create().usage.input_tokens


def check_errors_are_the_documented_classes() -> None:
    assert "messages" in str(raised(anthropic.BadRequestError, _create, messages=[]))
    assert "temperature" in str(raised(anthropic.BadRequestError, _create, extra_body={"temperature": 3}))
    stranger = CLIENT.with_options(api_key="sk-" + "0" * 32)
    wanted: dict[str, Any] = {"model": "deepseek-chat", "max_tokens": 10, "messages": HELLO}
    raised(anthropic.AuthenticationError, stranger.messages.create, **wanted)
    raised_by_the_second(anthropic.RateLimitError, _create, model=LIMITED_MODEL)
    assert raised(anthropic.APIStatusError, _create, model=UNPAID_MODEL).status_code == 402
    busy = raised(anthropic.APIStatusError, _create, messages=[{"role": "user", "content": "fail at once"}])
    assert busy.status_code == 503


def check_a_failure_in_a_stream_is_an_api_error() -> None:
    stream = _create(messages=[{"role": "user", "content": "fail later"}], stream=True)
    text = ""

    def read() -> None:
        nonlocal text
        for event in stream:
            if event.type == "content_block_delta":
                text += event.delta.text

    raised(anthropic.APIError, read)
    assert text == "Hel"


def check_the_bundled_model() -> None:
    model: Any = CLIENT.with_options(base_url=f"{MODEL_URL}/anthropic")
    with model.messages.stream(model="deepseek-chat", max_tokens=40, messages=HELLO) as stream:
        assert "".join(stream.text_stream)
        assert 0 < stream.get_final_message().usage.output_tokens <= 40


if __name__ == "__main__":
    run(globals())
