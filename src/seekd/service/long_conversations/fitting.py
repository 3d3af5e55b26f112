"""Conversations that leave no room for their answer: refused, or shortened by the choice of request, account or model.

    fits? ──yes──> as it is
      └─no──> cuts ──drop──────> system messages and what lies behind the last cut
                └──summarise───> the same, with a summary of the rest before the first turn that is kept

Cuts follow from the messages alone (`prompt.turns`), and a summary is known by all that it was made of; so the next
request of the conversation finds both, until its room is full again. Nothing is left out silently: a conversation whose
last turn does not fit is refused, a summary that cannot be made is an error, and what was done is reported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from seekd.accounts.types import Caller
from seekd.errors import ContextTooLong, Overloaded
from seekd.prompt.answer.context_report import ContextReport
from seekd.prompt.recipe import RecipeBody
from seekd.prompt.render.conversation import Message
from seekd.prompt.render.turns import Room, find_cuts, message_sizes, message_texts, split_parts, turn_starts
from seekd.request import GenerationRequest, LongConversation
from seekd.service.long_conversations.summaries import Summary
from seekd.service.long_conversations.summariser import Asked, Summariser, note
from seekd.service.long_conversations.token_counts import TokenCounts
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member, ModelPool
from seekd.service.prompt_encoder import PromptEncoder
from seekd.service.served_model import ServedModel
from seekd.service.settings import ContextSettings

_log = logging.getLogger(__name__)

_PART_FOR_ANSWER = 4
"""At most this part of the context is kept free for an answer, or the default limit would fill a small one alone."""

_NUM_ATTEMPTS = 4
"""Plans that are tried: sizes of single messages are estimates, and the whole prompt has the last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What is sent to the model.

    Attributes:
        prompt_token_ids: None where they were not needed to decide.
        report: None where nothing may be left out.
    """

    request: GenerationRequest
    prompt_token_ids: list[int] | None = None
    report: ContextReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A conversation that does not fit, in tokens.

    Attributes:
        sizes: of the messages, estimated.
        head: what every prompt of the conversation holds.
        room: for a prompt.
        note: of a summary with what stands around it; 0 where turns are dropped.
        num_prompt_tokens: of the whole prompt.
        part: what may be summarised at once; 0 where turns are dropped, never where they are summarised.
    """

    messages: Sequence[Message]
    sizes: Sequence[int]
    head: int
    room: int
    note: int
    num_prompt_tokens: int
    part: int
    context_length: int

    def plans(self) -> list[_Plan]:
        """What may be tried, in this order."""
        # By how much the estimates are too small, in quarters, so that it stays the same while a conversation grows.
        exact = self.num_prompt_tokens - self.head
        least = max(4, -(-4 * exact // max(1, sum(self.sizes))))
        found: list[_Plan] = []
        for quarters in range(least, least + _NUM_ATTEMPTS):
            sizes = [size * quarters // 4 for size in self.sizes]
            left = self.room - self.head
            cuts = find_cuts(self.messages, sizes, Room(whole=left, shortened=left - self.note))
            ends = split_parts(self.messages, sizes, cuts, self.part) if self.part else cuts
            if cuts and ends is not None and (not found or found[-1].ends != ends):
                found.append(_Plan(start=cuts[-1], ends=ends))
        return found

    def report(self, action: str, start: int) -> ContextReport:
        left_out = [message for message in self.messages[:start] if message.role != "system"]
        num_turns = sum(turn < start for turn in turn_starts(self.messages))
        return ContextReport(action=action, num_turns=num_turns, num_messages=len(left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    # start: of what is kept. ends: of the parts to summarise, the last of which is start.
    start: int
    ends: Sequence[int]


class LongConversations:
    """Makes requests fit.

    Args:
        models: answer.
        encoder: tokenizes.
        settings: of accounts.
        summariser: writes the summaries.
        metrics: count what was done.
        deadline_s: most seconds for the summaries of one request; None for no limit.
    """

    def __init__(
        self,
        *,
        models: ModelPool,
        encoder: PromptEncoder,
        settings: ContextSettings,
        summariser: Summariser,
        metrics: Metrics,
        deadline_s: float | None = None,
    ) -> None:
        self._models = models
        self._encoder = encoder
        self._settings = settings
        self._summariser = summariser
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._counts = TokenCounts()

    def choice(self, request: GenerationRequest, caller: Caller, member: Member) -> LongConversation:
        """What becomes of the request's conversation if it does not fit: its own word, its account's, its model's."""
        if request.long_conversation is not None:
            return request.long_conversation
        of_account = self._settings.accounts.get(caller.account_id)
        return member.model.long_conversation if of_account is None else LongConversation(of_account)

    async def fit(self, asked: Asked, member: Member, choice: LongConversation) -> Fitted:
        """The request, shortened where it has to be and may be.

        Raises:
            ContextTooLong: not even the last turn fits, or one message is too long to be summarised.
            LimitExceeded: the conversation is more text than is tokenized.
            EngineError: the model wrote no summary, or cannot be loaded.
            Overloaded: the summaries took too long.
            AccessError: the account may not or cannot pay for a summary.
        """
        request, body = asked.request, asked.request.body
        if choice is LongConversation.REFUSE or not isinstance(body, RecipeBody):
            return Fitted(request=request)
        async with self._models.lease(member) as model:
            prompt_token_ids = await self._encode(asked, body, model)
            room = model.info.context_length - _answer_room(request, model.info.context_length)
            if len(prompt_token_ids) <= room:
                return Fitted(request=request, prompt_token_ids=prompt_token_ids, report=ContextReport())
            measured = await self._measured(
                asked, body, member, choice, num_prompt_tokens=len(prompt_token_ids), room=room
            )
            plans = measured.plans()
            if not plans or not await self._fits_at_all(asked, body, model, measured):
                raise self._refusal(request, measured, member)
        # Not within the lease: a model that is to make room for another would wait for it, and its summary for a lease.
        fitted = await self._shortened(asked, body, measured, plans, member)
        if fitted is None:
            raise self._refusal(request, measured, member)
        report = fitted.report
        assert report is not None
        self._metrics.observe_context(model=member.key, action=report.action)
        extra = {
            "action": f"conversation_{report.action}",
            "turns": report.num_turns,
            "summaries": report.num_summaries,
        }
        _log.info("conversation %s", report.action, extra=extra)
        return fitted

    async def _encode(self, asked: Asked, body: RecipeBody, model: ServedModel) -> list[int]:
        return await self._encoder.encode(body, model, caller=asked.caller, model_name=asked.request.served_model)

    async def _fits_at_all(self, asked: Asked, body: RecipeBody, model: ServedModel, measured: _Measured) -> bool:
        """Whether the last turn would fit alone; found before anything is summarised for it."""
        last = turn_starts(measured.messages)[-1]
        return len(await self._encode(asked, body.excerpt(last), model)) + measured.note <= measured.room

    async def _measured(
        self,
        asked: Asked,
        body: RecipeBody,
        member: Member,
        choice: LongConversation,
        *,
        num_prompt_tokens: int,
        room: int,
    ) -> _Measured:
        messages, model, summariser = body.conversation.messages, member.model, self._summariser
        context_length = model.info.context_length
        head = len(await self._encode(asked, summariser.head(body), model))
        note_tokens = part = 0
        if choice is LongConversation.SUMMARISE:
            note_tokens = summariser.num_note_tokens(model)
            used = head + note_tokens + summariser.num_question_tokens(model) + summariser.limit(model)
            part = max(1, context_length - used)
        # At first as many tokens as the prompt has, which may take a while.
        learning = self._counts.learn(message_texts(messages), model.vocabulary, model_key=member.key)
        await self._encoder.in_turns(learning, asked.caller)
        sizes = message_sizes(messages, partial(self._counts.count, vocabulary=model.vocabulary, model_key=member.key))
        return _Measured(
            messages=messages,
            sizes=sizes,
            head=head,
            room=room,
            note=note_tokens,
            num_prompt_tokens=num_prompt_tokens,
            part=part,
            context_length=context_length,
        )

    async def _shortened(
        self, asked: Asked, body: RecipeBody, measured: _Measured, plans: Sequence[_Plan], member: Member
    ) -> Fitted | None:
        for plan in plans:
            report, text = measured.report("dropped", plan.start), ""
            if measured.part:
                summary = await self._summary(asked, body, plan, member)
                report = _with_summary(measured.report("summarised", plan.start), asked, summary)
                text = note(summary)
            shorter = body.excerpt(plan.start, note=text)
            async with self._models.lease(member) as model:
                prompt_token_ids = await self._encode(asked, shorter, model)
            if len(prompt_token_ids) <= measured.room:
                return Fitted(
                    request=replace(asked.request, body=shorter), prompt_token_ids=prompt_token_ids, report=report
                )
        return None

    async def _summary(self, asked: Asked, body: RecipeBody, plan: _Plan, member: Member) -> Summary:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._summariser.summary(asked, body, plan.ends, member)
        except TimeoutError as error:
            raise Overloaded("The request took longer than this server allows.") from error

    def _refusal(self, request: GenerationRequest, measured: _Measured, member: Member) -> ContextTooLong:
        self._metrics.observe_context(model=member.key, action="refused")
        return ContextTooLong(
            context_length=measured.context_length,
            num_prompt_tokens=measured.num_prompt_tokens,
            num_requested_tokens=request.max_tokens or 0,
        )


def _answer_room(request: GenerationRequest, context_length: int) -> int:
    """Tokens that are kept free for the answer."""
    if request.max_tokens is not None and not request.lower_max_tokens:
        return request.max_tokens
    wanted = request.default_max_tokens if request.max_tokens is None else request.max_tokens
    return min(wanted, context_length // _PART_FOR_ANSWER)


def _with_summary(report: ContextReport, asked: Asked, summary: Summary) -> ContextReport:
    records = asked.records
    return replace(
        report,
        num_summaries=len(records),
        num_summary_prompt_tokens=sum(record.num_prompt_tokens for record in records),
        num_summary_cached_tokens=sum(record.num_cached_tokens for record in records),
        num_summary_completion_tokens=sum(record.num_completion_tokens for record in records),
        is_summary_cut=summary.is_cut,
    )
