"""LiteLLM as a client, by its DeepSeek provider."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read at its import; otherwise that fetches a list of prices

import litellm
from checks import (
    FORECAST,
    GREETING,
    KEY,
    LIMITED_MODEL,
    MODEL_URL,
    REASONING,
    URL,
    WEATHER,
    raised,
    raised_by_the_second,
    run,
)

litellm.telemetry = False
HELLO = [{"role": "user", "content": "Hello, how are you?"}]
ASK = [{"role": "user", "content": "What's the weather like in New York?"}]
TOOLS = [{"type": "function", "function": WEATHER}]


def _complete(**options: Any) -> Any:
    defaults = {"model": "deepseek/deepseek-chat", "messages": HELLO, "api_key": KEY, "api_base": f"{URL}/v1"}
    return litellm.completion(**{**defaults, "num_retries": 0, "max_retries": 0, "timeout": 30, **options})


def check_whole_answer_and_usage() -> None:
    answer = _complete()
    assert answer.choices[0].message.content == GREETING
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def check_stream_and_usage() -> None:
    chunks = list(_complete(stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == GREETING
    [usage] = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert usage.completion_tokens >= len(GREETING)


def check_thinking_whole_and_streamed() -> None:
    assert _complete(model="deepseek/deepseek-reasoner").choices[0].message.reasoning_content == REASONING
    chunks = _complete(model="deepseek/deepseek-reasoner", stream=True)
    seen = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks)
    assert seen == REASONING


def check_tools_round_trip() -> None:
    message = _complete(messages=ASK, tools=TOOLS).choices[0].message
    [call] = message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "New York"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = _complete(messages=[*ASK, message.model_dump(), result], tools=TOOLS)
    assert after.choices[0].message.content == FORECAST


def check_tools_streamed() -> None:
    chunks = list(_complete(messages=ASK, tools=TOOLS, stream=True))
    built = litellm.stream_chunk_builder(chunks)
    assert json.loads(built.choices[0].message.tool_calls[0].function.arguments) == {"location": "New York"}


def check_errors_are_the_documented_classes() -> None:
    raised(litellm.NotFoundError, _complete, model="deepseek/no-such-model")  # by the error's code, not its status
    raised(litellm.BadRequestError, _complete, temperature=3)
    assert "Authentication Fails" in str(raised(litellm.AuthenticationError, _complete, api_key="sk-" + "0" * 32))
    raised_by_the_second(litellm.RateLimitError, _complete, model=f"deepseek/{LIMITED_MODEL}")
    raised(litellm.ServiceUnavailableError, _complete, messages=[{"role": "user", "content": "fail at once"}])


def check_the_bundled_model() -> None:
    answer = _complete(api_base=f"{MODEL_URL}/v1", max_tokens=40)
    assert answer.choices[0].message.content
    assert 0 < answer.usage.completion_tokens <= 40


if __name__ == "__main__":
    run(globals())
