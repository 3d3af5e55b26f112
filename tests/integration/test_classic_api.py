"""Every example of the classic API that this version serves, against a real server process and a real model.

The answers are a model's own words, so tests judge what a reader would: on topic, well formed, within limits.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

Messages = list[ChatCompletionMessageParam]


def _answer(client: openai.OpenAI, messages: Messages, **parameters: Any) -> str:
    response = client.chat.completions.create(model="deepseek-chat", messages=messages, temperature=0, **parameters)
    content = response.choices[0].message.content
    assert isinstance(content, str)
    assert content
    return content


def test_the_simple_request_gets_the_documented_shape(http: httpx.Client) -> None:
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello, how are you?"}]}
    response = http.post("/v1/chat/completions", json=body, headers={"Authorization": "Bearer YOUR_API_KEY"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert isinstance(answer["created"], int)
    assert answer["model"] == "deepseek-chat"
    [choice] = answer["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] > 0


def test_the_path_without_v1_answers_too(http: httpx.Client) -> None:
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
    assert http.post("/chat/completions", json=body).status_code == 200


def test_a_greeting_is_answered_as_a_greeting(client: openai.OpenAI) -> None:
    answer = _answer(client, [{"role": "user", "content": "Hello, how are you?"}]).lower()
    assert any(word in answer for word in ("well", "good", "great", "fine", "thank"))


def test_the_example_conversation_stays_on_its_topic(client: openai.OpenAI) -> None:
    answer = _answer(
        client,
        [
            {"role": "system", "content": "You are a helpful assistant that explains complex topics simply."},
            {"role": "user", "content": "What is quantum computing?"},
            {"role": "assistant", "content": "Quantum computing is a type of computing that uses quantum mechanics..."},
            {"role": "user", "content": "Can you give me a simple analogy?"},
        ],
    ).lower()
    assert any(word in answer for word in ("like", "imagine", "think of", "as if"))


def test_temperature_zero_repeats_itself_and_a_high_one_does_not(client: openai.OpenAI) -> None:
    messages: Messages = [{"role": "user", "content": "Write a creative story"}]
    assert _answer(client, messages, max_tokens=40) == _answer(client, messages, max_tokens=40)
    creative = {
        client.chat.completions.create(
            model="deepseek-chat", messages=messages, temperature=1.5, max_tokens=40, seed=seed
        )
        .choices[0]
        .message.content
        for seed in range(4)
    }
    assert len(creative) > 1


def test_a_token_limit_cuts_the_answer_and_says_so(client: openai.OpenAI) -> None:
    response = client.chat.completions.create(
        model="deepseek-chat", messages=[{"role": "user", "content": "Tell me a story"}], max_tokens=10, temperature=0
    )
    assert response.choices[0].finish_reason == "length"
    assert response.usage is not None
    assert response.usage.completion_tokens == 10


def test_the_summary_request_keeps_within_its_sixty_tokens(client: openai.OpenAI) -> None:
    response = client.chat.completions.create(
        model="deepseek-chat", messages=[{"role": "user", "content": "Summarize this in 50 words"}], max_tokens=60
    )
    assert response.choices[0].message.content
    assert response.usage is not None
    assert response.usage.completion_tokens <= 60


def test_a_stop_sequence_ends_the_list_before_its_fourth_item(client: openai.OpenAI) -> None:
    messages: Messages = [{"role": "user", "content": "List three items:"}]
    answer = _answer(client, messages, stop=["\n4.", "END"])
    assert "1." in answer
    assert "\n4." not in answer
    first = answer.splitlines()[0]
    assert _answer(client, messages, stop=["\n"]) == first


def test_the_streaming_loop_prints_the_answer_piece_by_piece(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="deepseek-chat",
        messages=[{"role": "user", "content": "Tell me a story"}],
        stream=True,
        temperature=0,
        max_tokens=60,
    )
    pieces = []
    for chunk in stream:
        if chunk.choices[0].delta.content is not None:
            pieces.append(chunk.choices[0].delta.content)
    assert len([piece for piece in pieces if piece]) > 5
    whole = _answer(client, [{"role": "user", "content": "Tell me a story"}], max_tokens=60)
    assert "".join(pieces) == whole


def test_the_stream_on_the_wire_is_the_documented_one(http: httpx.Client) -> None:
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "Tell me a story"}],
        "stream": True,
        "max_tokens": 12,
    }
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        frames = [line for line in response.iter_lines() if line]
    assert all(frame.startswith("data: ") for frame in frames)
    assert frames[-1] == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


WEATHER = {
    "name": "get_weather",
    "description": "Get current weather information",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
}


def test_the_weather_question_is_answered_with_the_documented_function_call(http: httpx.Client) -> None:
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "What's the weather like in New York?"}],
        "functions": [WEATHER],
        "function_call": "auto",
        "temperature": 0,
    }
    [choice] = http.post("/v1/chat/completions", json=body).json()["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["content"] is None
    assert choice["message"]["function_call"] == {
        "name": "get_weather",
        "arguments": '{"location": "New York", "unit": "fahrenheit"}',
    }


def test_the_same_question_with_tools_is_answered_with_a_tool_call(client: openai.OpenAI) -> None:
    response = client.chat.completions.create(
        model="deepseek-chat",
        messages=[{"role": "user", "content": "What's the weather like in New York?"}],
        tools=[{"type": "function", "function": WEATHER}],  # type: ignore[typeddict-item]  # the document's own literal
        temperature=0,
    )
    [choice] = response.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["location"] == "New York"


def test_json_mode_writes_the_profile(client: openai.OpenAI) -> None:
    answer = _answer(
        client,
        [
            {"role": "system", "content": "You are a helpful assistant designed to output JSON."},
            {"role": "user", "content": "Generate a user profile for John Doe"},
        ],
        response_format={"type": "json_object"},
    )
    profile = json.loads(answer)
    assert isinstance(profile, dict)
    assert "John" in answer


def test_an_unknown_model_is_the_documented_error(http: httpx.Client) -> None:
    body = {"model": "no-such-model", "messages": [{"role": "user", "content": "Hello!"}]}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith("Model not found")
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")


def test_a_prompt_that_does_not_fit_is_the_documented_error(http: httpx.Client) -> None:
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "word " * 60_000}]}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith("Maximum context length exceeded")
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "messages"),
        ({"model": "deepseek-chat"}, "messages"),
        ({"model": "deepseek-chat", "messages": []}, "Empty input messages"),
        ({"model": "deepseek-chat", "messages": [{"role": "user", "content": "a"}], "temperature": 3}, "temperature"),
        ({"model": "deepseek-chat", "messages": [{"role": "user", "content": "a"}], "top_p": 0}, "top_p"),
        ({"model": "deepseek-chat", "messages": [{"role": "user", "content": "a"}], "max_tokens": 0}, "max_tokens"),
        ({"model": "deepseek-chat", "messages": [{"role": "clown", "content": "a"}]}, "role"),
    ],
)
def test_a_bad_body_is_a_clear_400(http: httpx.Client, body: dict[str, object], words: str) -> None:
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert words in response.text


def test_the_official_client_raises_what_the_document_catches(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "Hello!"}])


def test_the_python_program_at_the_end_runs_unchanged_but_for_its_base_url(client: openai.OpenAI) -> None:
    def chat_with_deepseek(message, conversation_history=None):  # type: ignore[no-untyped-def]  # as the document has it
        if conversation_history is None:
            conversation_history = []
        conversation_history.append({"role": "user", "content": message})
        response = client.chat.completions.create(
            model="deepseek-chat", messages=conversation_history, temperature=0.7, max_tokens=1000
        )
        assistant_message = response.choices[0].message.content
        conversation_history.append({"role": "assistant", "content": assistant_message})
        return assistant_message, conversation_history

    response, history = chat_with_deepseek("Hello, how are you?")  # type: ignore[no-untyped-call]
    assert response
    assert [message["role"] for message in history] == ["user", "assistant"]


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "deepseek-chat" in names
