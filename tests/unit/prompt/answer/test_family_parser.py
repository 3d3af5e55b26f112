from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.prompt.tokenizer_json import tokenizer_json
from seekd.prompt.types import PromptFormat, PromptUsage
from tests.unit.prompt.reading import IDENTITY, WEATHER, chat_body, user
from tests.unit.prompt.speaking import speaker_of

VOCABULARY = ScriptedVocabulary()
TOKENIZER = tokenizer_json(VOCABULARY)
CALL = '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'


def answered(text: str, prompt_format: PromptFormat, *, is_cut: bool = False, **fields: Any) -> dict[str, Any]:
    """The whole answer to tokens with their log-probabilities, one by one."""
    body = chat_body([user("x")], logprobs=True, top_logprobs=1, **fields)
    parser = body.open_parser(IDENTITY, speaker_of(prompt_format), tokenizer_json=TOKENIZER)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    for token_id in VOCABULARY.encode(text):
        parser.push_tokens([token_id], [(-0.5, [(token_id, -0.5)])])
        if parser.stopped:
            break
    parser.finish(hit_length_limit=is_cut)
    return parser.response()


def spoken(answer: dict[str, Any], key: str) -> bytes:
    entries = answer["choices"][0]["logprobs"][key]
    return b"".join(bytes(entry["bytes"]) for entry in entries)


def test_tokens_that_pass_unchanged_keep_their_log_probabilities() -> None:
    answer = answered(f"Sée <ok>\n\n{CALL}", PromptFormat.V31, tools=[WEATHER])
    assert answer["choices"][0]["message"]["content"] == "Sée <ok>"
    assert spoken(answer, "content") == "Sée <ok>".encode()
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'
    assert answer["usage"]["completion_tokens"] == len(VOCABULARY.encode(f"Sée <ok>\n\n{CALL}"))


def test_reasoning_and_an_answer_that_had_none() -> None:
    thought = answered("Hm</think>ok", PromptFormat.R1, thinking=True)
    assert (spoken(thought, "reasoning_content"), spoken(thought, "content")) == (b"Hm", b"ok")
    assert thought["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    direct = answered("ok", PromptFormat.R1_0528, thinking=True)
    assert spoken(direct, "content") == b"ok"
    assert direct["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


def test_what_is_held_back_at_the_end_still_counts() -> None:
    text = "ok <｜tool▁calls▁begin｜><｜tool"
    answer = answered(text, PromptFormat.V3, tools=[WEATHER], is_cut=True)
    assert answer["choices"][0]["message"]["content"] == "ok "
    assert answer["usage"]["completion_tokens"] == len(VOCABULARY.encode(text))


def test_an_unfinished_character_is_shown_and_counted() -> None:
    body = chat_body([user("x")], logprobs=True)
    parser = body.open_parser(IDENTITY, speaker_of(PromptFormat.V3), tokenizer_json=TOKENIZER)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_tokens([0xC3], [(-0.5, [])])
    parser.finish(hit_length_limit=False)
    answer = parser.response()
    assert answer["choices"][0]["message"]["content"] == "\ufffd"
    assert answer["usage"]["completion_tokens"] == 1


def test_reasoning_is_counted_as_it_comes() -> None:
    parser = chat_body([user("x")], thinking=True).open_parser(IDENTITY, speaker_of(PromptFormat.R1))
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_text("a", num_tokens=2)
    parser.push_text("</think>b", num_tokens=3)
    assert parser.num_reasoning_tokens == 2


@pytest.mark.parametrize(("protocol", "fields"), [("messages", {"max_tokens": 9}), ("responses", {})])
def test_the_other_protocols_get_their_own_events(protocol: str, fields: dict[str, Any]) -> None:
    turns = {"messages": [{"role": "user", "content": "x"}]} if protocol == "messages" else {"input": "x"}
    read = ReadBody(WireProtocol(protocol), json.dumps({"model": "m", "stream": True, **turns, **fields}).encode())
    body = read.convert(models=("m",), thinking_by_default=False, requires_reasoning=False)
    parser = body.open_parser(IDENTITY, speaker_of(PromptFormat.R1))
    chunks = parser.ready(PromptUsage(num_prompt_tokens=1))
    for text in ("Hm", "\n</think>", "\n\nok"):
        chunks += parser.push_text(text, num_tokens=1)
    chunks += parser.finish(hit_length_limit=False)
    events = chunks
    deltas = [str(event["delta"]) for event in events if event["type"].endswith("delta") and "delta" in event]
    assert any("Hm" in delta for delta in deltas)
    assert any("ok" in delta for delta in deltas)
    whole = str(parser.response())
    assert "Hm" in whole
    assert "think>" not in whole


def test_a_stop_string_ends_it() -> None:
    answer = answered("one END two", PromptFormat.V3, stop=["END"])
    assert answer["choices"][0]["message"]["content"] == "one "
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_tokens_need_a_tokenizer_and_a_closed_parser_is_silent() -> None:
    parser = chat_body([user("x")]).open_parser(IDENTITY, speaker_of(PromptFormat.V3))
    with pytest.raises(ValueError, match="without a tokenizer"):
        parser.push_tokens([1], [(0.0, [])])
    parser.close()
    assert not parser.stopped
