"""The two dialects that seekd speaks, and every difference between them as data.

`classic` is the classic API (docs/reference/classic-api.md) with every newer feature on top; `hosted` is what the
service sends today, to the byte where that is known. The reference page on dialects shows `DIFFERENCES`, and a test
compares the two.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields

from seekd.errors import InvalidParameter

DIALECT_HEADER = "x-seekd-dialect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One dialect; each attribute is one difference.

    Attributes:
        name: what the configuration and the header call it.
        has_prefixed_ids: ids are `chatcmpl-…`, `cmpl-…`, `resp_…` or `msg_…` by their format; otherwise bare UUIDs.
        echoes_model: answers carry the requested model name; otherwise the name that the service serves it as.
        serves_any_name: Messages serves an unknown model name as `deepseek-flash`; otherwise only if it begins with
            `claude`, and refuses the rest.
        non_thinking_max_tokens: what an unset `max_tokens` becomes outside thinking.
        lowers_max_tokens: a `max_tokens` above the room left is lowered to it; otherwise refused.
        samples_as_asked: temperature, top_p and both penalties act in both thinking modes; otherwise the service's
            rules hold (temperature 1 in thinking, top_p clamped or fixed, penalties without effect).
        takes_functions: `functions` and `function_call` work; otherwise they are ignored.
        takes_json_schema: `response_format: json_schema` works; a strict schema, of a `text.format` too, may use every
            keyword that can be enforced, and the prompt shows strict tools whole; otherwise it is refused, a
            `text.format` keeps to the service's keywords, and the prompt shows of strict tools what the service's does.
        takes_max_completion_tokens: `max_completion_tokens` is honoured; otherwise ignored.
        takes_developer_role: role `developer` is read as `system`; otherwise refused.
        requires_reasoning: a thinking request that ends in a tool result must bring back the reasoning of that turn;
            otherwise missing reasoning is taken as empty.
        has_classic_errors: the classic API's sentences, types and codes; otherwise the service's.
        has_json_errors: every error is an `application/json` envelope; otherwise content types and plain texts follow
            the service.
        sends_hints: `x-request-id` and `Retry-After` are sent; otherwise what every answer of the service has: `vary`,
            `access-control-allow-credentials` and `x-content-type-options`.
        refuses_stored_state: Responses that refer to state on the server (`previous_response_id`, `conversation`,
            `store: true`, `background: true`, a stored `prompt`) are refused, since nothing is kept; otherwise these
            are ignored.
        has_nullable_fields: fields that newer types of clients require are there as null (`message.refusal`, Messages
            `usage.cache_creation` and their like), and `text.verbosity` of Responses is `medium` instead of null.
        cache_hit_unit: prompt tokens that came from the cache are told and charged in multiples of this many; the rest
            of them counts as a miss.
        pads_waiting: a whole answer that must wait is preceded by blank lines, which commits the status 200.
    """

    name: str
    has_prefixed_ids: bool
    echoes_model: bool
    serves_any_name: bool
    non_thinking_max_tokens: int
    lowers_max_tokens: bool
    samples_as_asked: bool
    takes_functions: bool
    takes_json_schema: bool
    takes_max_completion_tokens: bool
    takes_developer_role: bool
    requires_reasoning: bool
    has_classic_errors: bool
    has_json_errors: bool
    sends_hints: bool
    refuses_stored_state: bool
    has_nullable_fields: bool
    cache_hit_unit: int
    pads_waiting: bool

    def response_id(self, unique: uuid.UUID, *, prefix: str) -> str:
        """The id of an answer, made of a fresh UUID and the prefix of its format."""
        return f"{prefix}{unique.hex}" if self.has_prefixed_ids else str(unique)


CLASSIC = Dialect(
    name="classic",
    has_prefixed_ids=True,
    echoes_model=True,
    serves_any_name=True,
    non_thinking_max_tokens=4096,
    lowers_max_tokens=True,
    samples_as_asked=True,
    takes_functions=True,
    takes_json_schema=True,
    takes_max_completion_tokens=True,
    takes_developer_role=True,
    requires_reasoning=False,
    has_classic_errors=True,
    has_json_errors=True,
    sends_hints=True,
    refuses_stored_state=True,
    has_nullable_fields=True,
    cache_hit_unit=1,
    pads_waiting=False,
)

HOSTED = Dialect(
    name="hosted",
    has_prefixed_ids=False,
    echoes_model=False,
    serves_any_name=False,
    non_thinking_max_tokens=8192,
    lowers_max_tokens=False,
    samples_as_asked=False,
    takes_functions=False,
    takes_json_schema=False,
    takes_max_completion_tokens=False,
    takes_developer_role=False,
    requires_reasoning=True,
    has_classic_errors=False,
    has_json_errors=False,
    sends_hints=False,
    refuses_stored_state=False,
    has_nullable_fields=False,
    cache_hit_unit=128,
    pads_waiting=True,
)

DIALECTS: Mapping[str, Dialect] = {CLASSIC.name: CLASSIC, HOSTED.name: HOSTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row of the reference page's table: a field of `Dialect` and its value in each."""

    field: str
    classic: object
    hosted: object


DIFFERENCES: tuple[Difference, ...] = tuple(
    Difference(field=field.name, classic=getattr(CLASSIC, field.name), hosted=getattr(HOSTED, field.name))
    for field in fields(Dialect)
    if field.name != "name"
)


def dialect_named(name: str) -> Dialect:
    """The dialect of that name. Raises `InvalidParameter` for any other name, listing those there are."""
    dialect = DIALECTS.get(name.strip().lower())
    if dialect is None:
        known = " and ".join(DIALECTS)
        raise InvalidParameter(f"Unknown dialect {name!r} in the header X-Seekd-Dialect; there are {known}.")
    return dialect
