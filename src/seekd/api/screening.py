"""A call and its body, past what must not get through: too much of anything, sensitive data, refused content.

Everything behind it (caches, summaries, models, workers, logs) sees the
texts as they are after it; what went before is put back into the answer by the call's own encoder.

    call ──limits──> ──redaction of its body──> ──parse again──> call ──moderation──> on its way, with a watch over it
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import msgspec
from starlette.datastructures import Headers

from seekd.accounts.types import Caller
from seekd.errors import InvalidParameter
from seekd.guard.types import Stage
from seekd.service.moderation import AnswerWatch, Moderator
from seekd.service.shield import Policy, Shield, Shields
from seekd.wire.calls import Call, in_usage
from seekd.wire.dialect import Dialect
from seekd.wire.requests import decoded_object
from seekd.wire.restoring import AnswerRestorer
from seekd.wire.texts import num_messages, offered_tools, replacing, texts_of, with_texts

REDACT_HEADER = "x-seekd-redact"
RESTORE_HEADER = "x-seekd-restore"
REDACTED_HEADER = "x-seekd-redacted"
"""Says how often each rule found something, and what was done."""
MODERATION_HEADER = "x-seekd-moderation"
"""Says whether the request was judged."""

LONG_BODY_BYTES = 8_000
"""Larger bodies are screened in a thread. The worst ones take a microsecond a byte, so no more than 8 ms here."""


class Parse(Protocol):
    """Validates a body of one protocol, as `wire.chat.parse_chat` does."""

    def __call__(self, body: bytes, *, dialect: Dialect, models: Collection[str]) -> Call:
        """Raises a `RequestError` for a body that breaks the protocol's rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """A call that may go on its way.

    Attributes:
        watch: over its answer; None where nobody judges it.
    """

    call: Call
    watch: AnswerWatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    # What is left of a body's texts. shield: None where nothing was found.
    body: bytes
    texts: list[str]
    shield: Shield | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Screens calls by the model that serves them, and parses again what redaction has left of their bodies.

    Attributes:
        shields: know what holds for whom.
        moderator: judges; None where nobody does.
        models: names that this server answers to besides the official ones.
    """

    shields: Shields
    moderator: Moderator | None = None
    models: Collection[str] = ()
    # One at a time: several would not be faster, and each would take its share of the interpreter from running streams.
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="screening"), init=False, repr=False
    )

    def is_wanted(self, headers: Headers) -> bool:
        """Whether settings or a request's headers want anything of `screen`."""
        return (
            not self.shields.is_idle
            or self.moderator is not None
            or REDACT_HEADER in headers
            or RESTORE_HEADER in headers
        )

    async def screen(
        self, call: Call, body: bytes, parse: Parse, *, caller: Caller, headers: Headers, dialect: Dialect
    ) -> Screened:
        """The call as it may go on, and what watches over its answer.

        Args:
            call: of the body, with its served model.
            body: as received.
            parse: made the call.
            caller: who asks.
            headers: of the request.
            dialect: of the request.

        Raises:
            LimitExceeded: the body has more of something than is taken.
            SensitiveContent: it holds data that is not taken.
            ContentRefused: the moderation service does not allow it.
            ModerationUnavailable: the moderation service does not answer.
            InvalidParameter: a header asks for what there is not.
            RequestError: as `parse` raises it, for what redaction has left.
        """
        fields = decoded_object(body)
        policy = self.shields.policy(model=call.request.served_model, account_id=caller.account_id)
        policy = self.shields.asked(policy, redact=headers.get(REDACT_HEADER), restore=headers.get(RESTORE_HEADER))
        _check_size(policy, fields)
        try:
            screened = await self._texts(body, fields, policy)
        except RecursionError as error:
            raise InvalidParameter("The arguments of a call are nested too deeply.") from error
        if screened.body is not body:
            again = parse(screened.body, dialect=dialect, models=self.models)
            # What was decided on the way here stays: a router may have chosen the model.
            request = replace(again.request, served_model=call.request.served_model)
            call = replace(again, request=request, headers=call.headers)
        if screened.shield is not None:
            call = _with_shield(call, screened.shield)
        if policy.max_prompt_tokens is not None:
            call = replace(call, request=replace(call.request, max_prompt_tokens=policy.max_prompt_tokens))
        if self.moderator is None:
            return Screened(call=call)
        if policy.moderate_input:
            outcome = await self.moderator.check("\n\n".join(screened.texts), stage=Stage.INPUT)
            call = replace(call, headers={**call.headers, MODERATION_HEADER: f"input={outcome}"})
        if policy.moderate_output == "off":
            return Screened(call=call)
        in_windows = policy.moderate_output == "windows" and call.request.stream
        return Screened(call=call, watch=self.moderator.watch(in_windows=in_windows))

    def close(self) -> None:
        """Screen nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _texts(self, body: bytes, fields: Mapping[str, Any], policy: Policy) -> _Texts:
        shield = self.shields.shield(policy) if policy.actions else None
        if shield is None and self.moderator is None:
            return _Texts(body=body, texts=[])
        if len(body) <= LONG_BODY_BYTES and not (shield is not None and shield.asks_extensions):
            return _screened(body, fields, shield)
        work = partial(copy_context().run, _screened, body, fields, shield)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _check_size(policy: Policy, fields: Mapping[str, Any]) -> None:
    tools = offered_tools(fields)
    policy.check_size(
        num_messages=num_messages(fields),
        num_tools=len(tools),
        num_schema_bytes=0 if policy.max_schema_bytes is None else len(msgspec.json.encode(tools)),
    )


def _screened(body: bytes, fields: Mapping[str, Any], shield: Shield | None) -> _Texts:
    texts = texts_of(fields)
    if shield is None:
        return _Texts(body=body, texts=texts)
    texts = shield.screened(texts)
    if shield.placeholders.values:
        body = msgspec.json.encode(with_texts(fields, replacing(texts)))
    return _Texts(body=body, texts=texts, shield=shield if shield.found else None)


def _with_shield(call: Call, shield: Shield) -> Call:
    placeholders = shield.placeholders
    call.encoder.edit_first(in_usage("redacted", dict(shield.found)))
    unbroken: tuple[str, ...] = ()
    if shield.policy.restore and placeholders.values:
        rule = call.request.rule
        is_json = rule is not None and rule.is_json
        call.encoder.edit_first(AnswerRestorer(placeholders.restore, json_answer=is_json))
        unbroken = tuple(placeholders.values)
    return replace(
        call,
        request=replace(call.request, unbroken=unbroken),
        headers={**call.headers, REDACTED_HEADER: shield.header()},
    )
