from collections.abc import Callable
from functools import partial

import pytest

from seekd.errors import InvalidParameter, MalformedBody
from seekd.wire.calls import Call
from seekd.wire.chat import parse_chat
from seekd.wire.completions import parse_completion
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.messages import parse_messages
from seekd.wire.requests import decoded_object, named_choice, text_or_none
from seekd.wire.responses import parse_responses

_MESSAGES = '"messages":[{"role":"user","content":"a"}]'
ROUTES: dict[str, tuple[Callable[..., Call], str]] = {
    "chat": (partial(parse_chat, beta=False), _MESSAGES),
    "completions": (partial(parse_completion, beta=True), '"prompt":"a"'),
    "messages": (parse_messages, f'"max_tokens":5,{_MESSAGES}'),
    "responses": (parse_responses, '"input":"a"'),
}
_NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens", "n")
SAMPLED = {
    "chat": (*_NUMBERS, "logprobs", "top_logprobs", "stop"),
    "completions": (*_NUMBERS, "logprobs", "stop"),
    "messages": ("temperature", "top_p", "max_tokens", "stop_sequences"),
    "responses": ("temperature", "top_p", "max_output_tokens", "top_logprobs"),
}
"""The members of each route that choose the tokens or say where to stop; others are not read."""
WRONG = ('"1"', "true", "NaN", "-Infinity", "1e400", "[1]", "{}", "9" * 30, "256.5")
RIGHT = {("chat", "logprobs", "true"), ("chat", "stop", '"1"'), ("completions", "stop", '"1"')}


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(("route", "member"), [(route, member) for route in ROUTES for member in SAMPLED[route]])
def test_no_route_takes_a_sampling_parameter_of_a_wrong_type(route: str, member: str, dialect: Dialect) -> None:
    parse, rest = ROUTES[route]
    for value in WRONG:
        if (route, member, value) not in RIGHT:
            body = f'{{"model":"deepseek-chat",{rest},"{member}":{value}}}'.encode()
            with pytest.raises((MalformedBody, InvalidParameter), match=rf"\b{member}\b"):
                parse(body, dialect=dialect)


@pytest.mark.parametrize("value", ['"1"', "true", "[1]", "-1", "1.5", "9" * 30])
def test_the_newer_limit_is_judged_beside_the_older_one_too(value: str) -> None:
    body = f'{{"model":"deepseek-chat",{_MESSAGES},"max_tokens":5,"max_completion_tokens":{value}}}'.encode()
    with pytest.raises(MalformedBody, match="max_completion_tokens: invalid"):
        parse_chat(body, dialect=CLASSIC, beta=False)


@pytest.mark.parametrize("value", ["-1", "256", "9" * 30])
def test_both_chat_formats_read_their_number_of_logprobs_alike(value: str) -> None:
    messages = []
    for route, members in (("chat", f'"logprobs":true,"top_logprobs":{value}'), ("completions", f'"logprobs":{value}')):
        parse, rest = ROUTES[route]
        with pytest.raises(MalformedBody) as failure:
            parse(f'{{"model":"deepseek-chat",{rest},{members}}}'.encode(), dialect=CLASSIC)
        messages.append(failure.value.message.partition(" at line")[0].replace("top_logprobs", "logprobs"))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_object_has_no_members(body: bytes) -> None:
    assert decoded_object(body) == {}


def test_of_equal_keys_the_last_counts() -> None:
    assert decoded_object(b'{"a":1,"a":2}') == {"a": 2}


def test_only_text_is_text() -> None:
    assert text_or_none("a") == "a"
    assert text_or_none(5) is None


@pytest.mark.parametrize(("choice", "name"), [({"name": "f"}, "f"), ({"name": 5}, None), ("auto", None), (None, None)])
def test_a_choice_may_name_its_tool(choice: object, name: str | None) -> None:
    assert named_choice(choice) == name


_FUNCTION = '{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}'


@pytest.mark.parametrize("protocol", ["chat", "messages", "responses"])
def test_a_request_says_whether_it_wants_to_be_judged(protocol: str) -> None:
    parse, members = ROUTES[protocol]

    def asks(check: str) -> bool:
        body = f'{{"model":"deepseek-chat",{members},"safety_check":{check}}}'
        return parse(body.encode(), dialect=HOSTED).request.must_be_judged

    assert asks('{"level":"high"}')
    assert not asks('{"level":"low"}')
    assert not asks("null")
    for wrong in ('{"level":"medium"}', "{}", '"high"', "true", '{"level":["high"]}'):
        with pytest.raises(InvalidParameter, match="Invalid 'safety_check'"):
            asks(wrong)


@pytest.mark.parametrize(("choice", "is_taken"), [('"auto"', True), ('"none"', True), ('"required"', False)])
def test_who_is_judged_forces_no_tool(choice: str, is_taken: bool) -> None:
    tools = f'"tools":[{_FUNCTION}],"tool_choice":{choice},"safety_check":{{"level":"high"}}'
    body = f'{{"model":"deepseek-chat",{_MESSAGES},{tools}}}'.encode()
    if is_taken:
        assert parse_chat(body, dialect=CLASSIC, beta=False).request.must_be_judged
    else:
        with pytest.raises(InvalidParameter, match="Invalid 'tool_choice'"):
            parse_chat(body, dialect=CLASSIC, beta=False)
