"""One request's life, from its admission to its last event.

    its turn ──> admitted, worst case held ──> engine, or a recording of it ──> text ──> protocol events ──> settled

What is wrong with a request is raised before there is a generation (see `opening`); an account that cannot pay, and
what happens later, is raised by `Generation.chunks`, which holds the worst case of the cost from its start to its end.
Whatever ends a generation (finish, stop string, disconnect, engine death, shutdown) ends it exactly once, and frees its
sequence within one engine step.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from seekd import log
from seekd.accounts.types import Answer, Caller, Charge, Claim, Outcome, Usage
from seekd.engine.types import Engine, EngineRequest, EngineUpdate, FinishReason, TokenLogprobs
from seekd.errors import ContentRefused, EngineError, ModerationUnavailable, Overloaded, RequestCancelled, ShuttingDown
from seekd.prompt.answer.context_report import ContextReport
from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.types import Json, OutputChunk, OutputParser, PromptUsage
from seekd.service.billing import Bill, Billing
from seekd.service.cancellation import Cancellation
from seekd.service.metrics import EndedGeneration, Metrics
from seekd.service.moderation import AnswerWatch
from seekd.service.response_cache.cache import CacheResult, Ticket, Turn
from seekd.service.served_model import ServedModel
from seekd.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

TOOK_TOO_LONG = "The request took longer than this server allows."

_WHOLE = frozenset({Outcome.STOP, Outcome.LENGTH})
_ERRORS = frozenset({Outcome.ERROR, Outcome.DEADLINE, Outcome.SHUTDOWN})
_BY_MODEL = frozenset({FinishReason.STOP, FinishReason.LENGTH})

Lease = Callable[[], AbstractAsyncContextManager[ServedModel]]
"""Gives a loaded model, which stays loaded within the block."""


@dataclass(slots=True, kw_only=True)
class GenerationRecord:
    """What happened to one request; the summary line and the books are made of it.

    Attributes:
        num_prompt_tokens: tokens of the prompt.
        num_cached_tokens: of these, not computed.
        num_computed_tokens: of these, computed so far.
        num_completion_tokens: generated and delivered.
        outcome: what ended it; None while it runs.
        first_token_s: seconds from opening to the first token; None before it.
        settle_s: seconds that the books took at the end.
        total_s: seconds from opening to the end.
    """

    num_prompt_tokens: int
    num_cached_tokens: int = 0
    num_computed_tokens: int = 0
    num_completion_tokens: int = 0
    outcome: Outcome | None = None
    first_token_s: float | None = None
    settle_s: float = 0.0
    total_s: float = 0.0


class AnswerKeeper(Protocol):
    """Puts a whole answer together, for retries of the same request."""

    @property
    def claim(self) -> Claim:
        """The right to answer the request's idempotency key."""

    def compose(self, last: Sequence[OutputChunk]) -> Answer:
        """The whole answer, when its last events are known."""


class Generation:
    """One running request. Made by `GenerationService.open`; iterate `chunks` once, to its end or close it early.

    Attributes:
        record: what has happened so far.
        warnings: parts of the output rule that are not enforced, one sentence each.
        context: what was done to a conversation that did not fit; None where nothing may be done.
        charge: what it cost; None before it is settled, and when no work was done.
    """

    def __init__(
        self,
        *,
        lease: Lease,
        model_key: str,
        engine_request: EngineRequest,
        parser: OutputParser,
        watch: AnswerWatch | None = None,
        billing: Billing,
        caller: Caller,
        served_model: str,
        ticket: Ticket | None,
        one_token_at_a_time: bool,
        cache_hit_unit: int = 1,
        warnings: Sequence[str],
        metrics: Metrics,
        clock: Callable[[], float],
        cancellation: Cancellation,
        serving: AbstractContextManager[None],
        context: ContextReport | None = None,
    ) -> None:
        self.warnings = warnings
        self.context = context
        self.charge: Charge | None = None
        self._metrics = metrics
        self._billing = billing
        self._caller = caller
        self._served_model = served_model
        self._ticket = ticket
        self._bill: Bill | None = None
        self._keeper: AnswerKeeper | None = None
        self._cancellation = cancellation
        self._serving = serving
        self._engine: Engine | None = None
        self._lease = lease
        self._model_key = model_key
        self._engine_request = engine_request
        self._parser = parser
        self._watch = watch
        self._one_token_at_a_time = one_token_at_a_time
        self._cache_hit_unit = cache_hit_unit
        self._clock = clock
        self._detokenizer = Detokenizer()
        self._num_pending_tokens = 0
        self._was_admitted = False
        self.record = GenerationRecord(num_prompt_tokens=len(engine_request.prompt_token_ids))

    async def chunks(self) -> AsyncGenerator[Sequence[OutputChunk], None]:
        """The protocol events of the answer, as they come.

        Raises:
            InsufficientBalance: the account cannot pay the worst case; nothing was done.
            EngineError: the model cannot be loaded, or the engine failed; the events so far stand, and no closing event
                follows.
            RequestCancelled: an operator ended it.
            ContentRefused: what was generated may not be sent.
            ModerationUnavailable: nobody says whether it may.
            Overloaded: the queue was full, or the deadline passed.
            ShuttingDown: the server is stopping.
        """
        self._cancellation.listener = self._cancelled
        turn_at_answer = nullcontext(Turn()) if self._ticket is None else self._turn(self._ticket)
        with self._serving:
            async with turn_at_answer as turn, aclosing(self._run(turn)) as batches:
                async for events in batches:
                    self._cancellation.suspend()
                    yield events
                    self._cancellation.resume()

    @asynccontextmanager
    async def _turn(self, ticket: Ticket) -> AsyncIterator[Turn]:
        """The request's turn at an answer that the response cache may have."""
        has_come = False
        try:
            async with ticket.turn() as turn:
                has_come = True
                yield turn
        except BaseException:
            if not has_come:
                await self._billing.abandon(self._claim)
            raise

    async def _run(self, turn: Turn) -> AsyncGenerator[Sequence[OutputChunk], None]:
        started_s = self._clock()
        bill = self._bill = await self._reserve(turn)
        try:
            async with self._lease() as model, aclosing(self._updates(turn, model)) as updates:
                self._engine, vocabulary = model.engine, model.vocabulary
                async for update in updates:
                    now_s = self._clock()
                    if not self.record.num_completion_tokens:
                        self._note_prompt(update)
                    turn.note(update, now_s=now_s)
                    if update.token_ids and self.record.first_token_s is None:
                        self.record.first_token_s = now_s - started_s
                    events = self._take(update, vocabulary)
                    if self._watch is not None:
                        events = await self._passed(events, self._watch)
                    if self.record.outcome is not None:
                        # Before the last frame leaves: who has read an answer has paid for it.
                        self.record.total_s = self._clock() - started_s
                        answer = None if self._keeper is None else self._keeper.compose(events)
                        settling_s = self._clock()
                        self.charge = await bill.settle(self._usage(), answer=answer)
                        self.record.settle_s = self._clock() - settling_s
                        turn.ended(was_cut=self.record.outcome is Outcome.LENGTH)
                    if events:
                        yield events
                    if self.record.outcome is not None:
                        return
                    bill.note(self._usage)
            raise EngineError
        except GeneratorExit:
            self.record.outcome = self.record.outcome or Outcome.DISCONNECT
            raise
        except ShuttingDown:
            self.record.outcome = self.record.outcome or Outcome.SHUTDOWN
            raise
        except Exception:
            self.record.outcome = self.record.outcome or Outcome.ERROR
            raise
        finally:
            self.record.outcome = self.record.outcome or Outcome.INTERRUPTED
            self.record.total_s = self._clock() - started_s
            self._parser.close()
            self._report()
            await bill.settle(self._usage() if self._was_admitted or self.record.num_computed_tokens else None)

    async def _reserve(self, turn: Turn) -> Bill:
        max_tokens, price_share = self._engine_request.max_tokens, 1.0
        if turn.recording is not None and self._ticket is not None:
            max_tokens, price_share = turn.recording.num_completion_tokens, self._ticket.price_share
        return await self._billing.reserve(
            self._caller,
            request_id=self.request_id,
            model=self._served_model,
            num_prompt_tokens=self.record.num_prompt_tokens,
            max_completion_tokens=max_tokens,
            price_share=price_share,
            claim=self._claim,
        )

    def _updates(self, turn: Turn, model: ServedModel) -> AsyncGenerator[EngineUpdate, None]:
        if turn.recording is None or self._ticket is None:
            return model.engine.generate(self._engine_request, self._note_progress)
        return turn.recording.replay(self.request_id, in_rhythm=self._ticket.keeps_rhythm)

    def _note_progress(self, update: EngineUpdate) -> None:
        """Take what the engine says before the first token, also while it is being closed."""
        self._note_prompt(update)
        if self._bill is not None and self.record.num_computed_tokens:
            self._bill.note(self._usage)

    def _note_prompt(self, update: EngineUpdate) -> None:
        record = self.record
        is_whole = bool(update.token_ids) or update.finish_reason in _BY_MODEL
        record.num_cached_tokens = update.num_cached_tokens // self._cache_hit_unit * self._cache_hit_unit
        record.num_computed_tokens = (
            record.num_prompt_tokens - record.num_cached_tokens if is_whole else update.num_computed_tokens
        )

    def _cancelled(self) -> None:
        self.interrupted(RequestCancelled())
        if self._engine is not None:  # at once, also while a slow client keeps `chunks` from noticing
            self._engine.abort(self.request_id)

    def interrupted(self, cause: Exception) -> None:
        """Say why `chunks` is about to be closed before its end."""
        if isinstance(cause, Overloaded):
            outcome = Outcome.DEADLINE
        elif isinstance(cause, RequestCancelled):
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.SHUTDOWN if isinstance(cause, ShuttingDown) else Outcome.DISCONNECT
        self.record.outcome = self.record.outcome or outcome

    def keep_answer(self, keeper: AnswerKeeper) -> None:
        """Keep the whole answer for retries; before `chunks` is iterated."""
        self._keeper = keeper

    @property
    def request_id(self) -> str:
        """Names the request in the engine and in the books."""
        return self._engine_request.request_id

    @property
    def cache_result(self) -> CacheResult | None:
        """What the response cache did for it; None where it has nothing to do with it. Final with the first event."""
        return None if self._ticket is None else self._ticket.result

    @property
    def _claim(self) -> Claim | None:
        return None if self._keeper is None else self._keeper.claim

    @property
    def _is_hit(self) -> bool:
        return self.cache_result is CacheResult.HIT

    @property
    def is_admitted(self) -> bool:
        """Whether its limits and its balance have let it in."""
        return self._bill is not None

    @property
    def limit_headers(self) -> Sequence[tuple[str, str]]:
        """Where the caller stands in its limits; empty before the first event and without limits."""
        return () if self._bill is None else self._bill.admission.headers

    def response(self) -> Json:
        """The whole response; valid after `chunks` has ended by itself."""
        return self._parser.response()

    def _take(self, update: EngineUpdate, vocabulary: Vocabulary) -> list[OutputChunk]:
        """What one step of the engine says to the caller; `record.outcome` tells whether it was the last."""
        events: list[OutputChunk] = []
        if not self._was_admitted:
            self._was_admitted = True
            record = self.record
            usage = PromptUsage(num_prompt_tokens=record.num_prompt_tokens, num_cached_tokens=record.num_cached_tokens)
            events += self._parser.ready(usage)
        if update.logprobs is not None:
            events += self._push_tokens(update.token_ids, update.logprobs, vocabulary)
        else:
            step = 1 if self._one_token_at_a_time else max(1, len(update.token_ids))
            for start in range(0, len(update.token_ids), step):
                token_ids = update.token_ids[start : start + step]
                text = "".join(self._detokenizer.push(vocabulary.token_bytes(token_id)) for token_id in token_ids)
                events += self._push_text(text, num_tokens=len(token_ids))
                if self._parser.stopped:
                    break
        if self._parser.stopped:
            events += self._end(Outcome.STOP)
        elif update.finish_reason is not None:
            events += self._end_by_engine(update)
        return events

    async def _passed(self, events: list[OutputChunk], watch: AnswerWatch) -> list[OutputChunk]:
        """The events that may be sent now."""
        try:
            return await watch.passed(events, is_last=self.record.outcome is not None)
        except ContentRefused:
            self.record.outcome = Outcome.REFUSED
            raise
        except ModerationUnavailable:
            self.record.outcome = Outcome.ERROR
            raise

    def _push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        self.record.num_completion_tokens += num_tokens
        self._num_pending_tokens += num_tokens
        if not text:
            return []
        if self._watch is not None:
            self._watch.hear(text)
        num_tokens, self._num_pending_tokens = self._num_pending_tokens, 0
        return self._parser.push_text(text, num_tokens=num_tokens)

    def _push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs], vocabulary: Vocabulary
    ) -> list[OutputChunk]:
        events: list[OutputChunk] = []
        for token_id, entry in zip(token_ids, logprobs, strict=True):
            if self._watch is not None:
                self._watch.hear_token(vocabulary.token_bytes(token_id))
            events += self._parser.push_tokens([token_id], [(entry.logprob, entry.top)])
            self.record.num_completion_tokens += 1
            if self._parser.stopped:
                break
        return events

    def _end_by_engine(self, update: EngineUpdate) -> list[OutputChunk]:
        if update.finish_reason is FinishReason.STOP:
            return self._end(Outcome.STOP)
        if update.finish_reason is FinishReason.LENGTH:
            return self._end(Outcome.LENGTH)
        if update.finish_reason is FinishReason.DEADLINE:
            self.record.outcome = Outcome.DEADLINE
            raise Overloaded(TOOK_TOO_LONG)
        if update.finish_reason is FinishReason.ABORT:
            self.record.outcome = Outcome.SHUTDOWN
            raise ShuttingDown
        raise EngineError(update.error)

    def _end(self, outcome: Outcome) -> list[OutputChunk]:
        self.record.outcome = outcome
        events: list[OutputChunk] = []
        if not self._parser.stopped:
            events += self._push_text(self._detokenizer.flush(), num_tokens=0)
        if self._num_pending_tokens and not self._parser.stopped:
            # tokens without text of their own (an unfinished character that flush could not show) still count
            num_tokens, self._num_pending_tokens = self._num_pending_tokens, 0
            events += self._parser.push_text("", num_tokens=num_tokens)
        return events + self._parser.finish(hit_length_limit=outcome is Outcome.LENGTH)

    def _usage(self) -> Usage:
        record = self.record
        outcome = record.outcome or Outcome.RUNNING
        return Usage(
            num_hit_tokens=record.num_cached_tokens,
            num_miss_tokens=record.num_computed_tokens,
            num_completion_tokens=record.num_completion_tokens,
            num_reasoning_tokens=self._parser.num_reasoning_tokens,
            outcome=self._told(outcome),
            is_error=outcome in _ERRORS,
            first_token_ms=None if record.first_token_s is None else record.first_token_s * 1000,
            latency_ms=record.total_s * 1000,
        )

    def _told(self, outcome: Outcome) -> Outcome:
        """What books, metrics and log say: an answer that came whole from the response cache is `CACHED`."""
        return Outcome.CACHED if self._is_hit and outcome in _WHOLE else outcome

    def _report(self) -> None:
        record = self.record
        outcome = self._told(record.outcome or Outcome.ERROR)
        self._metrics.observe(
            EndedGeneration(
                model=self._model_key,
                served_model=self._served_model,
                request_id=self.request_id,
                outcome=outcome,
                num_prompt_tokens=record.num_prompt_tokens,
                num_cached_tokens=record.num_cached_tokens,
                num_completion_tokens=record.num_completion_tokens,
                first_token_s=None if self._is_hit else record.first_token_s,
                settle_s=record.settle_s,
                total_s=record.total_s,
            )
        )
        facts = {
            "outcome": outcome,
            "response_cache": self.cache_result,
            "prompt_tokens": record.num_prompt_tokens,
            "cached_tokens": record.num_cached_tokens,
            "completion_tokens": record.num_completion_tokens,
            "first_token_ms": None if record.first_token_s is None else round(record.first_token_s * 1000),
            "total_ms": round(record.total_s * 1000),
        }
        log.note(**facts)
        _log.debug("generation ended", extra={"action": "generation_ended", **facts})
