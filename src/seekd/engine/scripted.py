"""An engine that plays scripts: no model, no process, no randomness.

For tests, fault drills and benchmarks of everything around the engine. It keeps the rules of a real engine (one
finishing update, `max_tokens`, deadline, abort when the iterator is closed, typed errors) and lets a script choose
the rest. It does not enforce constraints: a script emits what it emits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from seekd.engine.text_pieces import text_pieces
from seekd.engine.types import (
    CacheExplanation,
    EngineHealth,
    EngineRequest,
    EngineStats,
    EngineUpdate,
    FinishReason,
    ModelInfo,
    PromptListener,
    TokenLogprobs,
    ignore_progress,
)
from seekd.errors import CapacityError, EngineError, ShuttingDown
from seekd.vocabulary import TokenKind, Vocabulary

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"

_CONTROL = (
    BOS,
    EOS,
    "<｜▁pad▁｜>",
    "<｜System｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜fim▁begin｜>",
    "<｜fim▁hole｜>",
    "<｜fim▁end｜>",
    "<｜latest_reminder｜>",
    "<｜image｜>",
)
_USER_DEFINED = (
    "<think>",
    "</think>",
    "｜DSML｜",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁outputs▁begin｜>",
    "<｜tool▁outputs▁end｜>",
    "<｜tool▁output▁begin｜>",
    "<｜tool▁output▁end｜>",
    "<｜tool▁sep｜>",
)
_NUM_BYTES = 256


class ScriptedVocabulary:
    """Ids 0 to 255 are the bytes; the markers of DeepSeek's layouts follow. Implements `Vocabulary`."""

    def __init__(self) -> None:
        spellings = (*_CONTROL, *_USER_DEFINED)
        self._special_tokens = {text: _NUM_BYTES + i for i, text in enumerate(spellings)}
        self._bytes = [bytes([value]) for value in range(_NUM_BYTES)] + [text.encode() for text in spellings]

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self._bytes)

    @property
    def end_token_ids(self) -> frozenset[int]:
        """Only the end of the sentence."""
        return frozenset((self._special_tokens[EOS],))

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Spelling to id of every marker."""
        return self._special_tokens

    def tokenize(self, text: str) -> list[int]:
        """One token a byte; no text becomes a marker."""
        return list(text.encode())

    def tokenize_pieces(self, text: str) -> Iterator[list[int]]:
        """See `Vocabulary`."""
        return map(self.tokenize, text_pieces(text))

    def token_bytes(self, token_id: int) -> bytes:
        """The byte itself, or the spelling of a marker."""
        return self._bytes[token_id]

    def kind(self, token_id: int) -> TokenKind:
        """NORMAL for bytes; think tags and DSML are USER_DEFINED as in real files, other markers CONTROL."""
        if token_id < _NUM_BYTES:
            return TokenKind.NORMAL
        return TokenKind.CONTROL if token_id < _NUM_BYTES + len(_CONTROL) else TokenKind.USER_DEFINED

    def encode(self, marked_text: str) -> list[int]:
        """Encode text in which spellings of markers mean the markers; for prompts and scripts of tests."""
        return encode_marked(self, marked_text)


def encode_marked(vocabulary: Vocabulary, marked_text: str) -> list[int]:
    """Encode text in which spellings of a vocabulary's markers mean the markers."""
    token_ids: list[int] = []
    rest = marked_text
    while rest:
        found = [(rest.find(text), text) for text in vocabulary.special_tokens if text in rest]
        start, text = min(found, default=(len(rest), ""))
        for piece in vocabulary.tokenize_pieces(rest[:start]):
            token_ids += piece
        if text:
            token_ids.append(vocabulary.special_tokens[text])
        rest = rest[start + len(text) :]
    return token_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """Report that a cache held `num_tokens` of the prompt. Counts only before the first emitted token."""

    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """Report that `num_tokens` of the prompt have been computed so far. Counts only before the first emitted token."""

    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Generate tokens, all in one update.

    Attributes:
        logprobs: one entry a token; None lets the engine say that each token was certain (0.0) where it is asked.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[TokenLogprobs] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitText:
    """Generate the tokens of a text, `num_tokens_per_update` at a time; spellings of markers become the markers."""

    text: str
    num_tokens_per_update: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Wait before the next step."""

    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """Raise an error out of `generate`, as a dying or overloaded engine does."""

    error: EngineError | CapacityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End the sequence. A script that runs out ends with STOP.

    Attributes:
        error: for the user; only with ERROR.
    """

    reason: FinishReason = FinishReason.STOP
    error: str | None = None


ScriptStep = Cached | Computed | Emit | EmitText | Delay | Fail | Finish
Script = Callable[[EngineRequest], Iterable[ScriptStep]]


def say(text: str, *, num_tokens_per_update: int = 4) -> Script:
    """A script that answers every request with the same text."""
    return lambda _request: (EmitText(text=text, num_tokens_per_update=num_tokens_per_update),)


class ScriptedEngine:
    """Plays `script(request)` for each request. Implements `types.Engine`.

    Attributes:
        requests: every request that was started, oldest first.
        aborted_request_ids: requests whose iterator was closed before it had finished, in that order.
        stats: what it reports.
        num_restarts: the same.
        explanations: what the prefix cache gave, by request; a script's `Cached` steps write them.
        aborts: ids of the requests that `abort` was asked to end, in that order.
    """

    def __init__(self, script: Script, *, vocabulary: Vocabulary | None = None, context_length: int = 8192) -> None:
        self.requests: list[EngineRequest] = []
        self.aborted_request_ids: list[str] = []
        self.aborts: list[str] = []
        self.stats = EngineStats()
        self.num_restarts = 0
        self.explanations: dict[str, CacheExplanation] = {}
        self.vocabulary: Vocabulary = ScriptedVocabulary() if vocabulary is None else vocabulary
        self._script = script
        self._health = EngineHealth(ready=False, reason="The engine has not been started.")
        self._closed = False
        self._abort_events: dict[str, asyncio.Event] = {}
        self._info = ModelInfo(
            name="scripted",
            architecture="scripted",
            context_length=context_length,
            vocab_size=self.vocabulary.size,
            size_bytes=0,
            metadata={},
            fingerprint="scripted",
        )

    @property
    def info(self) -> ModelInfo:
        """The script's stand-in for a model."""
        return self._info

    @property
    def health(self) -> EngineHealth:
        """Ready between `start` and `close`, unless `set_health` said otherwise."""
        return self._health

    def set_health(self, health: EngineHealth) -> None:
        """Report this health from now on; requests are served all the same."""
        self._health = health

    async def start(self) -> None:
        """Become ready."""
        self._closed = False
        self._health = EngineHealth(ready=True)

    async def close(self) -> None:
        """Refuse further requests; running ones end with ABORT at their next step."""
        self._closed = True
        self._health = EngineHealth(ready=False, reason="The engine is closed.")

    def explain(self, request_id: str) -> CacheExplanation | None:
        """See `types.Engine`."""
        return self.explanations.get(request_id)

    def abort(self, request_id: str) -> None:
        """End a request at its next step; a delay is one."""
        self.aborts.append(request_id)
        if request_id in self._abort_events:
            self._abort_events[request_id].set()

    async def generate(
        self, request: EngineRequest, on_prompt: PromptListener = ignore_progress
    ) -> AsyncGenerator[EngineUpdate, None]:
        """Play the script; yields to the event loop before every update."""
        if self._closed:
            raise ShuttingDown
        self.requests.append(request)
        aborted = self._abort_events[request.request_id] = asyncio.Event()
        play = _Play(request, vocabulary=self.vocabulary)
        deadline = None if request.deadline_s is None else asyncio.get_running_loop().time() + request.deadline_s
        try:
            for step in self._script(request):
                for update in play.updates(step):
                    await asyncio.sleep(0)
                    yield update
                if isinstance(step, Cached):
                    self.explanations[request.request_id] = _explanation(request, step)
                if isinstance(step, Computed):
                    on_prompt(play.progress())
                if not play.finished and isinstance(step, Delay):
                    await _sleep_until(step.delay_s, deadline=deadline, aborted=aborted)
                if not play.finished and (aborted.is_set() or self._closed):
                    yield play.finish(FinishReason.ABORT)
                if not play.finished and deadline is not None and asyncio.get_running_loop().time() >= deadline:
                    yield play.finish(FinishReason.DEADLINE)
                if play.finished:
                    return
            yield play.finish(FinishReason.STOP)
        except (GeneratorExit, asyncio.CancelledError):
            if not play.finished:
                self.aborted_request_ids.append(request.request_id)
            raise
        finally:
            del self._abort_events[request.request_id]


def _explanation(request: EngineRequest, found: Cached) -> CacheExplanation:
    return CacheExplanation(
        request_id=request.request_id,
        num_known_tokens=len(request.prompt_token_ids),
        num_slot_tokens=found.num_tokens,
        num_ram_tokens=0,
        num_disk_tokens=0,
        num_used_tokens=found.num_tokens,
        reason="scripted",
    )


async def _sleep_until(delay_s: float, *, deadline: float | None, aborted: asyncio.Event) -> None:
    """Sleep, but not beyond the deadline (event loop time) or an abort."""
    if deadline is not None:
        delay_s = min(delay_s, max(0.0, deadline - asyncio.get_running_loop().time()))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(delay_s):
            await aborted.wait()


class _Play:
    """One request's place in its script: how much was generated, and whether it has finished."""

    def __init__(self, request: EngineRequest, *, vocabulary: Vocabulary) -> None:
        self._request = request
        self._vocabulary = vocabulary
        self._num_cached_tokens = 0
        self._num_computed_tokens = 0
        self._num_tokens_left = request.max_tokens
        self.finished = False

    def updates(self, step: ScriptStep) -> Iterable[EngineUpdate]:
        """What the step sends; stops at `max_tokens`."""
        match step:
            case Cached(num_tokens=num_tokens):
                self._num_cached_tokens = num_tokens
            case Computed(num_tokens=num_tokens):
                self._num_computed_tokens = num_tokens
            case Emit(token_ids=token_ids, logprobs=logprobs):
                yield self._emit(token_ids, logprobs)
            case EmitText(text=text, num_tokens_per_update=size):
                token_ids = encode_marked(self._vocabulary, text)
                for start in range(0, len(token_ids), size):
                    if not self.finished:
                        yield self._emit(token_ids[start : start + size], None)
            case Fail(error=error):
                raise error
            case Finish(reason=reason, error=error_text):
                yield self.finish(reason, error=error_text)
            case Delay():
                pass

    def _emit(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs] | None) -> EngineUpdate:
        token_ids = token_ids[: self._num_tokens_left]
        num_top = self._request.sampling.num_top_logprobs
        if num_top is None:
            logprobs = None
        elif logprobs is None:
            logprobs = [TokenLogprobs(logprob=0.0, top=((i, 0.0),) if num_top else ()) for i in token_ids]
        else:
            logprobs = logprobs[: self._num_tokens_left]
        self._num_tokens_left -= len(token_ids)
        self.finished = self._num_tokens_left == 0
        return EngineUpdate(
            request_id=self._request.request_id,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=FinishReason.LENGTH if self.finished else None,
            num_cached_tokens=self._num_cached_tokens,
        )

    def progress(self) -> EngineUpdate:
        """What has been computed of the prompt so far."""
        return self._update()

    def finish(self, reason: FinishReason, *, error: str | None = None) -> EngineUpdate:
        """The last update, without tokens."""
        self.finished = True
        return self._update(reason, error)

    def _update(self, reason: FinishReason | None = None, error: str | None = None) -> EngineUpdate:
        return EngineUpdate(
            request_id=self._request.request_id,
            finish_reason=reason,
            num_cached_tokens=self._num_cached_tokens,
            num_computed_tokens=self._num_computed_tokens,
            error=error,
        )
