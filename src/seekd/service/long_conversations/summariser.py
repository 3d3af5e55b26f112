"""Writes running summaries: of the first part of a conversation, then of that summary and the next part, and so on.

    part 1 ──model──> summary 1 ┐
                       part 2 ──┴──model──> summary 2 ┐ ...        each is known by all that it was made of

A summary is an ordinary generation of its own: admitted, held, charged, measured and cancelled like every other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import Protocol

import msgspec

from seekd.accounts.types import Caller, Outcome
from seekd.engine.types import Sampling
from seekd.errors import EngineError, SeekdError
from seekd.prompt.recipe import RecipeBody
from seekd.prompt.render.excerpts import Part
from seekd.request import GenerationRequest, LongConversation
from seekd.service.generation import Generation, GenerationRecord
from seekd.service.long_conversations.summaries import Making, Summary, SummaryStore, Waiting
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member
from seekd.service.served_model import ServedModel
from seekd.service.settings import ContextSettings

_LEAD = "-"
"""How a summary begins: a list in any language. A model that has begun to answer neither reasons nor calls a tool."""

_NOTE = (
    "[Summary of the earlier part of this conversation, which no longer fits and is not shown:\n{text}\nEnd of the "
    "summary. The conversation goes on.]"
)

_PART_OF_CONTEXT = 8
_LEAST_TOKENS = 16


class Opener(Protocol):
    """Opens generations; `opening.GenerationService.open` is one."""

    async def __call__(
        self, request: GenerationRequest, *, caller: Caller, request_id: str, response_id: str
    ) -> Generation:
        """As there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, who makes it, and what it waits for.

    Attributes:
        cache_salt: of its cache; requests of different salts share nothing.
        waiting: is told of each summary that is being made.
        records: of the summaries that were made for this request.
    """

    request: GenerationRequest
    caller: Caller
    request_id: str
    cache_salt: str
    waiting: Waiting = field(default_factory=Waiting)
    records: list[GenerationRecord] = field(default_factory=list)


class Summariser:
    """Writes, keeps and finds summaries.

    Args:
        settings: the prompt, the limit and the budget.
        opener: opens the generations.
        metrics: count them.
    """

    def __init__(self, settings: ContextSettings, *, opener: Opener, metrics: Metrics) -> None:
        self._settings = settings
        self._open = opener
        self._metrics = metrics
        self._store = SummaryStore(settings.summaries_ram)

    def limit(self, model: ServedModel) -> int:
        """Most tokens of a summary."""
        return min(self._settings.summary_tokens, max(_LEAST_TOKENS, model.info.context_length // _PART_OF_CONTEXT))

    def num_question_tokens(self, model: ServedModel) -> int:
        """Of what the model is asked."""
        return len(model.vocabulary.tokenize(self._settings.summary_prompt))

    def num_note_tokens(self, model: ServedModel) -> int:
        """Most tokens of a note."""
        return self.limit(model) + len(model.vocabulary.tokenize(note(Summary(text=_LEAD))))

    def head(self, body: RecipeBody) -> RecipeBody:
        """What every prompt of the conversation holds, with the markers of a question and its answer."""
        everything = len(body.conversation.messages)
        return body.question(Part(start=everything, end=everything), question="", lead=_LEAD)

    async def summary(self, asked: Asked, body: RecipeBody, ends: Sequence[int], member: Member) -> Summary:
        """The summary of all messages before the last end: the latest one that is known, and on from there.

        Args:
            asked: whose account pays for what is not known.
            body: the whole conversation.
            ends: of the parts, ascending.
            member: the model.

        Raises:
            ContextTooLong: a part does not fit.
            EngineError: the model wrote nothing, or failed.
            AccessError: the account may not or cannot pay.
            CapacityError: the engine is busy or stopping.
        """
        keys = self._keys(asked, body, ends, member)
        summary: Summary | None = None
        first = 0
        for index in reversed(range(len(ends))):
            if (summary := self._store.find(keys[index])) is not None:
                first = index + 1
                break
        if first == len(ends):
            self._metrics.observe_summary(model=member.key, outcome="reused")
        for index in range(first, len(ends)):
            part = Part(
                start=ends[index - 1] if index else 0, end=ends[index], note="" if summary is None else note(summary)
            )
            make = partial(self._make, asked, body, part, member)
            summary = await self._store.obtain(keys[index], make, waiting=asked.waiting)
        assert summary is not None
        return summary

    async def _make(self, asked: Asked, body: RecipeBody, part: Part, member: Member, making: Making) -> Summary:
        try:
            generation = making.generation = await self._open(
                self._request(asked, body, part, member),
                caller=asked.caller,
                request_id=f"{asked.request_id}-summary-{len(asked.records) + 1}",
                response_id="summary",
            )
            async with aclosing(generation.chunks()) as batches:
                async for _ in batches:
                    pass
            text = generation.response()["choices"][0]["message"].get("content") or ""
            if not text.strip():
                raise EngineError("the model wrote nothing")
        except SeekdError as error:
            self._metrics.observe_summary(model=member.key, outcome="failed")
            if isinstance(error, EngineError):
                reason = f"The oldest turns of this conversation could not be summarised: {error.message}"
                raise EngineError(reason) from error
            raise
        self._metrics.observe_summary(model=member.key, outcome="made")
        asked.records.append(generation.record)
        return Summary(text=f"{_LEAD}{text.rstrip()}", is_cut=generation.record.outcome is Outcome.LENGTH)

    def _request(self, asked: Asked, body: RecipeBody, part: Part, member: Member) -> GenerationRequest:
        limit = self.limit(member.model)
        return replace(
            asked.request,
            body=body.question(part, question=self._settings.summary_prompt, lead=_LEAD),
            stream=False,
            thinking=False,
            max_tokens=limit,
            lower_max_tokens=True,
            sampling=Sampling(temperature=0.0),
            rule=None,
            unbroken=(),
            max_prompt_tokens=None,
            long_conversation=LongConversation.REFUSE,
        )

    def _keys(self, asked: Asked, body: RecipeBody, ends: Sequence[int], member: Member) -> list[bytes]:
        """One key for each end, each made of the one before it and the messages between."""
        info, prompt = member.model.info, self._settings.summary_prompt
        key = _hashed(b"", (asked.cache_salt, member.key, info.fingerprint, prompt, self.limit(member.model)))
        messages, start, keys = body.conversation.messages, 0, []
        for end in ends:
            # Not the system's: they stay in every prompt, and some clients put the time of day there.
            key = _hashed(key, [message for message in messages[start:end] if message.role != "system"])
            keys.append(key)
            start = end
        return keys


def note(summary: Summary) -> str:
    """What stands in the prompt for the turns that were summarised."""
    return _NOTE.format(text=summary.text)


def _hashed(key: bytes, value: object) -> bytes:
    return blake2b(key + msgspec.json.encode(value), digest_size=16).digest()
