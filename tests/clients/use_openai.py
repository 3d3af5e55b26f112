"""The official OpenAI client for Python."""

from __future__ import annotations

import json
from typing import Any

import openai
import parsed_models
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
    WEATHER,
    raised,
    raised_by_the_second,
    run,
)

CLIENT: Any = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=30)
HELLO = [{"role": "user", "content": "Hello, how are you?"}]
ASK = [{"role": "user", "content": "What's the weather like in New York?"}]
TOOLS = [{"type": "function", "function": WEATHER}]


def _create(**options: Any) -> Any:
    return CLIENT.chat.completions.create(**{"model": "deepseek-chat", "messages": HELLO, **options})


def check_whole_answer_and_usage() -> None:
    answer = _create()
    assert answer.choices[0].message.content == GREETING
    assert answer.choices[0].finish_reason == "stop"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "deepseek-chat"
    usage = answer.usage
    assert usage.completion_tokens >= len(GREETING)  # the script's tokens are bytes, and one ends the answer
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens == usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens


def check_stream() -> None:
    chunks = list(_create(stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == GREETING
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def check_stream_with_usage() -> None:
    chunks = list(_create(stream=True, stream_options={"include_usage": True}))
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage.completion_tokens >= len(GREETING)


def check_stream_helper_builds_the_message() -> None:
    with CLIENT.chat.completions.stream(model="deepseek-chat", messages=ASK, tools=TOOLS) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"


def check_thinking_whole() -> None:
    answer = _create(model="deepseek-reasoner")
    assert answer.choices[0].message.reasoning_content == REASONING
    assert answer.choices[0].message.content == GREETING
    assert answer.usage.completion_tokens_details.reasoning_tokens >= len(REASONING)


def check_thinking_stream_and_its_switch() -> None:
    chunks = list(_create(model="deepseek-chat", extra_body={"thinking": {"type": "enabled"}}, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == REASONING
    assert "".join(delta.content or "" for delta in deltas) == GREETING
    answer = _create(model="deepseek-reasoner", extra_body={"thinking": {"type": "disabled"}})
    assert not getattr(answer.choices[0].message, "reasoning_content", None)


def check_tools_round_trip() -> None:
    answer = _create(messages=ASK, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    message = answer.choices[0].message
    [call] = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"location": "New York"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = _create(messages=[*ASK, message, result], tools=TOOLS)
    assert after.choices[0].message.content == FORECAST


def check_tools_round_trip_while_thinking() -> None:
    options = {"model": "deepseek-reasoner", "tools": TOOLS}
    message = _create(messages=ASK, **options).choices[0].message
    assert message.reasoning_content == REASONING
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
    assert _create(messages=[*ASK, message, result], **options).choices[0].message.content == FORECAST


def check_tools_streamed() -> None:
    calls: dict[int, dict[str, str]] = {}
    for chunk in _create(messages=ASK, tools=TOOLS, stream=True):
        for piece in chunk.choices[0].delta.tool_calls or ():
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    [call] = calls.values()
    assert call["id"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"location": "New York"})


def check_legacy_functions_round_trip() -> None:
    for choice in ("auto", {"name": "get_weather"}):
        answer = _create(messages=ASK, functions=[WEATHER], function_call=choice)
        assert answer.choices[0].finish_reason == "function_call"
        message = answer.choices[0].message
        assert message.content is None
        assert message.tool_calls is None
        assert message.function_call.name == "get_weather"
        assert json.loads(message.function_call.arguments) == {"location": "New York"}
    assistant = {"role": "assistant", "content": None, "function_call": message.function_call.model_dump()}
    result = {"role": "function", "name": "get_weather", "content": "sunny"}
    after = _create(messages=[*ASK, assistant, result], functions=[WEATHER])
    assert after.choices[0].message.content == FORECAST
    assert after.choices[0].message.function_call is None
    assert after.choices[0].finish_reason == "stop"


def check_legacy_functions_streamed() -> None:
    name, arguments = "", ""
    for chunk in _create(messages=ASK, functions=[WEATHER], stream=True):
        piece = chunk.choices[0].delta.function_call
        if piece is not None:
            name += piece.name or ""
            arguments += piece.arguments or ""
    assert chunk.choices[0].finish_reason == "function_call"
    assert (name, json.loads(arguments)) == ("get_weather", {"location": "New York"})


def check_legacy_functions_none() -> None:
    answer = _create(messages=ASK, functions=[WEATHER], function_call="none")
    assert answer.choices[0].message.content == GREETING
    assert answer.choices[0].message.function_call is None


def check_json_mode_and_schema() -> None:
    ask = [{"role": "user", "content": "Answer in JSON."}]
    answer = _create(messages=ask, response_format={"type": "json_object"})
    assert json.loads(answer.choices[0].message.content)["name"] == "John Doe"
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    strict = {"type": "json_schema", "json_schema": {"name": "user", "schema": schema}}
    assert json.loads(_create(messages=ask, response_format=strict).choices[0].message.content)["age"] == 41


def check_logprobs() -> None:
    entries = _create(logprobs=True, top_logprobs=1).choices[0].logprobs.content
    assert "".join(entry.token for entry in entries) == GREETING
    assert all(len(entry.top_logprobs) == 1 for entry in entries)


def check_stop_and_max_tokens() -> None:
    assert _create(stop=["!"]).choices[0].message.content == GREETING.partition("!")[0]
    cut = _create(max_tokens=5)
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == (GREETING[:5], "length")


def check_beta_completions_fill_in_the_middle() -> None:
    beta: Any = CLIENT.with_options(base_url=f"{URL}/beta")
    answer = beta.completions.create(model="deepseek-chat", prompt="def add(a, b):\n", suffix="\n")
    assert answer.choices[0].text == "    return a + b"
    pieces = beta.completions.create(model="deepseek-chat", prompt="def add(a, b):\n", suffix="\n", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == "    return a + b"
    raised(openai.BadRequestError, CLIENT.completions.create, model="deepseek-chat", prompt="a")


def check_responses_whole_streamed_and_tools() -> None:
    answer = CLIENT.responses.create(model="deepseek-reasoner", input="Hello!")
    assert answer.output_text == GREETING
    assert answer.usage.output_tokens_details.reasoning_tokens >= len(REASONING)
    events = list(CLIENT.responses.create(model="deepseek-chat", input="Hello!", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == GREETING
    assert events[-1].response.status == "completed"
    tool = {"type": "function", **WEATHER, "strict": False}
    first = CLIENT.responses.create(model="deepseek-chat", input=ASK, tools=[tool])
    [call] = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"location": "New York"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    after = CLIENT.responses.create(model="deepseek-chat", input=[*ASK, call, result], tools=[tool])
    assert after.output_text == FORECAST


def check_models() -> None:
    names = [model.id for model in CLIENT.models.list()]
    assert "deepseek-chat" in names
    assert CLIENT.models.retrieve("deepseek-chat").id == "deepseek-chat"
    raised(openai.NotFoundError, CLIENT.models.retrieve, "no-such-model")


def check_unknown_model_is_a_bad_request() -> None:
    error = raised(openai.BadRequestError, _create, model="no-such-model")
    assert (error.type, error.code) == ("invalid_request_error", "model_not_found")
    assert error.body["message"].startswith("Model not found")


def check_a_bad_parameter_is_a_bad_request() -> None:
    assert "temperature" in str(raised(openai.BadRequestError, _create, temperature=3))
    wrong = [{"type": "function", "function": {"name": "a b", "parameters": PARAMETERS}}]
    assert "tools[0]" in str(raised(openai.BadRequestError, _create, tools=wrong))
    functions = [{"name": "a b", "parameters": PARAMETERS}]
    assert "functions[0]" in str(raised(openai.BadRequestError, _create, functions=functions))


def check_too_long_a_prompt_is_a_bad_request() -> None:
    error = raised(openai.BadRequestError, _create, messages=[{"role": "user", "content": "word " * 50_000}])
    assert error.code == "context_length_exceeded"


def check_a_wrong_key_is_an_authentication_error() -> None:
    stranger = CLIENT.with_options(api_key="sk-" + "0" * 32)
    error = raised(openai.AuthenticationError, stranger.chat.completions.create, model="deepseek-chat", messages=HELLO)
    assert "****0000" in str(error)


def check_a_limit_is_a_rate_limit_error() -> None:
    error = raised_by_the_second(openai.RateLimitError, _create, model=LIMITED_MODEL)
    assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert error.body["message"].startswith("Rate limit exceeded")
    assert int(error.response.headers["retry-after"]) >= 1
    raised(openai.RateLimitError, _create, model=LIMITED_MODEL, stream=True)


def check_an_empty_balance_is_a_402() -> None:
    error = raised(openai.APIStatusError, _create, model=UNPAID_MODEL)
    assert error.status_code == 402


def check_an_overloaded_server_is_an_internal_server_error() -> None:
    error = raised(openai.InternalServerError, _create, messages=[{"role": "user", "content": "fail at once"}])
    assert error.status_code == 503


def check_a_failure_in_a_stream_is_an_api_error() -> None:
    stream = _create(messages=[{"role": "user", "content": "fail later"}], stream=True)
    seen = []

    def read() -> None:
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")

    assert raised(openai.APIError, read)
    assert "".join(seen) == "Hel"


def check_the_dialect_header() -> None:
    hosted = CLIENT.with_options(default_headers={"X-Seekd-Dialect": "hosted"})
    answer = hosted.chat.completions.create(model="deepseek-chat", messages=HELLO)
    assert not answer.id.startswith("chatcmpl-")
    assert answer.model == "deepseek-flash" or answer.model.startswith("deepseek-v4")
    plain = hosted.chat.completions.create(model="deepseek-chat", messages=ASK, functions=[WEATHER])
    assert plain.choices[0].message.function_call is None  # the service ignores the old spelling
    wrong = CLIENT.with_options(default_headers={"X-Seekd-Dialect": "klingon"})
    error = raised(openai.BadRequestError, wrong.chat.completions.create, model="deepseek-chat", messages=HELLO)
    assert "classic" in str(error)


def check_balance_and_token_count() -> None:
    # Routes beyond the client's own, by its door for those.
    balance = CLIENT.get("/user/balance", cast_to=object)
    assert isinstance(balance["balance_infos"][0]["total_balance"], str)
    counted = CLIENT.post("/tokenize", body={"model": "deepseek-chat", "messages": HELLO}, cast_to=object)
    assert counted["num_tokens"] == _create().usage.prompt_tokens


async def check_the_asynchronous_client() -> None:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=URL, max_retries=0) as client:
        options: dict[str, Any] = {"model": "deepseek-chat", "messages": HELLO}
        answer = await client.chat.completions.create(**options)
        assert answer.choices[0].message.content == GREETING
        stream = await client.chat.completions.create(**options, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == GREETING


def check_the_bundled_model() -> None:
    model: Any = CLIENT.with_options(base_url=f"{MODEL_URL}/v1")
    options = {"model": "deepseek-chat", "messages": HELLO, "temperature": 0, "max_tokens": 40}
    answer = model.chat.completions.create(**options)
    assert answer.choices[0].message.content
    assert 0 < answer.usage.completion_tokens <= 40
    chunks = list(model.chat.completions.create(**options, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer.choices[0].message.content


def _leaf(kind: type) -> list[dict[str, str]]:
    # The words of the prompt come back as the values, and so a recursive answer comes to its end.
    return [{"role": "user", "content": f"{kind.__name__}: name: oak, children: [], next: null"}]


def check_parsed_answers_are_of_their_models() -> None:
    model: Any = CLIENT.with_options(base_url=f"{MODEL_URL}/v1")
    for kind in parsed_models.ANSWERS:
        options = {"model": "deepseek-chat", "temperature": 0}
        parsed = model.chat.completions.parse(**options, messages=_leaf(kind), response_format=kind, max_tokens=1000)
        assert isinstance(parsed.choices[0].message.parsed, kind)
        with model.chat.completions.stream(**options, messages=_leaf(kind), response_format=kind) as stream:
            assert isinstance(stream.get_final_completion().choices[0].message.parsed, kind)
        response = model.responses.parse(**options, input=_leaf(kind), text_format=kind, max_output_tokens=1000)
        assert isinstance(response.output_parsed, kind)
        assert response.text.format.strict is True


def check_parsed_arguments_are_of_their_models() -> None:
    for base in ("beta", "v1"):
        model: Any = CLIENT.with_options(base_url=f"{MODEL_URL}/{base}")
        for kind in parsed_models.TOOLS:
            tools = [openai.pydantic_function_tool(kind)]
            answer = model.chat.completions.parse(
                model="deepseek-chat", messages=_leaf(kind), tools=tools, tool_choice="required", temperature=0
            )
            assert isinstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, kind)


if __name__ == "__main__":
    run(globals())
