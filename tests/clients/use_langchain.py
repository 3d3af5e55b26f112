"""LangChain's DeepSeek integration."""

from __future__ import annotations

from typing import Any

import openai
from checks import FORECAST, GREETING, KEY, LIMITED_MODEL, MODEL_URL, REASONING, URL, raised, raised_by_the_second, run
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_deepseek import ChatDeepSeek

ASK = "What's the weather like in New York?"


def _model(name: str = "deepseek-chat", *, key: str = KEY, **options: Any) -> ChatDeepSeek:
    return ChatDeepSeek(model=name, api_key=key, api_base=f"{URL}/v1", max_retries=0, timeout=30, **options)


@tool
def get_weather(location: str) -> str:
    """Get current weather."""
    return f"sunny in {location}"


def check_whole_answer_and_usage() -> None:
    answer = _model().invoke("Hello, how are you?")
    assert answer.content == GREETING
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] >= len(GREETING)
    assert answer.response_metadata["finish_reason"] == "stop"


def check_stream_and_usage() -> None:
    whole: Any = None
    for chunk in _model().stream("Hello, how are you?"):
        whole = chunk if whole is None else whole + chunk
    assert whole.content == GREETING
    assert whole.usage_metadata["output_tokens"] >= len(GREETING)


def check_thinking_whole_and_streamed() -> None:
    model = _model("deepseek-reasoner")
    assert model.invoke("Hello!").additional_kwargs["reasoning_content"] == REASONING
    seen = "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in model.stream("Hello!"))
    assert seen == REASONING


def check_tools_round_trip() -> None:
    model = _model().bind_tools([get_weather])
    ask = HumanMessage(ASK)
    answer = model.invoke([ask])
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"location": "New York"})
    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert model.invoke([ask, answer, result]).content == FORECAST


def check_tools_round_trip_while_thinking() -> None:
    # LangChain drops the reasoning on the way back; `classic` takes that as no reasoning.
    model = _model("deepseek-reasoner").bind_tools([get_weather])
    ask = HumanMessage(ASK)
    answer = model.invoke([ask])
    assert model.invoke([ask, answer, get_weather.invoke(answer.tool_calls[0])]).content == FORECAST


def check_tools_streamed() -> None:
    whole: Any = None
    for chunk in _model().bind_tools([get_weather]).stream(ASK):
        whole = chunk if whole is None else whole + chunk
    assert whole.tool_calls[0]["args"] == {"location": "New York"}


def check_json_mode() -> None:
    structured = _model().with_structured_output(None, method="json_mode")
    assert structured.invoke("Answer in JSON.") == {"name": "John Doe", "age": 41}


def check_errors_are_the_documented_classes() -> None:
    raised(openai.BadRequestError, _model("no-such-model").invoke, "Hello!")
    raised(openai.AuthenticationError, _model(key="sk-" + "0" * 32).invoke, "Hello!")
    raised_by_the_second(openai.RateLimitError, _model(LIMITED_MODEL).invoke, "Hello!")
    raised(openai.InternalServerError, _model().invoke, "fail at once")


def check_the_bundled_model() -> None:
    model = ChatDeepSeek(model="deepseek-chat", api_key=KEY, api_base=f"{MODEL_URL}/v1", max_tokens=40)
    assert model.invoke("Hello, how are you?").content
    assert "".join(str(chunk.content) for chunk in model.stream("Hello, how are you?"))


if __name__ == "__main__":
    run(globals())
