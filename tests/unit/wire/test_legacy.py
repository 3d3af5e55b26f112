import pytest

from seekd.errors import InvalidParameter
from seekd.testing.stream_check import check_chat_stream
from seekd.wire.dialect import CLASSIC, HOSTED
from seekd.wire.legacy import in_old_path
from tests.formats import V41
from tests.wire.driving import CALL_MARKUP, HELLO, Json, chat, drive, message_of, refusal

FUNCTION: Json = {
    "name": "get_weather",
    "description": "Get current weather information",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["location"],
    },
}
BODY: Json = {"functions": [FUNCTION], "function_call": "auto"}
ARGUMENTS = '{"location": "New York", "unit": "fahrenheit"}'


def _prompt(body: Json) -> str:
    return "".join(segment.text for segment in chat(body).request.body.render(V41))


def test_a_call_is_answered_in_the_legacy_shape() -> None:
    choice = drive(chat(BODY), [CALL_MARKUP]).whole["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "get_weather", "arguments": ARGUMENTS},
        "refusal": None,
    }
    assert choice["finish_reason"] == "function_call"


def test_a_streamed_call_has_the_legacy_shape() -> None:
    answer = check_chat_stream(drive(chat({**BODY, "stream": True}), [CALL_MARKUP]).stream)
    assert answer.function_call == {"name": "get_weather", "arguments": ARGUMENTS}
    assert answer.finish_reason == "function_call"
    assert not answer.tool_calls


def test_text_before_a_call_is_kept() -> None:
    message = drive(chat(BODY), ["Let me see.\n\n", CALL_MARKUP]).whole["choices"][0]["message"]
    assert message["content"] == "Let me see."
    assert message["function_call"]["name"] == "get_weather"


def test_only_the_first_of_two_calls_is_answered() -> None:
    markup = CALL_MARKUP.removesuffix("</｜DSML｜ calls>")
    twice = markup + markup.removeprefix("<｜DSML｜ calls>\n") + "</｜DSML｜ calls>"
    answer = drive(chat({**BODY, "stream": True}), [twice])
    assert check_chat_stream(answer.stream).function_call == {"name": "get_weather", "arguments": ARGUMENTS}
    assert answer.whole["choices"][0]["message"]["function_call"]["arguments"] == ARGUMENTS


def test_plain_text_is_answered_as_ever() -> None:
    message = drive(chat(BODY), ["Sunny."]).whole["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Sunny.", "refusal": None}


def test_the_rule_allows_one_call() -> None:
    rule = chat(BODY).request.rule
    assert rule is not None
    assert rule.max_calls == 1
    assert rule.tool_choice == "auto"


@pytest.mark.parametrize(("choice", "expected"), [({"name": "get_weather"}, "get_weather"), (None, "auto")])
def test_the_choice_may_name_the_function(choice: object, expected: str) -> None:
    rule = chat({"functions": [FUNCTION], "function_call": choice}).request.rule
    assert rule is not None
    assert rule.tool_choice == expected


def test_none_leaves_the_functions_out() -> None:
    assert chat({**BODY, "function_call": "none"}).request.rule is None
    assert "get_weather" not in _prompt({**BODY, "function_call": "none"})


def test_the_prompt_is_that_of_the_same_tools() -> None:
    assert _prompt(BODY) == _prompt({"tools": [{"type": "function", "function": FUNCTION}]})


def test_old_messages_become_a_tool_call_and_its_result() -> None:
    old = [
        *HELLO,
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": ARGUMENTS}},
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    call = {"id": "x", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
    new = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "x", "content": "sunny"},
    ]
    assert _prompt({**BODY, "messages": old}) == _prompt({**BODY, "messages": new})
    assert "<tool_result>sunny</tool_result>" in _prompt({"messages": old})


def test_two_rounds_of_old_messages_pair_up() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": "{}"}}
    result = {"role": "function", "name": "get_weather", "content": "sunny"}
    prompt = _prompt({**BODY, "messages": [*HELLO, call, result, call, {**result, "content": "rainy"}]})
    assert prompt.index("sunny") < prompt.index("rainy")


def test_messages_that_are_no_objects_are_left_to_be_refused() -> None:
    old = {"role": "function", "name": "f", "content": "x"}
    message = message_of(refusal(lambda: chat({**BODY, "messages": [5, old]}), CLASSIC))
    assert message.startswith("Failed to deserialize the JSON body into the target type: messages[0]: invalid type")


def test_a_function_message_without_its_call_is_refused_in_its_own_words() -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}, {"role": "function", "name": "f", "content": "1"}]}
    with pytest.raises(InvalidParameter, match=r"^Messages with role 'function' must be a response to"):
        chat(body)


def test_too_many_functions_are_refused_in_their_own_words() -> None:
    functions = [{"name": f"f{number}"} for number in range(129)]
    with pytest.raises(InvalidParameter, match=r"^Invalid 'functions': array too long\..*128.*129"):
        chat({"functions": functions})


def test_paths_are_translated_back() -> None:
    assert in_old_path(("tools", 0, "type")) == ("functions", 0, "type")
    assert in_old_path(("messages", 0)) == ("messages", 0)


def test_tools_win_over_functions() -> None:
    tools = [{"type": "function", "function": {**FUNCTION, "name": "newer"}}]
    rule = chat({**BODY, "tools": tools}).request.rule
    assert rule is not None
    assert [tool.name for tool in rule.tools] == ["newer"]
    assert rule.max_calls is None


def test_hosted_ignores_functions() -> None:
    call = chat(BODY, dialect=HOSTED)
    assert call.request.rule is None
    assert drive(call, [CALL_MARKUP]).whole["choices"][0]["message"]["content"] == CALL_MARKUP


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"functions": [FUNCTION, {**FUNCTION, "name": ""}]},
            (
                "Invalid 'functions[1].name': empty string. Expected a string with minimum length 1, but got an empty "
                "string instead."
            ),
        ),
        (
            {"functions": [{**FUNCTION, "name": "a b"}]},
            (
                "Invalid 'functions[0].name': string does not match pattern. "
                "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            ),
        ),
        ({"functions": [FUNCTION, FUNCTION]}, "Function names must be unique."),
        (
            {"functions": [FUNCTION], "function_call": {"name": "zzz"}},
            "Invalid value for 'function_call': no function named 'zzz' was specified in the 'functions' parameter.",
        ),
        (
            {"functions": [FUNCTION], "messages": [*HELLO, {"role": "function", "name": "f", "content": "x"}]},
            "Messages with role 'function' must be a response to a preceding message with 'function_call'",
        ),
    ],
)
def test_errors_name_functions(body: Json, message: str) -> None:
    assert message_of(refusal(lambda: chat(body), CLASSIC)) == message


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"functions": 5}, "functions: invalid type: integer `5`"),
        ({"functions": [FUNCTION, {}]}, "functions[1]: missing field `name`"),
        ({"functions": [{"name": 5}]}, "functions[0].name: invalid type: integer `5`"),
        ({"functions": [FUNCTION], "function_call": 5}, "function_call: expected one of"),
        ({"functions": [FUNCTION], "function_call": {"name": 5}}, "function_call"),
    ],
)
def test_shape_errors_name_the_path_as_the_caller_wrote_it(body: Json, path: str) -> None:
    message = message_of(refusal(lambda: chat(body), CLASSIC))
    assert message.startswith(f"Failed to deserialize the JSON body into the target type: {path}")
    assert " at line 1 column " in message
