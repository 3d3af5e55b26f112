"""From a body to a call, past what must not get through: sensitive data.

Room: api. May import: wire, service and below. Everything behind it (caches, summaries, models, workers, logs) sees the
texts as they are after it; what went before is put back into the answer by the call's own encoder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
from starlette.datastructures import Headers

from seekd.accounts.types import Caller
from seekd.errors import RequestError
from seekd.service.shield import Shield, Shields
from seekd.wire.calls import Call
from seekd.wire.dialect import Dialect
from seekd.wire.requests import decoded_object, text_or_none
from seekd.wire.restoring import AnswerRestorer, ScreenedEncoder
from seekd.wire.texts import replacing, texts_of, with_texts

REDACT_HEADER = "x-seekd-redact"
RESTORE_HEADER = "x-seekd-restore"
REDACTED_HEADER = "x-seekd-redacted"
"""Says how often each rule found something, and what was done."""

LONG_BODY_BYTES = 50_000
"""Larger bodies are screened in a thread: below it the switch costs more than the work."""


class Parse(Protocol):
    """Validates a body of one protocol, as `wire.chat.parse_chat` does."""

    def __call__(self, body: bytes, *, dialect: Dialect, models: Collection[str]) -> Call:
        """Raises a `RequestError` for a body that breaks the protocol's rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Screens bodies, and parses what is left.

    Attributes:
        shields: know what is done about which data.
        models: names that this server answers to besides the official ones.
    """

    shields: Shields
    models: Collection[str] = ()

    async def parse(self, body: bytes, parse: Parse, *, caller: Caller, headers: Headers, dialect: Dialect) -> Call:
        """The call of a body.

        Raises:
            SensitiveContent: the body holds data that is not taken.
            InvalidParameter: a header asks for what there is not.
            RequestError: as `parse` raises it.
        """
        fields = decoded_object(body)
        policy = self.shields.policy(model=text_or_none(fields.get("model")) or "", account_id=caller.account_id)
        policy = self.shields.asked(policy, redact=headers.get(REDACT_HEADER), restore=headers.get(RESTORE_HEADER))
        if not policy.actions:
            return parse(body, dialect=dialect, models=self.models)
        shield = self.shields.shield(policy)
        if len(body) > LONG_BODY_BYTES:
            screened = await asyncio.to_thread(_screened, body, fields, shield)
        else:
            screened = _screened(body, fields, shield)
        if not shield.found:
            return parse(body, dialect=dialect, models=self.models)
        try:
            call = parse(screened, dialect=dialect, models=self.models)
        except RequestError:
            parse(body, dialect=dialect, models=self.models)  # places in the message are those of the caller's own body
            raise
        return _with_shield(call, shield)


def _screened(body: bytes, fields: Mapping[str, Any], shield: Shield) -> bytes:
    texts = shield.screened(texts_of(fields))
    return msgspec.json.encode(with_texts(fields, replacing(texts))) if shield.placeholders.values else body


def _with_shield(call: Call, shield: Shield) -> Call:
    placeholders = shield.placeholders
    restorer = None
    if shield.policy.restore and placeholders.values:
        rule = call.request.rule
        is_json = rule is not None and (rule.kind.startswith("json") or rule.json_or_tools)
        restorer = AnswerRestorer(placeholders.restore, placeholders.are_in, json_answer=is_json)
    return replace(
        call,
        request=replace(call.request, unbroken=tuple(placeholders.values) if restorer is not None else ()),
        encoder=ScreenedEncoder(call.encoder, restorer=restorer, redacted=shield.found),
        headers={**call.headers, REDACTED_HEADER: shield.header()},
    )
