"""Fill-in-the-middle and plain completion: the `ParsedBody` and `OutputParser` of `POST /completions`.

Prompt (V3 layout, the same in all newer vocabularies), without role markers:

    with a suffix     BOS <｜fim▁begin｜> prompt <｜fim▁hole｜> suffix <｜fim▁end｜>
    without           BOS prompt

Answer objects have the key order of Chat Completions; `logprobs` has the older shape.
Source: docs/reference/wire.md §12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seekd.errors import InvalidParameter
from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.answer.stops import StopScanner
from seekd.prompt.tokenizer_json import token_bytes_of
from seekd.prompt.types import AnswerStart, ChatFormat, Json, OutputChunk, PromptUsage, ResponseIdentity, Segment


def fim_segments(prompt: str, suffix: str | None, chat_format: ChatFormat) -> list[Segment]:
    """The prompt, BOS first where the model has one.

    Raises:
        InvalidParameter: there is a suffix, and the model cannot fill in the middle.
    """
    bos, markers = chat_format.bos, chat_format.fim
    segments = _control(bos) if bos else []
    if suffix is None:
        return segments + _plain(prompt)
    if markers is None:
        raise InvalidParameter("The loaded model cannot fill in the middle: send the prompt without a suffix.")
    return [
        *segments,
        *_control(markers.begin),
        *_plain(prompt),
        *_control(markers.hole),
        *_plain(suffix),
        *_control(markers.end),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionBody:
    """A validated completion request. Implements `types.ParsedBody`.

    Attributes:
        suffix: text behind the hole; None for plain completion.
        echo: the answer begins with the prompt.
        include_usage: every chunk has a `usage` key, null until the last.
    """

    prompt: str
    suffix: str | None = None
    echo: bool = False
    stops: Sequence[str] = ()
    include_usage: bool = False

    def render(self, chat_format: ChatFormat) -> list[Segment]:
        """The whole prompt, BOS first."""
        return fim_segments(self.prompt, self.suffix, chat_format)

    def answer_start(self, chat_format: ChatFormat) -> AnswerStart:
        """Completions never reason."""
        del chat_format
        return AnswerStart.CONTENT

    def open_parser(
        self,
        identity: ResponseIdentity,
        chat_format: ChatFormat,
        *,
        is_json: bool = False,
        tokenizer_json: str | None = None,
    ) -> CompletionParser:
        """A parser for this request's answer, which is plain text in every family."""
        del chat_format, is_json
        return CompletionParser(self, identity, None if tokenizer_json is None else token_bytes_of(tokenizer_json))


@dataclass(frozen=True, slots=True, kw_only=True)
class _TokenEntry:
    # start: characters of the answer before the token's own.
    text: str
    start: int
    logprob: float
    top: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class _Collected:
    text: str = ""
    entries: list[_TokenEntry] = field(default_factory=list)
    finish_reason: str | None = None


class CompletionParser:
    """Generated text to `text_completion` objects. Implements `types.OutputParser`."""

    def __init__(
        self, body: CompletionBody, identity: ResponseIdentity, token_bytes: Mapping[int, bytes] | None
    ) -> None:
        self._body = body
        self._identity = identity
        self._token_bytes = token_bytes
        self._detokenizer = Detokenizer()
        self._stops = StopScanner(body.stops)
        self._usage = PromptUsage(num_prompt_tokens=0)
        self._num_tokens = 0
        self._num_seen_chars = 0
        self._pending: list[_TokenEntry] = []
        self._whole = _Collected()
        self._offset = len(body.prompt) if body.echo else 0

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins; yields the prompt where it is to be echoed."""
        self._usage = usage
        return self._chunks(self._body.prompt, []) if self._body.echo else []

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text and how many generated tokens it accounts for."""
        self._num_tokens += num_tokens
        return self._emit(self._stops.push(text))

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities."""
        if self._token_bytes is None:
            raise ValueError("The parser was opened without a tokenizer.")
        text = ""
        for token_id, (logprob, top) in zip(token_ids, logprobs, strict=True):
            self._pending.append(
                _TokenEntry(
                    text=_shown(self._token_bytes[token_id]),
                    start=self._num_seen_chars + len(text),
                    logprob=logprob,
                    top={_shown(self._token_bytes[other]): value for other, value in top},
                )
            )
            text += self._detokenizer.push(self._token_bytes[token_id])
        self._num_seen_chars += len(text)
        return self.push_text(text, num_tokens=len(token_ids))

    @property
    def num_reasoning_tokens(self) -> int:
        """None: what is filled in is no reasoning."""
        return 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._stops.found

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        was_stopped = self.stopped
        events = self._emit(self._stops.push(self._detokenizer.flush()) + self._stops.flush())
        self._whole.finish_reason = "length" if hit_length_limit and not was_stopped else "stop"
        return [*events, self._chunk("", None, is_last=True)]

    def close(self) -> None:
        """Drop everything; no closing events."""
        self._pending.clear()

    def response(self) -> Json:
        """The whole response; valid after `finish`."""
        whole = self._whole
        return {
            **self._head(),
            "choices": [
                {
                    "index": 0,
                    "text": whole.text,
                    "logprobs": self._logprobs(whole.entries),
                    "finish_reason": whole.finish_reason,
                }
            ],
            "usage": self._usage_counts(),
            "system_fingerprint": self._identity.system_fingerprint,
        }

    def _emit(self, text: str) -> list[OutputChunk]:
        if not text:
            return []
        num_sent = len(self._whole.text) - self._offset + len(text)
        entries = [entry for entry in self._pending if entry.start < num_sent]
        self._pending = self._pending[len(entries) :]
        return self._chunks(text, entries)

    def _chunks(self, text: str, entries: list[_TokenEntry]) -> list[OutputChunk]:
        self._whole.text += text
        self._whole.entries += entries
        return [self._chunk(text, self._logprobs(entries), is_last=False)]

    def _chunk(self, text: str, logprobs: object, *, is_last: bool) -> OutputChunk:
        data: Json = {
            **self._head(),
            "system_fingerprint": self._identity.system_fingerprint,
            "choices": [
                {
                    "index": 0,
                    "text": text,
                    "logprobs": logprobs,
                    "finish_reason": self._whole.finish_reason if is_last else None,
                }
            ],
        }
        if is_last:
            data["usage"] = self._usage_counts()
        elif self._body.include_usage:
            data["usage"] = None
        return data

    def _head(self) -> Json:
        identity = self._identity
        return {
            "id": identity.response_id,
            "object": "text_completion",
            "created": identity.created_s,
            "model": identity.model,
        }

    def _logprobs(self, entries: Sequence[_TokenEntry]) -> object:
        if self._token_bytes is None or not entries:
            return None
        return {
            "text_offset": [self._offset + entry.start for entry in entries],
            "token_logprobs": [entry.logprob for entry in entries],
            "tokens": [entry.text for entry in entries],
            "top_logprobs": [dict(entry.top) for entry in entries],
        }

    def _usage_counts(self) -> Json:
        num_prompt, num_cached = self._usage.num_prompt_tokens, self._usage.num_cached_tokens
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": self._num_tokens,
            "total_tokens": num_prompt + self._num_tokens,
            "prompt_tokens_details": {"cached_tokens": num_cached},
            "prompt_cache_hit_tokens": num_cached,
            "prompt_cache_miss_tokens": num_prompt - num_cached,
        }


def _plain(text: str) -> list[Segment]:
    return [Segment(text=text)] if text else []


def _control(spelling: str) -> list[Segment]:
    return [Segment(text=spelling, is_control=True)]


def _shown(token_bytes: bytes) -> str:
    # As the protocol package shows tokens that are no whole characters.
    return token_bytes.decode("utf-8", "backslashreplace")
