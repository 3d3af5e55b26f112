"""The page of chat formats says what each format does: every row is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.errors import InvalidParameter
from seekd.models.detection import detect_format
from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.render.fim import fim_segments
from seekd.prompt.types import AnswerStart, PromptFormat
from tests.unit.prompt.reading import WEATHER, chat_body, prompt_of, user
from tests.unit.prompt.speaking import speaker_of

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "formats.md"
CELLS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
ROWS = {PromptFormat(cells[0].strip(" `")): cells[1:] for cells in CELLS}
HI = [user("Hi")]
OPENERS = {
    "DSML": "<｜DSML｜",
    "DSML, text from the file": "<｜DSML｜function_calls>",
    "bare JSON": "<｜tool▁call▁begin｜>TOOL_NAME<｜tool▁sep｜>",
    "JSON fence": "```json",
    "JSON fence, not trained": "```json",
    "`<tool_call>` JSON": "<tool_call>",
}
DETECTED = {
    PromptFormat.V41: ("", "deepseek41"),
    PromptFormat.V4: ("", "deepseek4"),
    PromptFormat.V32: ("", "deepseek32"),
    PromptFormat.V31: ("<｜tool▁sep｜>", "deepseek2"),
    PromptFormat.V3: ("<｜tool▁sep｜> ```json", "deepseek2"),
    PromptFormat.R1: ("<｜tool▁sep｜> ```json <think>", "deepseek2"),
    PromptFormat.R1_0528: ("<｜tool▁sep｜> ```json </think>", "deepseek2"),
    PromptFormat.TEMPLATE: ("{{ messages }}", "llama"),
    PromptFormat.COMPLETION: ("", "llama"),
}


def test_the_table_has_each_format_once() -> None:
    assert list(ROWS) == list(PromptFormat)
    assert len(CELLS) == len(ROWS)


@pytest.mark.parametrize("prompt_format", DETECTED)
def test_detection(prompt_format: PromptFormat) -> None:
    template, architecture = DETECTED[prompt_format]
    found = detect_format({"tokenizer.chat_template": template}, architecture)
    assert found == prompt_format.value
    shown = ROWS[prompt_format][1]
    assert not template or "no template" not in shown
    assert not architecture.startswith(("deepseek3", "deepseek4")) or architecture in shown


@pytest.mark.parametrize("prompt_format", PromptFormat)
def test_thinking(prompt_format: PromptFormat) -> None:
    speaker, says = speaker_of(prompt_format), ROWS[prompt_format][2]
    starts = [chat_body(HI, thinking=thinking).answer_start(speaker) for thinking in (True, False)]
    content, reasoning, maybe = AnswerStart.CONTENT, AnswerStart.REASONING, AnswerStart.MAYBE_REASONING
    expected = {
        "switch": [reasoning, content],
        "switch, off with tools": [reasoning, content],
        "never": [content, content],
        "always": [reasoning, reasoning],
        "as the model likes": [maybe, maybe],
        "as the template does": [content, content],  # the template here does not think
    }
    assert starts == expected[says]
    with_tools = chat_body(HI, thinking=True, tools=[WEATHER]).answer_start(speaker)
    assert (with_tools is content) == (says in ("switch, off with tools", "never", "as the template does"))


@pytest.mark.parametrize("prompt_format", PromptFormat)
def test_tools_and_json(prompt_format: PromptFormat) -> None:
    speaker, (_, _, _, tools, json_mode, _) = speaker_of(prompt_format), ROWS[prompt_format]
    body = chat_body([user("json")], tools=[WEATHER])
    if tools == "no chat":
        assert json_mode == "no chat"
        with pytest.raises(InvalidParameter, match="no chat template"):
            body.render(speaker)
        return
    if tools == "refused":
        with pytest.raises(InvalidParameter, match="does not call tools"):
            body.render(speaker)
    else:
        assert OPENERS[tools] in prompt_of(body.render(speaker))
    rule = OutputRule(kind="tools", tools=(OfferedTool(name="f"),), tool_choice="required")
    assert '"' in constraint_for(rule, call_syntax=speaker.call_syntax, starts_in_reasoning=True).grammar
    assert json_mode == "enforced"
    as_json = OutputRule(kind="json_object")
    assert "%json" in constraint_for(as_json, call_syntax=speaker.call_syntax, starts_in_reasoning=False).grammar


@pytest.mark.parametrize("prompt_format", PromptFormat)
def test_filling_in_the_middle(prompt_format: PromptFormat) -> None:
    assert ROWS[prompt_format][5] in ("yes", "with its tokens")
    assert "<｜fim▁hole｜>" in prompt_of(fim_segments("a", "b", speaker_of(prompt_format)))
