"""A call and its body by the headers of its request, through what the service screens, and on.

Everything behind it (caches, summaries, models, workers, logs) sees the
texts as they are after it; what went before is put back into the answer by the call's own encoder.

    call ──limits──> ──redaction of its body──> ──parse again──> call ──moderation──> on its way, with a watch over it
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import msgspec
from starlette.datastructures import Headers

from seekd.accounts.types import Caller
from seekd.service.moderation import AnswerWatch
from seekd.service.screening import Screening
from seekd.service.shield import Shield
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


class Parse(Protocol):
    """Validates a body of one protocol, as `wire.chat.parse_chat` does."""

    def __call__(self, body: bytes, *, dialect: Dialect, models: Collection[str]) -> Call:
        """Raises a `RequestError` for a body that breaks the protocol's rules."""


async def screened(
    screening: Screening,
    call: Call,
    body: bytes,
    parse: Parse,
    *,
    caller: Caller,
    headers: Headers,
    dialect: Dialect,
    models: Collection[str],
) -> tuple[Call, AnswerWatch | None]:
    """The call as it may go on, and what watches over its answer.

    Args:
        screening: redacts and judges.
        call: of the body, with its served model.
        body: as received.
        parse: made the call, and makes it again of what redaction has left.
        caller: who asks.
        headers: of the request.
        dialect: of the request.
        models: names that this server answers to besides the official ones.

    Raises:
        LimitExceeded: the body has more of something than is taken.
        SensitiveContent: it holds data that is not taken.
        ContentRefused: the moderation service does not allow it.
        ModerationUnavailable: the moderation service does not answer.
        InvalidParameter: a header asks for what there is not.
        RequestError: as `parse` raises it, for what redaction has left.
    """
    fields = decoded_object(body)
    policy = screening.policy(
        model=call.request.served_model,
        account_id=caller.account_id,
        redact=headers.get(REDACT_HEADER),
        restore=headers.get(RESTORE_HEADER),
    )
    if call.request.must_be_judged:
        policy = screening.judging(policy)
    tools = offered_tools(fields)
    policy.check_size(
        num_messages=num_messages(fields),
        num_tools=len(tools),
        num_schema_bytes=0 if policy.max_schema_bytes is None else len(msgspec.json.encode(tools)),
    )
    left = await screening.redacted(
        policy, num_bytes=len(body), texts=partial(texts_of, fields), rewrite=partial(_rewritten, fields)
    )
    if left.body is not None:
        again = parse(left.body, dialect=dialect, models=models)
        # What was decided on the way here stays: a router may have chosen the model.
        call = replace(
            again, request=replace(again.request, served_model=call.request.served_model), headers=call.headers
        )
    if left.shield is not None:
        call = _with_shield(call, left.shield)
    if policy.max_prompt_tokens is not None:
        call = replace(call, request=replace(call.request, max_prompt_tokens=policy.max_prompt_tokens))
    judgement = await screening.judged(policy, left.texts, stream=call.request.stream)
    if judgement.outcome is not None:
        call = replace(call, headers={**call.headers, MODERATION_HEADER: f"input={judgement.outcome}"})
    return call, judgement.watch


def _rewritten(fields: dict[str, Any], texts: list[str]) -> bytes:
    return msgspec.json.encode(with_texts(fields, replacing(texts)))


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
