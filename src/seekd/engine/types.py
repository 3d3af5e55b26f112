"""What crosses the engine's border: token ids in, token ids out.

Knows no text, JSON, HTTP or SQL.

Everything here is plain data that travels between the API process and an engine process (msgspec encodes it), or a
Protocol that lets one part stand in for another.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seekd.vocabulary import Vocabulary


class FinishReason(enum.StrEnum):
    """Why a sequence stopped being extended."""

    STOP = "stop"  # the model produced an end-of-generation token; the token itself is not part of the output
    LENGTH = "length"  # max_tokens or the end of the context was reached
    ABORT = "abort"  # the caller aborted the request
    DEADLINE = "deadline"  # the request's deadline passed
    ERROR = "error"  # the engine could not go on; EngineUpdate.error says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen: what a request asked for, of which only the temperature changes on its way.

    Attributes:
        temperature: 0 to 2, 0 is greedy; on the API's scale until the model's own mapping replaces it.
        top_p: nucleus mass in (0, 1].
        presence_penalty: subtracted once from the logit of each token that the completion already has; -2 to 2.
        frequency_penalty: subtracted from a token's logit once per occurrence in the completion; -2 to 2.
        seed: makes the draw repeatable; None draws from the system's entropy.
        num_top_logprobs: alternatives to report for each token, 0 to 20; None reports no logprobs at all.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    num_top_logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintSpec:
    """What limits the next token, as text that the engine process compiles.

    Attributes:
        grammar: an llguidance grammar; it holds from the first generated token on.
    """

    grammar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """One prompt to extend.

    Attributes:
        request_id: unique among the running requests.
        prompt_token_ids: shape `(num_prompt_tokens,)`, at least one; the encoding has put BOS there already.
        max_tokens: most tokens to generate, at least 1.
        cache_salt: only requests with an equal salt share cached blocks.
        fairness_key: requests of different keys take turns; usually the account.
        constraint: None lets the model write anything.
        deadline_s: seconds from arrival after which the request is finished with `DEADLINE`; None never.
    """

    request_id: str
    prompt_token_ids: Sequence[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    cache_salt: str = ""
    fairness_key: str = ""
    constraint: ConstraintSpec | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprobs:
    """The model's own log-probabilities of one generated token, before temperature, top_p, penalties and masks.

    Attributes:
        logprob: natural logarithm of the probability of the chosen token.
        top: `(token_id, logprob)` of the most likely tokens, best first; empty when none were asked for.
    """

    logprob: float
    top: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineUpdate:
    """What one engine step did for one request.

    Its tokens, their logprobs and their end come from the choice of tokens; the scheduler cuts them to the request's
    limit and adds the progress; so it crosses the process border. Exactly one update of a request has a finish_reason,
    and it is the last.

    Attributes:
        token_ids: the new tokens, oldest first; may be empty. End-of-generation tokens are not included.
        logprobs: one entry a token when the request asked for them, else None.
        finish_reason: None while the sequence goes on.
        num_cached_tokens: prompt tokens that were not computed because a cache held them; set on the first update.
        num_computed_tokens: prompt tokens that were computed for the request so far. Read only until the first token or
            the model's own end, which say that all were.
        error: for the user, when finish_reason is ERROR.
    """

    request_id: str
    token_ids: Sequence[int] = ()
    logprobs: Sequence[TokenLogprobs] | None = None
    finish_reason: FinishReason | None = None
    num_cached_tokens: int = 0
    num_computed_tokens: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a loaded model says of itself.

    Attributes:
        name: `general.name` of the file, or its file name.
        architecture: `general.architecture`.
        context_length: tokens that one sequence may have here, prompt and completion together.
        vocab_size: number of vocabulary entries.
        size_bytes: size of the model file.
        metadata: the file's own key-value pairs, scalars as text (arrays left out); holds `tokenizer.chat_template`.
        fingerprint: names the weights, the llama.cpp build and the settings that could change an output.
    """

    name: str
    architecture: str
    context_length: int
    vocab_size: int
    size_bytes: int
    metadata: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutline:
    """What a model says of itself before it is loaded.

    Attributes:
        name: for people.
        architecture, metadata: see `ModelInfo`.
        quantization: how its weights are stored; "unknown" when it does not say.
        trained_context_length: None when it does not say.
        vocab_size: number of vocabulary entries.
        size_bytes: of its files.
        special_tokens: see `Vocabulary`.
    """

    name: str
    architecture: str
    quantization: str
    trained_context_length: int | None
    vocab_size: int
    size_bytes: int
    metadata: Mapping[str, str]
    special_tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What memory a model takes with some settings, and what it holds.

    Attributes:
        context_length: tokens that one sequence may have.
        num_cells: token positions of all running sequences together.
        weights_bytes: of the file, or all parts of it.
        kv_bytes: of keys and values in those positions.
        buffers_bytes: of scratch memory, estimated.
        cache_bytes: of the prefix cache in memory, at most.
    """

    context_length: int
    num_cells: int
    weights_bytes: int
    kv_bytes: int
    buffers_bytes: int
    cache_bytes: int

    @property
    def needed_bytes(self) -> int:
        """What it cannot do without."""
        return self.weights_bytes + self.kv_bytes + self.buffers_bytes

    @property
    def total_bytes(self) -> int:
        """With a full prefix cache."""
        return self.needed_bytes + self.cache_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheExplanation:
    """What the prefix cache gave to one request when it was admitted.

    Attributes:
        num_known_tokens: of the prompt; also of the completion when a preempted request came back.
        num_slot_tokens: found in running sequences; `ram` and `disk` alike.
        num_used_tokens: tokens that were not computed; less than found when a block could not be read.
        reason: why not more: `complete`, `unknown` (the next block is in no tier), `short` (there is no whole block
            before the last token), `off`.
        queue_s: seconds from its arrival in the engine to its first slot.
    """

    request_id: str
    num_known_tokens: int
    num_slot_tokens: int
    num_ram_tokens: int
    num_disk_tokens: int
    num_used_tokens: int
    reason: str
    queue_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """An engine's gauges, and its counts since it was started.

    Attributes:
        num_running: sequences that have a slot.
        num_waiting: sequences without one.
        max_sequences: most sequences that run at once.
        num_cells: token positions of the memory of running sequences.
        num_cells_used: those that hold something.
        num_prompt_tokens: computed prompt tokens, since the start.
        num_cached_slot_tokens: prompt tokens shared with running sequences, since the start; `ram` and `disk` alike.
        num_generation_tokens: generated tokens, since the start.
        num_forced_tokens: those of them that a grammar left no choice about.
        num_preemptions: sequences that lost their slot, since the start.
        num_steps: since the start.
        model_s: seconds inside the model's computation, since the start.
        step_s: seconds in steps altogether, since the start.
        ram_bytes: held by the cache in memory.
        disk_bytes: held by the cache on disk.
        num_disk_dropped: blocks that the disk was too slow to take, since the start.
    """

    num_running: int = 0
    num_waiting: int = 0
    max_sequences: int = 0
    num_cells: int = 0
    num_cells_used: int = 0
    num_prompt_tokens: int = 0
    num_cached_slot_tokens: int = 0
    num_cached_ram_tokens: int = 0
    num_cached_disk_tokens: int = 0
    num_generation_tokens: int = 0
    num_forced_tokens: int = 0
    num_preemptions: int = 0
    num_steps: int = 0
    model_s: float = 0.0
    step_s: float = 0.0
    ram_bytes: int = 0
    disk_bytes: int = 0
    num_disk_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """Whether a request would be answered now.

    Attributes:
        ready: True only when a request sent now would be served.
        reason: for the user, when not ready; empty otherwise.
    """

    ready: bool
    reason: str = ""


class Constraint(Protocol):
    """Limits the next token of one sequence. Used by one thread.

    Every method raises `EngineError` when the matcher fails; the request then ends with that error.
    """

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, shape `(vocab_size,)`; end-of-generation tokens only where the text may end."""

    def forced_token_ids(self) -> list[int]:
        """The tokens that must come next, if the grammar leaves one continuation; empty otherwise. Not accepted yet."""

    def accept(self, token_id: int) -> None:
        """Advance by a token that `allowed` allows."""

    def is_complete(self) -> bool:
        """Whether nothing but the end may follow."""


class ConstraintFactory(Protocol):
    """Builds the matcher of a grammar; injected at the entry point of the engine process."""

    def __call__(self, grammar: str, vocabulary: Vocabulary) -> Constraint:
        """Compile `grammar`. Raises `InvalidParameter` when it cannot be enforced."""


PromptListener = Callable[[EngineUpdate], None]
"""Is told what has been computed of a prompt whose answer has not begun."""


def ignore_progress(_: EngineUpdate) -> None:
    """A `PromptListener` for those who do not ask."""


class Engine(Protocol):
    """Serves requests with one model. Used from one asyncio event loop."""

    @property
    def info(self) -> ModelInfo:
        """Of the loaded model. Raises `EngineError` before the first load has succeeded."""

    @property
    def health(self) -> EngineHealth:
        """Whether a request would be answered now."""

    @property
    def stats(self) -> EngineStats:
        """Its latest report; the counts begin again when it is started again."""

    @property
    def num_restarts(self) -> int:
        """How often it was started again after it died."""

    def explain(self, request_id: str) -> CacheExplanation | None:
        """What the prefix cache gave to a recent request; None when it is not known."""

    def generate(
        self, request: EngineRequest, on_prompt: PromptListener = ignore_progress
    ) -> AsyncGenerator[EngineUpdate, None]:
        """Run one request; closing the generator (`aclose`) early aborts it within one engine step.

        Args:
            request: its id must not be running.
            on_prompt: called after each step until the first token. A generator that is closed before it waits for the
                step that runs, and the last call says what was computed in all.

        Raises:
            EngineError: the engine died or failed while it served the request.
            Overloaded: the queue is full.
            ShuttingDown: the engine is being closed.
        """

    def abort(self, request_id: str) -> None:
        """End a request within one engine step; its last update says `ABORT`. Nothing happens when it has ended."""

    async def start(self) -> None:
        """Load the model. Raises `ConfigError` when the file cannot be used."""

    async def close(self) -> None:
        """Abort what runs and free everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """One model as one kind of engine serves it; nothing is loaded or read yet.

    Attributes:
        engine: not started.
        open_vocabulary: opens the token table; after a start of the engine, or after `outline`, since a malformed file
            can kill the process that reads it. Raises `ConfigError`.
        outline: reads what the model says of itself. Raises `ConfigError` when no engine of this kind can load it.
        plan_memory: what it takes with the engine's settings. Raises `ConfigError` when they cannot be kept.
    """

    engine: Engine
    open_vocabulary: Callable[[], AbstractContextManager[Vocabulary]]
    outline: Callable[[], ModelOutline]
    plan_memory: Callable[[], MemoryPlan]
