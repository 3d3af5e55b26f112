from __future__ import annotations

from seekd.prompt.render.conversation import Message, StoredCall, Tool
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, result, system, user


def test_a_conversation_in_our_own_words() -> None:
    messages = [
        system("S"),
        user("U"),
        assistant("A", ("f", "{}"), ("g", "[]"), reasoning_content="r"),
        result("G", 1),
        result("F", 0),
        {"role": "latest_reminder", "content": "N"},
    ]
    conversation = chat_body(messages, thinking=True).conversation
    assert conversation.messages == [
        Message(role="system", content="S"),
        Message(role="user", content="U"),
        Message(
            role="assistant",
            content="A",
            reasoning="r",
            calls=(
                StoredCall(call_id="c0", name="f", arguments="{}"),
                StoredCall(call_id="c1", name="g", arguments="[]"),
            ),
        ),
        Message(role="tool", content="F", call_id="c0"),
        Message(role="tool", content="G", call_id="c1"),
        Message(role="system", content="N"),
    ]
    assert conversation.thinking
    assert conversation.prefix is None
    begun = chat_body([user("U"), assistant("P", prefix=True)]).conversation
    assert begun.prefix is begun.messages[-1]
    assert begun.messages[-1].content == "P"


def test_what_the_answer_has_to_be() -> None:
    tools = [WEATHER, {"type": "function", "function": {"name": "g"}}]
    auto = chat_body([user("U")], tools=tools).conversation
    assert [tool.name for tool in auto.tools] == ["get_weather", "g"]
    assert auto.tools[1].definition() == {"name": "g", "description": "", "parameters": {}}
    assert not auto.must_call
    named = chat_body(
        [user("U")], tools=tools, tool_choice={"type": "function", "function": {"name": "g"}}
    ).conversation
    assert ([tool.name for tool in named.tools], named.must_call) == (["g"], True)
    assert chat_body([user("U")], tools=tools, tool_choice="none").conversation.tools == ()
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": "é"}}}
    assert chat_body([user("json")], response_format=schema).conversation.answer_schema == '{"title": "é"}'


def test_a_tool_has_all_three_members() -> None:
    assert Tool(name="f").definition() == {"name": "f", "description": "", "parameters": {}}
