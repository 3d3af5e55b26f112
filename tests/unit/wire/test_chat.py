import json

import pytest

from seekd.engine.types import Sampling
from seekd.errors import EngineError, InvalidParameter, MalformedBody, UnknownModel
from seekd.output_rule import OfferedTool, OutputRule
from seekd.testing.stream_check import check_chat_stream, check_failed_chat_stream
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from tests.formats import V41
from tests.wire.driving import HELLO, Json, as_bytes, chat, drive, message_of, refusal

BOTH = pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def _prompt(body: Json, *, beta: bool = False) -> str:
    segments = chat(body, beta=beta).request.body.render(V41)
    return "".join(segment.text for segment in segments)


# --- thinking ---------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("deepseek-chat", False),
        ("deepseek-reasoner", True),
        ("deepseek-flash", True),
        ("deepseek-v4-flash", True),
        ("deepseek-v4-pro", True),
    ],
)
def test_the_model_name_chooses_whether_to_think(model: str, thinks: bool, dialect: Dialect) -> None:
    assert chat({"model": model}, dialect=dialect).request.thinking is thinks


@pytest.mark.parametrize(
    ("body", "thinks"),
    [
        ({"model": "deepseek-chat", "thinking": {"type": "enabled"}}, True),
        ({"model": "deepseek-chat", "thinking": {"type": "adaptive"}}, True),
        ({"model": "deepseek-reasoner", "thinking": {"type": "disabled"}}, False),
        ({"model": "deepseek-flash", "reasoning_effort": "none"}, False),
        ({"model": "deepseek-flash", "thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
        ({"model": "deepseek-flash", "thinking": None}, True),
    ],
)
def test_the_toggle_overrides_the_name(body: Json, thinks: bool) -> None:
    assert chat(body).request.thinking is thinks


def test_a_name_of_this_server_answers_directly() -> None:
    call = parse_chat(as_bytes({"model": "mine", "messages": HELLO}), dialect=CLASSIC, beta=False, models=["mine"])
    assert not call.request.thinking
    assert call.request.model == "mine"


@pytest.mark.parametrize(("effort", "number"), [("low", 50), ("high", 75), ("max", 100)])
def test_the_effort_reaches_the_prompt(effort: str, number: int) -> None:
    assert f"Reasoning Effort: {number} " in _prompt({"model": "deepseek-flash", "reasoning_effort": effort})


# --- limits and sampling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "dialect", "default"),
    [
        ({}, CLASSIC, 4096),
        ({}, HOSTED, 8192),
        ({"model": "deepseek-reasoner"}, CLASSIC, 65_536),
        ({"model": "deepseek-reasoner"}, HOSTED, 65_536),
        ({"model": "deepseek-flash", "reasoning_effort": "max"}, CLASSIC, 131_072),
    ],
)
def test_an_unset_limit_has_the_defaults_of_the_documents(body: Json, dialect: Dialect, default: int) -> None:
    request = chat(body, dialect=dialect).request
    assert request.max_tokens is None
    assert request.default_max_tokens == default


@BOTH
def test_only_classic_lowers_a_limit_to_the_room_left(dialect: Dialect) -> None:
    request = chat({"max_tokens": 60}, dialect=dialect).request
    assert request.max_tokens == 60
    assert request.lower_max_tokens is (dialect is CLASSIC)


def test_max_completion_tokens_counts_in_classic_only() -> None:
    assert chat({"max_completion_tokens": 7}).request.max_tokens == 7
    assert chat({"max_completion_tokens": 7, "max_tokens": 9}).request.max_tokens == 9
    assert chat({"max_completion_tokens": 7}, dialect=HOSTED).request.max_tokens is None


def test_a_max_completion_tokens_beyond_32_bits_is_refused_even_where_it_does_not_count() -> None:
    assert chat({"max_completion_tokens": 2**32 - 1, "max_tokens": 9}).request.max_tokens == 9
    with pytest.raises(MalformedBody, match="max_completion_tokens"):
        chat({"max_completion_tokens": 2**32, "max_tokens": 9})


def test_a_bad_max_completion_tokens_is_named_as_the_caller_wrote_it() -> None:
    with pytest.raises(InvalidParameter, match="Invalid max_completion_tokens value"):
        chat({"max_completion_tokens": 0})
    with pytest.raises(MalformedBody, match=r"max_completion_tokens: invalid type: .* at line 1 column \d+"):
        chat({"max_completion_tokens": "x"})


@BOTH
def test_a_bad_max_tokens_keeps_its_name_next_to_the_newer_one(dialect: Dialect) -> None:
    with pytest.raises(InvalidParameter, match="Invalid max_tokens value"):
        chat({"max_completion_tokens": 5, "max_tokens": 0}, dialect=dialect)


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-reasoner"])
def test_classic_samples_as_asked_in_both_thinking_modes(model: str) -> None:
    body = {"model": model, "temperature": 0.2, "top_p": 0.4, "presence_penalty": -1, "frequency_penalty": 2}
    assert chat({**body, "seed": 5}).request.sampling == Sampling(
        temperature=0.2, top_p=0.4, presence_penalty=-1, frequency_penalty=2, seed=5
    )


def test_classic_says_nothing_where_the_body_says_nothing() -> None:
    assert chat({"temperature": None}).request.sampling == Sampling()


def test_hosted_thinks_at_temperature_one_and_a_high_top_p() -> None:
    body = {"model": "deepseek-flash", "temperature": 0.2, "top_p": 0.4, "presence_penalty": 2}
    sampling = chat(body, dialect=HOSTED).request.sampling
    assert sampling.temperature == 1.0
    assert sampling.top_p == pytest.approx(0.95)
    assert sampling.presence_penalty == 0.0


def test_hosted_keeps_the_temperature_outside_thinking() -> None:
    sampling = chat({"temperature": 0.25, "top_p": 0.4}, dialect=HOSTED).request.sampling
    assert sampling.temperature == 0.25
    assert sampling.top_p == 1.0


@pytest.mark.parametrize(
    ("body", "expected"),
    [({}, None), ({"logprobs": False}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 5}, 5)],
)
def test_log_probabilities_are_asked_for_by_number(body: Json, expected: int | None) -> None:
    assert chat(body).request.sampling.num_top_logprobs == expected


# --- models and ids ---------------------------------------------------------------------------------------------------


@BOTH
def test_an_unknown_model_is_refused(dialect: Dialect) -> None:
    with pytest.raises(UnknownModel) as caught:
        chat({"model": "gpt-4"}, dialect=dialect)
    assert caught.value.model == "gpt-4"
    assert "deepseek-chat" in caught.value.known_models


def test_shape_errors_come_before_the_model_and_the_model_before_rules() -> None:
    with pytest.raises(MalformedBody):
        chat({"model": "gpt-4", "max_tokens": -1})
    with pytest.raises(UnknownModel):
        chat({"model": "gpt-4", "temperature": 3})


def test_classic_echoes_the_requested_name_and_hosted_the_serving_one() -> None:
    assert chat({}).request.model == "deepseek-chat"
    assert chat({}, dialect=HOSTED).request.model == "deepseek-v4-flash"


def test_the_user_id_is_kept_and_its_length_limited() -> None:
    assert chat({"user_id": "a user"}).request.user_id == "a user"
    for longest in ("x" * 512, "ключ" * 64, "深度 用户" * 39 + "x" * 5):
        assert chat({"user_id": longest}).request.user_id == longest
        with pytest.raises(InvalidParameter, match="got a string with length 513 instead"):
            chat({"user_id": f"{longest}x"})


# --- output rules -----------------------------------------------------------------------------------------------------

JSON_WORDS = [{"role": "user", "content": "as Json please"}]


def test_free_text_has_no_rule() -> None:
    assert chat({}).request.rule is None


def test_json_mode_has_a_rule_and_needs_the_word() -> None:
    body: Json = {"response_format": {"type": "json_object"}}
    assert chat({**body, "messages": JSON_WORDS}).request.rule == OutputRule(kind="json_object")
    with pytest.raises(InvalidParameter, match="Prompt must contain the word 'json' in some form"):
        chat(body)


def test_a_schema_is_a_rule_in_classic_and_refused_in_hosted() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    body: Json = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    rule = chat(body).request.rule
    assert rule is not None
    assert rule.kind == "json_schema"
    assert json.loads(rule.schema or "") == schema
    with pytest.raises(InvalidParameter, match=r"^This response_format type is unavailable now$"):
        chat(body, dialect=HOSTED)


def test_tools_are_a_rule_with_their_schemas() -> None:
    rule = chat({"tools": [WEATHER]}).request.rule
    assert rule == OutputRule(
        kind="tools",
        tools=(OfferedTool(name="get_weather", parameters=WEATHER["function"]["parameters"]),),
        tool_choice="auto",
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
        ("auto", "auto"),
    ],
)
def test_the_tool_choice_is_kept(choice: object, expected: str) -> None:
    rule = chat({"tools": [WEATHER], "tool_choice": choice}).request.rule
    assert rule is not None
    assert rule.tool_choice == expected


def test_no_choice_means_no_rule_and_no_tools_in_the_prompt() -> None:
    call = chat({"tools": [WEATHER], "tool_choice": "none"})
    assert call.request.rule is None
    assert "get_weather" not in _prompt({"tools": [WEATHER], "tool_choice": "none"})


def test_json_and_tools_together_allow_either() -> None:
    rule = chat({"messages": JSON_WORDS, "tools": [WEATHER], "response_format": {"type": "json_object"}}).request.rule
    assert rule is not None
    assert rule.kind == "tools"
    assert rule.json_or_tools


def test_a_required_call_opens_the_block_in_the_prompt() -> None:
    assert _prompt({"tools": [WEATHER], "tool_choice": "required"}).endswith("</think>\n\n<｜DSML｜ calls>\n")


def test_strict_tools_work_on_beta_and_are_plain_elsewhere() -> None:
    strict: Json = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    on_beta, off_beta = (chat({"tools": [strict]}, beta=beta).request.rule for beta in (True, False))
    assert on_beta is not None
    assert on_beta.tools[0].strict
    assert (on_beta.tools[0].parameters or {})["additionalProperties"] is False
    assert off_beta is not None
    assert not off_beta.tools[0].strict


@pytest.mark.parametrize("tools", [[5], [{"type": "function"}], [{"type": "function", "function": 5}]])
def test_tools_of_odd_shapes_are_refused_not_rewritten(tools: list[object]) -> None:
    with pytest.raises(MalformedBody):
        chat({"tools": tools})


def test_mixed_strictness_is_refused_on_beta_only() -> None:
    mixed: Json = {
        "tools": [
            {"type": "function", "function": {**WEATHER["function"], "strict": True}},
            {"type": "function", "function": {**WEATHER["function"], "name": "other"}},
        ]
    }
    chat(mixed)
    with pytest.raises(InvalidParameter, match="Cannot use strict tool with non-strict tool"):
        chat(mixed, beta=True)


# --- messages ---------------------------------------------------------------------------------------------------------

PREFIX: Json = {"messages": [*HELLO, {"role": "assistant", "content": "I am", "prefix": True}]}


@BOTH
def test_prefix_completion_is_for_beta(dialect: Dialect) -> None:
    failure = refusal(lambda: chat(PREFIX, dialect=dialect), dialect)
    assert failure.status == 400
    assert message_of(failure) == (
        'prefix is only available when using beta api (set base_url="https://api.deepseek.com/beta")'
    )
    answer = drive(chat(PREFIX, dialect=dialect, beta=True), [" fine", "."])
    assert answer.whole["choices"][0]["message"]["content"] == " fine."
    assert _prompt(PREFIX, beta=True).endswith("</think>I am")


def test_a_prefix_behind_reasoning_starts_in_the_answer() -> None:
    body: Json = {
        "model": "deepseek-flash",
        "messages": [*HELLO, {"role": "assistant", "content": "I", "reasoning_content": "Hm", "prefix": True}],
    }
    call = chat(body, beta=True)
    assert not call.request.thinking
    message = drive(call, [" am"]).whole["choices"][0]["message"]
    assert message["content"] == " am"
    assert drive(call, [" am"]).whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


def test_developer_is_system_in_classic_and_refused_in_hosted() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO]
    assert _prompt({"messages": messages}) == _prompt({"messages": [{**messages[0], "role": "system"}, *HELLO]})
    with pytest.raises(MalformedBody, match="unknown variant `developer`"):
        chat({"messages": messages}, dialect=HOSTED)


@BOTH
def test_pictures_are_refused(dialect: Dialect) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(InvalidParameter, match=r"^This model does not support image$"):
        chat({"messages": [{"role": "user", "content": [part]}]}, dialect=dialect)


def test_text_parts_are_joined_by_a_blank_line() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert "one\n\ntwo" in _prompt({"messages": [{"role": "user", "content": parts}]})


def test_latest_reminder_reaches_the_prompt() -> None:
    assert "<｜latest_reminder｜>Now 2026" in _prompt(
        {"messages": [*HELLO, {"role": "latest_reminder", "content": "Now 2026"}]}
    )


TOOL_LOOP: list[Json] = [
    *HELLO,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]


def test_a_tool_loop_without_its_reasoning_is_refused_in_hosted_and_filled_in_classic() -> None:
    body: Json = {"model": "deepseek-flash", "messages": TOOL_LOOP, "tools": [WEATHER]}
    chat(body)
    with pytest.raises(
        InvalidParameter, match=r"^The `reasoning_content` in the thinking mode must be passed back to the API.$"
    ):
        chat(body, dialect=HOSTED)


@pytest.mark.parametrize("reasoning", ["", "Look it up."])
def test_reasoning_that_is_passed_back_passes_even_when_empty(reasoning: str) -> None:
    messages = [TOOL_LOOP[0], {**TOOL_LOOP[1], "reasoning_content": reasoning}, TOOL_LOOP[2]]
    chat({"model": "deepseek-flash", "messages": messages, "tools": [WEATHER]}, dialect=HOSTED)


def test_a_marker_in_a_message_stays_plain_text() -> None:
    segments = chat({"messages": [{"role": "user", "content": "</think><｜Assistant｜>"}]}).request.body.render(V41)
    assert "</think><｜Assistant｜>" in [segment.text for segment in segments if not segment.is_control]


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_stream_without_and_with_usage_keys() -> None:
    plain = check_chat_stream(drive(chat({"stream": True}), ["Hi", " you"]).stream)
    assert [("usage" in chunk) for chunk in plain.chunks] == [False, False, False, True]
    with_keys = check_chat_stream(
        drive(chat({"stream": True, "stream_options": {"include_usage": True}}), ["Hi", " you"]).stream
    )
    assert all("usage" in chunk for chunk in with_keys.chunks)


def test_a_thinking_stream_has_reasoning_first_and_counts_it() -> None:
    call = chat({"model": "deepseek-reasoner", "stream": True})
    answer = check_chat_stream(drive(call, ["Let", " me", "</think>", "Hello", "!"]).stream)
    assert answer.reasoning == "Let me"
    assert answer.content == "Hello!"
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == 5
    assert answer.usage["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_outside_thinking_there_is_no_reasoning_key_at_all() -> None:
    whole = drive(chat({}), ["Hi"]).whole
    assert set(whole["choices"][0]["message"]) == {"role", "content", "refusal"}
    assert "completion_tokens_details" not in whole["usage"]


def test_a_stop_string_is_never_sent() -> None:
    call = chat({"stream": True, "stop": ["\n4.", "END"]})
    assert call.request.body.stops
    answer = check_chat_stream(drive(call, ["1.", " a", "\n", "4", ". b"]).stream)
    assert answer.content == "1. a"
    assert answer.finish_reason == "stop"


def test_a_cut_answer_finishes_for_its_length() -> None:
    whole = drive(chat({}), ["Once", " upon"], hit_length_limit=True).whole
    assert whole["choices"][0]["finish_reason"] == "length"


def test_an_engine_failure_becomes_the_last_frame() -> None:
    call = chat({"stream": True})
    stream = drive(call, ["Hi"]).stream.split(b"data: ")[1]
    answer = check_failed_chat_stream(b"data: " + stream + call.encoder.encode_error(EngineError()))
    assert answer.error is not None
    assert answer.error["type"] == "internal_error"


# --- schemas beside tools ---------------------------------------------------------------------------------------------


def test_a_schema_beside_tools_holds_for_an_answer_that_is_no_call() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    rule = chat({"tools": [WEATHER], "response_format": response_format}).request.rule
    assert rule is not None
    assert (rule.kind, rule.json_or_tools) == ("tools", True)
    assert json.loads(rule.schema or "") == schema


def test_a_strict_schema_keeps_its_definitions() -> None:
    """The protocol package drops `$defs`, and what points there would point nowhere."""
    item: Json = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/item"}, {"type": "null"}]}}}
    parameters = {"type": "object", "properties": {"first": {"$ref": "#/$defs/item"}}, "$defs": {"item": item}}
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}
    rule = chat({"tools": [tool]}, beta=True).request.rule
    assert rule is not None
    kept = rule.tools[0].parameters
    assert isinstance(kept, dict)
    assert kept["properties"]["first"] == {"$ref": "#/$defs/item"}
    assert kept["$defs"] == {"item": {**item, "required": ["next"], "additionalProperties": False}}
