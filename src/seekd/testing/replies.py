"""What the scripted model says: texts, reasoning, calls, log-probabilities, counts; as steps of a scripted engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seekd.engine.scripted import Cached, Delay, Emit, EmitText, Finish, ScriptStep, encode_marked
from seekd.engine.types import EngineRequest, FinishReason, TokenLogprobs
from seekd.errors import ConfigError
from seekd.testing.seen import SeenRequest
from seekd.vocabulary import Vocabulary

_MARK = "｜DSML｜"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call that the model makes.

    Attributes:
        name: of the tool.
        arguments: an object; or text that the client gets as it stands, valid JSON or not.
        pieces: how the arguments are cut in a stream of Chat Completions; joined they are the arguments' text.
    """

    name: str
    arguments: Mapping[str, Any] | str
    pieces: Sequence[str] = ()

    @property
    def exact(self) -> Sequence[str] | None:
        """The pieces that the client must get; None where the server writes and cuts the arguments itself."""
        if self.pieces:
            return self.pieces
        return (self.arguments,) if isinstance(self.arguments, str) else None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arguments as an object; empty where their text is none."""
        if not isinstance(self.arguments, str):
            return self.arguments
        try:
            read = json.loads(self.arguments)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}


def tool_call(
    name: str, arguments: Mapping[str, Any] | str | None = None, *, pieces: Sequence[str] = (), **more: Any
) -> ToolCall:
    """A call: `tool_call("get_weather", city="Paris")`.

    Args:
        name: of the tool.
        arguments: an object, or text that the client gets as it stands, for arguments that are no valid JSON.
        pieces: the arguments as the client gets them in a stream, one delta a piece.
        more: members of the arguments.
    """
    if pieces:
        return ToolCall(name=name, arguments="".join(pieces), pieces=tuple(pieces))
    if isinstance(arguments, str):
        return ToolCall(name=name, arguments=arguments)
    return ToolCall(name=name, arguments={**(arguments or {}), **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidToken:
    """A token with its log-probability, and those of alternatives by their texts; texts of several tokens spread."""

    text: str
    logprob: float
    top: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the model.

    Attributes:
        text: its content.
        reasoning: before it; left out where the request does not think.
        tool_calls: after it.
        tokens: the content as tokens with log-probabilities, in place of `text`.
        pieces: the content as it is generated, in place of `text`: the server never joins two of them.
        cached_tokens: how many of the prompt count as hits of the context cache; never all of them.
        finish_reason: `stop` or `length`; the end of a call is `tool_calls` by itself.
        delay_s: before the first token.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCall] = ()
    tokens: Sequence[SaidToken] = ()
    pieces: Sequence[str] = ()
    cached_tokens: int = 0
    finish_reason: str = "stop"
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        values: tuple[object, ...] = (self.text, self.reasoning)  # a script file may hold anything
        if not all(isinstance(value, str) for value in values):
            raise ConfigError(f"What a reply says is text, not {self.text!r} and {self.reasoning!r}.")
        if self.finish_reason not in ("stop", "length"):
            raise ConfigError(f"A reply ends with 'stop' or 'length', not with {self.finish_reason!r}; see faults.")

    def steps(self, request: EngineRequest, vocabulary: Vocabulary) -> Iterator[ScriptStep]:
        """What the engine does for this reply."""
        if self.cached_tokens:
            yield Cached(num_tokens=min(self.cached_tokens, len(request.prompt_token_ids) - 1))
        if self.delay_s:
            yield Delay(delay_s=self.delay_s)
        if request.prompt_token_ids[-1] == vocabulary.special_tokens.get("<think>"):
            yield EmitText(text=f"{self.reasoning}</think>", num_tokens_per_update=1)
        yield from self._content(vocabulary)
        if self.tool_calls:
            yield EmitText(text=_markup(self.tool_calls), num_tokens_per_update=8)
        yield Finish(reason=FinishReason(self.finish_reason))

    def _content(self, vocabulary: Vocabulary) -> Iterator[ScriptStep]:
        for piece in self.pieces:
            yield EmitText(text=piece, num_tokens_per_update=len(piece.encode()) or 1)
        for token in self.tokens:
            yield from _spoken(token, vocabulary)
        if not (self.pieces or self.tokens):
            yield EmitText(text=self.text, num_tokens_per_update=1)


Said = Reply | ToolCall | str
"""A reply; a text or a call alone stands for one."""

Answerer = Callable[[SeenRequest], Said]
"""Decides on the reply when the request is there."""


def reply_of(said: Said) -> Reply:
    """The reply that a text or a call stands for. Raises `ConfigError` for anything else."""
    if isinstance(said, Reply):
        return said
    if isinstance(said, ToolCall):
        return Reply(tool_calls=(said,))
    if isinstance(said, str):
        return Reply(text=said)
    raise ConfigError(f"A reply is a text, a tool call, a Reply or a function of the request, not {said!r}.")


def _spoken(token: SaidToken, vocabulary: Vocabulary) -> Iterator[Emit]:
    token_ids = encode_marked(vocabulary, token.text)
    others = [(encode_marked(vocabulary, text)[:1], logprob) for text, logprob in (token.top or {}).items()]
    top = [(token_ids[0], token.logprob), *((ids[0], logprob) for ids, logprob in others if ids)]
    best_first = tuple(sorted(top, key=lambda pair: -pair[1]))
    for number, token_id in enumerate(token_ids):
        chosen = TokenLogprobs(logprob=token.logprob, top=best_first)
        later = TokenLogprobs(logprob=0.0, top=((token_id, 0.0),))
        yield Emit(token_ids=(token_id,), logprobs=(chosen if number == 0 else later,))


def _markup(calls: Iterable[ToolCall]) -> str:
    """Calls as a model of the V4.1 layout writes them. Source: docs/reference/formats.md."""
    written = "".join(
        f'<{_MARK} invoke name="{call.name}">\n'
        + "".join(_parameter(name, value) for name, value in call.parameters.items())
        + f"</{_MARK} invoke>\n"
        for call in calls
    )
    return f"\n\n<{_MARK} calls>\n{written}</{_MARK} calls>"


def _parameter(name: str, value: object) -> str:
    is_plain = isinstance(value, str) and _MARK not in value
    text = value if is_plain else json.dumps(value, ensure_ascii=_MARK in str(value))
    return f'<{_MARK} parameter name="{name}" string="{"true" if is_plain else "false"}">{text}</{_MARK} parameter>\n'
