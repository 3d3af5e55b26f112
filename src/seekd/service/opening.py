"""From a validated request to a generation that is ready to run.

    request ──> its model, loaded ──> prompt encoded ──> room checked ──> output rule compiled ──> Generation

Everything that is wrong with a request is found here, before any work and before anything is held.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from seekd.accounts.types import Caller
from seekd.engine.types import ConstraintSpec, EngineRequest
from seekd.errors import ContextTooLong, LimitExceeded, UnknownModel
from seekd.output_rule import OutputRule
from seekd.prompt.abilities import Thinking
from seekd.prompt.answer.context_report import ContextReport
from seekd.prompt.answer.unbroken import UnbrokenParser
from seekd.prompt.types import AnswerStart, OutputParser, Renderable, ResponseIdentity
from seekd.request import GenerationRequest, LongConversation
from seekd.service.billing import Billing
from seekd.service.constraints import RuleCompiler
from seekd.service.generation import Generation
from seekd.service.long_conversations.fitting import LongConversations
from seekd.service.long_conversations.summaries import Waiting
from seekd.service.long_conversations.summariser import Asked, Summariser
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member, ModelPool
from seekd.service.moderation import AnswerWatch
from seekd.service.prompt_encoder import MAX_TOKENIZED_BYTES, PromptEncoder
from seekd.service.response_cache.cache import NO_WISH, CacheWish, ResponseCache
from seekd.service.running import RunningRequest, RunningRequests
from seekd.service.served_model import ServedModel
from seekd.service.settings import ContextSettings

_log = logging.getLogger(__name__)

_COUNTED_CONTEXTS = 2
_COUNTED_TOKENS = 100_000
"""A prompt is read up to this: a client learns how much too long it is, and no text costs more than a tenth of a second
or two contexts."""


SUMMARY = "summary"
"""Stands for the route of what the service asks of a model itself."""

_UNNAMED = "deepseek-chat"
"""Whose limits and price hold for who counts tokens without a model's name, where one model answers all names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a request has that only counts.

    Attributes:
        limit_headers: where its caller stands in its limits.
    """

    token_ids: Sequence[int]
    limit_headers: Sequence[tuple[str, str]]


class GenerationService:
    """Opens generations on the served model.

    Args:
        models: answer.
        billing: reserves and charges what is run.
        cache: answers repeats; None answers everything anew.
        metrics: take note of every generation.
        deadline_s: most seconds that one request may run; None for no limit.
        context: what becomes of conversations that are too long.
        max_tokenized_bytes: of a text that no context bounds.
        clock: seconds, monotonic.
        unix_time: seconds since 1970, for `created`.

    Attributes:
        running: the requests that are being served.
    """

    def __init__(
        self,
        *,
        models: ModelPool,
        billing: Billing,
        metrics: Metrics,
        cache: ResponseCache | None = None,
        deadline_s: float | None = None,
        context: ContextSettings | None = None,
        max_tokenized_bytes: int = MAX_TOKENIZED_BYTES,
        clock: Callable[[], float] = time.monotonic,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._models = models
        self._billing = billing
        self._metrics = metrics
        self._cache = cache
        self._rules = RuleCompiler()
        self._told: set[tuple[str, str]] = set()
        self._encoder = PromptEncoder(billing, max_bytes=max_tokenized_bytes)
        self._deadline_s = deadline_s
        self._clock = clock
        self._unix_time = unix_time
        self.running = RunningRequests(clock=clock)
        context = context or ContextSettings()
        self._conversations = LongConversations(
            models=models,
            encoder=self._encoder,
            settings=context,
            summariser=Summariser(context, opener=self.open, metrics=metrics),
            metrics=metrics,
            deadline_s=deadline_s,
        )

    async def close(self) -> None:
        """Stop compiling output rules; `open` must not be called any more."""
        await self._rules.close()

    async def open(
        self,
        request: GenerationRequest,
        *,
        caller: Caller,
        request_id: str,
        response_id: str,
        watch: AnswerWatch | None = None,
        waiting: Waiting | None = None,
        wish: CacheWish = NO_WISH,
        route: str = SUMMARY,
    ) -> Generation:
        """Check a request against the model and get it ready to run; nothing is held before it is iterated.

        Only a summary of a conversation's oldest turns is made here, by a generation of its own.

        Args:
            request: as validated by the wire.
            caller: who asks; pays, and has caches and turns of its own.
            request_id: unique for ever; names the request in the engine, the books and the logs.
            response_id: the id that the answer carries.
            watch: judges the answer; None lets all pass.
            waiting: is told what the request waits for; None where nobody asks.
            wish: what the request says of the response cache.
            route: the path that it came by.

        Raises:
            UnknownModel: no model has this name, or the caller's key is not for it.
            UnpricedModel: others have a price, and this one has none.
            LimitExceeded: the prompt has more tokens than the settings take.
            ContextTooLong: the prompt, or the prompt and what it asks for, does not fit.
            InvalidParameter: the output rule cannot be enforced, or costs too much to compile.
            InsufficientBalance: the model must be loaded first or the prompt is long, and the account could not pay for
                anything.
            RateLimited: the same, and a limit is reached.
            EngineError: the model cannot be loaded.
            Overloaded: the model was not loaded in time, or the output rule not compiled.
            RequestCancelled: an operator ended it.
        """
        running = RunningRequest(
            request_id=request_id,
            caller=caller,
            model=request.served_model,
            route=route,
            is_stream=request.stream,
            started_s=self._clock(),
            listed=self.running.listed,
        )
        with running:
            return await self._open(request, running, response_id=response_id, watch=watch, waiting=waiting, wish=wish)

    async def _open(
        self,
        request: GenerationRequest,
        running: RunningRequest,
        *,
        response_id: str,
        watch: AnswerWatch | None,
        waiting: Waiting | None,
        wish: CacheWish,
    ) -> Generation:
        caller, request_id = running.caller, running.request_id
        member = self._member(request.served_model, caller)
        if self._billing.books.has_prices:
            self._billing.books.check_price(request.served_model)
        if not member.is_usable:  # who cannot pay makes no other model leave
            await self._billing.check(caller, request.served_model)
        lease = partial(self._models.lease, member)
        constraint: ConstraintSpec | None = None
        warnings: Sequence[str] = ()
        if request.rule is not None or request.thinking:
            async with lease() as model:
                if request.rule is not None:
                    constraint, warnings = await self._constraint(request, request.rule, model, caller)
                if request.thinking and model.abilities.thinking is Thinking.NEVER:
                    warnings = (*warnings, self._thoughtless(member, request.served_model))
        cache_salt = f"{caller.account_id}\x00{request.user_id or ''}"
        prompt_token_ids: list[int] | None = None
        report: ContextReport | None = None
        choice = self._conversations.choice(request, caller, member)
        if choice is not LongConversation.REFUSE:
            asked = Asked(
                request=request,
                caller=caller,
                request_id=request_id,
                cache_salt=cache_salt,
                waiting=waiting or Waiting(),
            )
            fitted = await self._conversations.fit(asked, member, choice)
            request, prompt_token_ids, report = fitted.request, fitted.prompt_token_ids, fitted.report
        async with lease() as model:
            prompt_token_ids = prompt_token_ids or await self._encoder.encode(
                request.body,
                model,
                caller=caller,
                model_name=request.served_model,
                stop_after=_most_counted(model.info.context_length),
            )
            start = request.body.answer_start(model.chat_format)
            max_tokens = _resolve_max_tokens(request, len(prompt_token_ids), model.info.context_length)
            sampling = request.sampling
            if (temperature := model.temperature(sampling.temperature)) != sampling.temperature:
                sampling = replace(sampling, temperature=temperature)
            engine_request = EngineRequest(
                request_id=request_id,
                prompt_token_ids=prompt_token_ids,
                max_tokens=max_tokens,
                sampling=sampling,
                cache_salt=cache_salt,
                fairness_key=caller.account_id,
                constraint=constraint,
                deadline_s=None
                if self._deadline_s is None
                else max(0.0, self._deadline_s - (self._clock() - running.started_s)),
            )
            identity = ResponseIdentity(
                response_id=response_id,
                model=request.model,
                created_s=int(self._unix_time()),
                system_fingerprint=f"fp_{model.info.fingerprint}",
            )
            fingerprint = model.info.fingerprint
            needs_tokenizer = request.sampling.num_top_logprobs is not None
            parser: OutputParser = request.body.open_parser(
                identity,
                model.chat_format,
                is_json=request.rule is not None and request.rule.is_json,
                tokenizer_json=model.tokenizer_json() if needs_tokenizer else None,
            )
            if request.unbroken:
                parser = UnbrokenParser(parser, request.unbroken, model.vocabulary.token_bytes)
        ticket = None
        if self._cache is not None and (wish.is_on or self._cache.is_used):
            ticket = self._cache.ticket(
                engine_request,
                wish=wish,
                model=request.served_model,
                fingerprint=fingerprint,
                stops=request.body.stops,
                protocol=type(request.body).__name__,
                keeps_cut=max_tokens == (request.max_tokens or request.default_max_tokens),
            )
        generation = Generation(
            lease=lease,
            model_key=member.key,
            engine_request=engine_request,
            parser=parser,
            watch=watch,
            billing=self._billing,
            caller=caller,
            served_model=request.served_model,
            ticket=ticket,
            cache_hit_unit=request.cache_hit_unit,
            # Stop strings must not charge what follows them, and reasoning tokens are counted by push.
            one_token_at_a_time=bool(request.body.stops) or start is not AnswerStart.CONTENT,
            warnings=warnings,
            context=report,
            metrics=self._metrics,
            clock=self._clock,
            cancellation=running.cancellation,
            serving=running,
        )
        running.record = generation.record
        return generation

    def would_wait(self, request: GenerationRequest, caller: Caller) -> Waiting | None:
        """What may keep a request waiting before it is open; None for nothing."""
        try:
            member = self._member(request.served_model, caller)
        except UnknownModel:
            return None
        may_summarise = self._conversations.choice(request, caller, member) is LongConversation.SUMMARISE
        return Waiting(is_loading=not member.is_usable) if may_summarise or not member.is_usable else None

    async def count(self, body: Renderable, *, model: str | None, caller: Caller, request_id: str) -> Counted:
        """The token ids that a body's prompt has for a model.

        Args:
            body: of the request.
            model: its served name; None for the model that answers all names without one of their own, or the first.
            caller: who asks.
            request_id: unique for ever.

        Raises:
            UnknownModel: no model has this name, or the caller's key is not for it.
            LimitExceeded: the prompt is more text than is tokenized.
            AccessError: a limit is reached, or the account could not pay for anything.
            EngineError: the model cannot be loaded.
        """
        member = self._models.find() if model is None else self._member(model, caller)
        name = model or (*member.names, _UNNAMED)[0]
        async with (
            self._billing.counting(caller, model=name, request_id=request_id) as admission,
            self._models.lease(member) as served,
        ):
            token_ids = await self._encoder.encode_admitted(body, served, caller=caller)
        return Counted(token_ids=token_ids, limit_headers=admission.headers)

    def _member(self, model: str, caller: Caller) -> Member:
        if not caller.may_use(model):
            raise UnknownModel(model, known_models=tuple(sorted(caller.allowed_models or ())))
        return self._models.find(model)

    def _thoughtless(self, member: Member, name: str) -> str:
        """What to say of a request to think that the model cannot follow; said once in the log."""
        if (member.key, name) not in self._told:
            self._told.add((member.key, name))
            text = "requests to %s want reasoning, and the model %s does not reason"
            _log.warning(text, name, member.key, extra={"action": "cannot_think"})
        return "The model does not think: the answer has no reasoning"

    async def _constraint(
        self, request: GenerationRequest, rule: OutputRule, model: ServedModel, caller: Caller
    ) -> tuple[ConstraintSpec, Sequence[str]]:
        compiled = await self._rules.compile(
            rule,
            chat_format=model.chat_format,
            start=request.body.answer_start(model.chat_format),
            account_id=caller.account_id,
        )
        return ConstraintSpec(grammar=compiled.grammar), compiled.warnings


def _most_counted(context_length: int) -> int:
    return max(_COUNTED_TOKENS, _COUNTED_CONTEXTS * context_length)


def _resolve_max_tokens(request: GenerationRequest, num_prompt_tokens: int, context_length: int) -> int:
    if num_prompt_tokens > (most := _most_counted(context_length)):
        raise ContextTooLong(
            context_length=context_length,
            num_prompt_tokens=most + 1,
            num_requested_tokens=request.max_tokens or 0,
            is_minimum=True,
        )
    limit = request.max_prompt_tokens
    if limit is not None and num_prompt_tokens > limit:
        raise LimitExceeded(
            what="prompt tokens", value=num_prompt_tokens, limit=limit, setting="guard.max_prompt_tokens"
        )
    room = context_length - num_prompt_tokens
    wanted = request.max_tokens
    if room < 1 or (wanted is not None and wanted > room and not request.lower_max_tokens):
        raise ContextTooLong(
            context_length=context_length, num_prompt_tokens=num_prompt_tokens, num_requested_tokens=wanted or 0
        )
    return min(request.default_max_tokens if wanted is None else wanted, room)
