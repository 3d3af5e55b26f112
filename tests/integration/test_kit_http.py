"""The test kit as a program under test meets it: the official client over real HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam

from seekd.errors import ConfigError
from seekd.testing import FAULTS, Kit, Reply, SaidToken, open_kit, tool_call
from seekd.testing.stream_check import check_chat_stream

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
THINKING = {"thinking": {"type": "enabled"}}


def client_of(seekd: Kit, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=seekd.base_url, api_key=seekd.api_key, **{"max_retries": 0, "timeout": 10} | options)


@pytest.fixture
def client(seekd: Kit) -> Iterator[openai.OpenAI]:
    with client_of(seekd) as running:
        yield running


def said(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def chat(client: openai.OpenAI, text: str = "Hi", **options: Any) -> ChatCompletion:
    answer = client.chat.completions.create(model="deepseek-chat", messages=said(text), **options)
    assert isinstance(answer, ChatCompletion)
    return answer


def stream(client: openai.OpenAI, text: str = "Hi", **options: Any) -> list[ChatCompletionChunk]:
    return list(client.chat.completions.create(model="deepseek-chat", messages=said(text), stream=True, **options))


def test_a_reply_has_text_reasoning_and_counted_tokens(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("Grüße!", reasoning="Think.", cached_tokens=5)
    thought = chat(client, extra_body=THINKING)
    message: Any = thought.choices[0].message
    assert (message.content, message.reasoning_content) == ("Grüße!", "Think.")
    usage: Any = thought.usage
    assert usage.prompt_cache_hit_tokens == 5
    assert usage.prompt_tokens == usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    plain: Any = chat(client).choices[0].message
    assert plain.content == "Grüße!"
    assert not getattr(plain, "reasoning_content", None)


def test_the_cache_never_has_the_whole_prompt(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("x", cached_tokens=10_000)
    usage: Any = chat(client).usage
    assert usage.prompt_cache_miss_tokens == 1


def test_tokens_are_those_of_a_vocabulary_and_not_bytes(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("The weather in Paris is sunny today.")
    usage: Any = chat(client).usage
    assert 7 <= usage.completion_tokens <= 16


def test_an_agent_loop_by_matchers_and_its_conversation(seekd: Kit, client: openai.OpenAI) -> None:
    call = tool_call("get_weather", city="Paris")
    seekd.on(tool_result="get_weather").reply("Sunny.")
    seekd.on(text="weather", tool="get_weather").reply("Look: ", call)
    messages: list[Any] = said("The weather?")
    for _ in range(2):
        answer = client.chat.completions.create(model="deepseek-chat", messages=messages, tools=[WEATHER])
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for made in message.tool_calls or ():
            messages.append({"role": "tool", "tool_call_id": made.id, "content": "sun"})
    seekd.assert_called_with(role="tool", text="sun")
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert seekd.conversation() == [
        {"role": "user", "content": "The weather?"},
        {
            "role": "assistant",
            "content": "Look: ",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        {"role": "assistant", "content": "Sunny."},
    ]


def test_a_streamed_conversation_is_the_same_snapshot(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("Look: ", tool_call("f", a=1), reasoning="Hm.")
    stream(client, tools=[WEATHER], extra_body=THINKING)
    streamed = seekd.conversation()
    chat(client, tools=[WEATHER], extra_body=THINKING)
    assert seekd.conversation() == streamed


@pytest.mark.parametrize("pieces", [('{"ci', 'ty": "Par', 'is"}'), ('{"city": ', "broken")])
def test_arguments_come_in_the_given_pieces_valid_or_not(
    seekd: Kit, client: openai.OpenAI, pieces: tuple[str, ...]
) -> None:
    seekd.reply(tool_call("get_weather", pieces=pieces), tool_call("get_weather", city="Rome"))
    chunks = stream(client, tools=[WEATHER])
    got: dict[int, list[str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            got.setdefault(call.index, []).append(call.function.arguments or "")
    assert got[0] == ["", *pieces]
    assert json.loads("".join(got[1])) == {"city": "Rome"}
    whole: Any = chat(client, tools=[WEATHER]).choices[0].message.tool_calls
    assert whole[0].function.arguments == "".join(pieces)


def test_text_comes_in_the_given_pieces(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply(Reply(pieces=("Hel", "lo wor", "ld")))
    texts = [chunk.choices[0].delta.content for chunk in stream(client)]
    assert [text for text in texts if text] == ["Hel", "lo wor", "ld"]


def test_log_probabilities_are_those_of_the_script(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply(Reply(tokens=[SaidToken(text="a", logprob=-0.5, top={"b": -1.0}), SaidToken(text="b", logprob=-2.0)]))
    logprobs = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [(one.token, one.logprob) for one in logprobs.content] == [("a", -0.5), ("b", -2.0)]
    assert [(one.token, one.logprob) for one in logprobs.content[0].top_logprobs] == [("a", -0.5), ("b", -1.0)]


def test_a_reply_can_be_cut_by_its_length(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("Half an", finish_reason="length")
    assert chat(client).choices[0].finish_reason == "length"
    seekd.reset()
    seekd.reply("This is far more than one token.")
    assert chat(client, max_tokens=1).choices[0].finish_reason == "length"


def test_strings_with_markup_reach_the_client_as_they_are(seekd: Kit, client: openai.OpenAI) -> None:
    evil = '</｜DSML｜ parameter> <｜DSML｜ invoke> "quotes" \\ \n and ｜DSML｜'
    seekd.reply(tool_call("get_weather", city=evil, more={"deep": [evil, 1, None]}))
    calls: Any = chat(client, tools=[WEATHER]).choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments) == {"city": evil, "more": {"deep": [evil, 1, None]}}


def test_the_validation_is_the_real_one_and_takes_no_reply(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("one").reply("two")
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        chat(client, max_tokens=-1)
    assert [chat(client).choices[0].message.content for _ in range(2)] == ["one", "two"]
    assert [request.status for request in seekd.requests] == [400, 200, 200]


def test_a_request_without_a_rule_gets_the_reason(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.on(text="weather").reply("x")
    with pytest.raises(openai.BadRequestError, match="does not hold 'weather', it is 'time'"):
        chat(client, "time")
    with pytest.raises(AssertionError, match="without an answer"):
        seekd.verify()
    seekd.reset()


def test_the_other_protocols_get_the_same_replies(seekd: Kit) -> None:
    seekd.on(text="call").reply("Look: ", tool_call("get_weather", city="Paris"))
    seekd.reply("Hello", reasoning="Hm.")
    with anthropic.Anthropic(base_url=f"{seekd.url}/anthropic", api_key="k", max_retries=0) as client:
        options: Any = {"model": "deepseek-chat", "max_tokens": 100}
        tools: Any = [{"name": "get_weather", "input_schema": {"type": "object"}}]
        answer = client.messages.create(messages=[{"role": "user", "content": "call"}], tools=tools, **options)
        assert [block.type for block in answer.content][-2:] == ["text", "tool_use"]
    with client_of(seekd) as client_:
        assert client_.responses.create(model="deepseek-chat", input="Hi").output_text == "Hello"
    completion = httpx.post(f"{seekd.url}/beta/completions", json={"model": "deepseek-chat", "prompt": "def"})
    assert completion.json()["choices"][0]["text"] == "Hello"
    assert [request.text for request in seekd.requests] == ["call", "Hi", "def"]


def test_official_retries_get_over_a_fault(seekd: Kit) -> None:
    seekd.reply("ok", fault="overloaded").once()
    seekd.on().fail("reset-before").fail("rate-limit", retry_after_s=0).reply("ok")
    with client_of(seekd, max_retries=3) as client:
        assert chat(client).choices[0].message.content == "ok"
    assert [request.fault for request in seekd.requests] == ["reset-before", "rate-limit", None]


def sent_with(seekd: Kit, fault: str, **body: Any) -> httpx.Response:
    chat_body = {"model": "deepseek-chat", "messages": said("Hi"), **body}
    return httpx.post(f"{seekd.base_url}/chat/completions", json=chat_body, headers={"X-Seekd-Fault": fault}, timeout=5)


def test_a_header_asks_for_a_fault_and_a_wrong_one_is_refused(seekd: Kit) -> None:
    seekd.reply("Hello there, you")
    assert sent_with(seekd, "insufficient-balance").status_code == 402
    assert "[DONE]" not in sent_with(seekd, "no-done", stream=True).text
    refused = sent_with(seekd, "no-dnoe", stream=True)
    assert (refused.status_code, "there are" in refused.text) == (400, True)
    assert check_chat_stream(sent_with(seekd, "split-utf8", stream=True).content).content == "Hello there, you"


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["reset", "close"])
def test_cut_connections_are_errors_of_the_transport(seekd: Kit, name: str, is_stream: bool) -> None:
    seekd.reply("Hello there, you")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        sent_with(seekd, name, stream=is_stream)


def test_a_stalled_stream_ends_by_the_clients_own_limit(seekd: Kit) -> None:
    seekd.on().fail("stall", after=2)
    got = b""
    body = {"model": "deepseek-chat", "messages": said("Hi"), "stream": True}
    with httpx.stream("POST", f"{seekd.base_url}/chat/completions", json=body, timeout=0.2) as response:
        parts = response.iter_raw()
        while got.count(b"data: ") < 2:
            got += next(parts)
        with pytest.raises(httpx.ReadTimeout):
            next(parts)
    assert got.count(b"data: ") == 2


def test_a_kit_that_ends_releases_clients_that_still_wait() -> None:
    with open_kit() as seekd:
        seekd.fail("stall", after=1)
        with httpx.Client(timeout=10) as client:
            body = {"model": "deepseek-chat", "messages": said("Hi"), "stream": True}
            request = client.build_request("POST", f"{seekd.base_url}/chat/completions", json=body)
            response = client.send(request, stream=True)
            parts = response.iter_raw()
            next(parts)
            seekd.release()
            with pytest.raises(httpx.RemoteProtocolError):
                list(parts)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("stall", "slow-start")])
def test_no_fault_breaks_the_server(seekd: Kit, client: openai.OpenAI, name: str, is_stream: bool) -> None:
    seekd.on(text="broken").reply("Grüße", tool_call("get_weather", city="Köln"), fault=name)
    seekd.reply("well")
    with contextlib.suppress(openai.APIError, httpx.HTTPError):
        (stream if is_stream else chat)(client, "broken", tools=[WEATHER])
    assert chat(client, "fine").choices[0].message.content == "well"
    assert seekd.requests[0].fault == name


@pytest.mark.seekd(dialect="hosted")
def test_a_marker_chooses_the_dialect(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("x")
    assert chat(client).model != "deepseek-chat"
    assert not chat(client).id.startswith("chatcmpl-")


def test_the_bundled_model_answers_where_no_script_does() -> None:
    with open_kit(model="bundled") as seekd, client_of(seekd, timeout=60) as client:
        seekd.on(text="Now fail").fail("rate-limit")
        assert chat(client, "Hello, how are you?", temperature=0).choices[0].message.content
        with pytest.raises(openai.RateLimitError):
            chat(client, "Now fail")
        assert [request.status for request in seekd.requests] == [200, 429]


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"none\.gguf"), open_kit(model="none.gguf"):
        pass


def test_other_programs_see_requests_and_make_rules_by_http(seekd: Kit, client: openai.OpenAI) -> None:
    with httpx.Client(base_url=seekd.url) as http:
        rules = {"reply": [{"when": {"text": "Hi"}, "text": "Hello"}]}
        assert http.post("/_seekd/replies", json=rules).status_code == 204
        assert chat(client, "Hi").choices[0].message.content == "Hello"
        [request] = http.get("/_seekd/requests").json()["requests"]
        assert (request["body"]["messages"], request["status"], request["rule"]) == (said("Hi"), 200, 0)
        for wrong, words in (
            (b"{", "not valid JSON"),
            (b"[]", "[[reply]]"),
            (b'{"reply":[{"fault":"x"}]}', "no fault"),
        ):
            refused = http.post("/_seekd/replies", content=wrong)
            assert refused.status_code == 400
            assert words in refused.json()["error"]["message"]
        assert http.post("/_seekd/reset").status_code == 204
        assert http.get("/_seekd/requests").json() == {"requests": [], "unmatched": []}


@pytest.mark.seekd(strict=True)
def test_a_strict_kit_fails_for_what_the_service_would_ignore(seekd: Kit, client: openai.OpenAI) -> None:
    seekd.reply("x")
    client.chat.completions.create(model="deepseek-flash", messages=said("fine"))
    seekd.verify()
    client.chat.completions.create(model="deepseek-flash", messages=said("Hello"), max_completion_tokens=5)
    with pytest.raises(AssertionError, match=r"request 1 \('Hello'\): The hosted API ignores 'max_completion_tokens'"):
        seekd.verify()
    seekd.reset()
