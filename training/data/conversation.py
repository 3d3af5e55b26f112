"""A training conversation and its rendering into prompt text with marked control tokens and loss spans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import deepseek_recipe as recipe

EOS = "<｜end▁of▁sentence｜>"
BOS = "<｜begin▁of▁sentence｜>"
SYSTEM, USER, ASSISTANT = "<｜System｜>", "<｜User｜>", "<｜Assistant｜>"
THINK, THINK_END = "<think>", "</think>"
_ENCODING = recipe.DeepseekV41Encoding()


@dataclass(slots=True, kw_only=True)
class Turn:
    """One message: a user, system, tool or assistant turn."""

    role: str
    text: str = ""
    reasoning: str | None = None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    learn: bool = True


@dataclass(slots=True, kw_only=True)
class Talk:
    """A conversation with its settings; `raw` replaces everything for text without roles."""

    turns: list[Turn] = field(default_factory=list)
    kind: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    json_mode: bool = False
    thinking: bool = False
    effort: str | None = None
    choice: str = "auto"
    raw: list[tuple[str, bool, bool]] | None = None


Segment = tuple[str, bool, bool]  # text, is a control token, carries loss


def user(text: str) -> Turn:
    """A user turn."""
    return Turn(role="user", text=text)


def system(text: str) -> Turn:
    """A system turn."""
    return Turn(role="system", text=text)


def tool(text: str) -> Turn:
    """A tool result turn."""
    return Turn(role="tool", text=text)


def bot(text: str = "", think: str | None = None, calls: Sequence[tuple[str, dict[str, Any]]] = ()) -> Turn:
    """An assistant turn."""
    return Turn(role="assistant", text=text, reasoning=think, calls=list(calls))


def _messages(talk: Talk) -> list[recipe.Message]:
    out: list[recipe.Message] = []
    pending: list[str] = []
    number = 0
    for turn in talk.turns:
        if turn.role == "system":
            out.append(recipe.SystemMessage(turn.text))
        elif turn.role == "user":
            out.append(recipe.UserMessage(turn.text))
        elif turn.role == "tool":
            out.append(recipe.ToolMessage(turn.text, pending.pop(0)))
        else:
            calls = []
            for name, args in turn.calls:
                number += 1
                calls.append(recipe.ToolCall(f"call_{number}", name, json.dumps(args, ensure_ascii=False)))
            pending = [c.id for c in calls]
            reasoning = (turn.reasoning or "") if talk.thinking else None
            out.append(recipe.AssistantMessage(turn.text, reasoning, calls or None))
    return out


def _render(talk: Talk, messages: list[recipe.Message]) -> recipe.RenderedPrompt:
    tools = [recipe.ToolDefinition(t["name"], t.get("description"), t.get("parameters")) for t in talk.tools]
    return _ENCODING.render_conversation(
        recipe.Conversation(
            messages,
            thinking_mode=talk.thinking,
            tools=tools or None,
            tool_choice=talk.choice,  # type: ignore[arg-type]
            reasoning_effort=talk.effort if talk.thinking else None,  # type: ignore[arg-type]
            response_format="json_object" if talk.json_mode else "text",
        )
    )


def prompt_segments(talk: Talk) -> list[Segment]:
    """The prompt that asks for the next assistant turn; no part carries loss."""
    return [(t, s, False) for t, s in _split(_render(talk, _messages(talk)))]


def _split(rendered: recipe.RenderedPrompt) -> list[tuple[str, bool]]:
    text, at, out = rendered.prompt, 0, []
    for start, end in rendered.special_ranges:
        if start > at:
            out.append((text[at:start], False))
        out.append((text[start:end], True))
        at = end
    if at < len(text):
        out.append((text[at:], False))
    return out


def segments(talk: Talk) -> list[Segment]:
    """The whole conversation; loss falls on what the assistant writes, up to and including the end token."""
    if talk.raw is not None:
        return talk.raw
    messages = _messages(talk)
    last = talk.turns[-1]
    open_ended = talk.thinking and not talk.tools  # stored turns lose their reasoning, so the last one is added by hand
    parts = _split(_render(talk, messages[:-1] if open_ended else messages))
    learn = [t.learn for t in talk.turns if t.role == "assistant"]
    if not open_ended:  # a closed conversation is rendered with a new assistant turn behind it
        end = max(i for i, (t, s) in enumerate(parts) if s and t == EOS)
        parts = parts[: end + 1]
    out: list[Segment] = []
    inside = header = False
    index = -1
    for text, special in parts:
        if special and text == ASSISTANT:
            inside, header = True, True
            index += 1
            out.append((text, True, False))
            continue
        if header and special and text in (THINK, THINK_END):
            header = False
            out.append((text, True, False))
            continue
        header = False
        out.append((text, special, inside and learn[index]))
        if special and text == EOS:
            inside = False
    if open_ended:
        if last.reasoning:
            out.append((last.reasoning, False, True))
        out += [(THINK_END, True, True), (last.text, False, True), (EOS, True, True)]
    return out
