"""`POST /responses`: body bytes to a `Call`.

Source: docs/reference/wire.md §15.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ReadBody, RecipeBody, WireProtocol
from seekd.request import GenerationRequest
from seekd.wire.calls import Call, Encoder
from seekd.wire.dialect import Dialect
from seekd.wire.failures import error_facts
from seekd.wire.foreign_fields import foreign_warnings
from seekd.wire.malformed import located
from seekd.wire.model_names import accepted_names, known_name, thinks_by_default
from seekd.wire.nullable_fields import set_verbosity
from seekd.wire.requests import decoded_object, generation_request, named_choice, user_id_or_none
from seekd.wire.sse import frame
from seekd.wire.strict import answer_schema, judgeable, strict_parameters, without_strict


def parse_responses(body: bytes, *, dialect: Dialect, models: Collection[str] = ()) -> Call:
    """Validate a Responses body.

    Args:
        body: as received.
        dialect: of the request.
        models: names that this server answers to besides the official ones.

    Raises:
        MalformedBody: not JSON, or not of the shape of the protocol.
        UnknownModel: no such model name.
        InvalidParameter: a rule of the protocol is broken.
    """
    names = accepted_names(models)
    fields = decoded_object(body)
    judged = _judged(fields) if dialect.takes_json_schema else fields
    text = body if judged is fields else msgspec.json.encode(judged)
    try:
        read = ReadBody(WireProtocol.RESPONSES, text, echoed=None if text is body else body)
    except MalformedBody as error:
        raise located(error, WireProtocol.RESPONSES, body=body, rewritten=text) from error
    model = known_name(read.model, names)
    parsed = read.convert(
        models=names,
        thinking_by_default=thinks_by_default(model),
        requires_reasoning=dialect.requires_reasoning,
    )
    if parsed.has_images:
        raise InvalidParameter("This model does not support image")
    if dialect.refuses_stored_state:
        _check_stored_state(fields)
    return Call(
        request=_request(model, parsed, fields, dialect),
        encoder=ResponsesEncoder(dialect),
        id_prefix="resp_",
        warnings=foreign_warnings(fields),
    )


def _check_stored_state(fields: Mapping[str, Any]) -> None:
    """Refuse what refers to state on the server: to ignore it would lose the caller's history unnoticed."""
    for name in ("previous_response_id", "conversation", "prompt"):
        if fields.get(name) is not None:
            raise InvalidParameter(
                f"'{name}' is not supported: this server keeps no responses, conversations or prompts. "
                "Send the whole conversation in 'input'."
            )
    for name in ("store", "background"):
        if fields.get(name) is True:
            raise InvalidParameter(
                f"'{name}': true is not supported: this server keeps no responses. Leave it out or set it to false, "
                "and send the whole conversation in 'input'."
            )


class ResponsesEncoder(Encoder):
    """Named, numbered events, no `[DONE]`; with what validators of the standard require, where the dialect has it."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, *((set_verbosity,) if dialect.has_nullable_fields else ()))

    def encode_end(self) -> bytes:
        """Nothing: the completed response was the end."""
        return b""

    def encode_error(self, error: BaseException) -> bytes:
        """An `error` event, numbered like the others."""
        facts = error_facts(error, self._dialect)
        data = {
            "type": "error",
            "code": facts.code,
            "message": facts.message,
            "param": None,
            "sequence_number": self._num_events,
        }
        return frame(msgspec.json.encode(data), event_name="error")


def _request(model: str, parsed: RecipeBody, fields: dict[str, Any], dialect: Dialect) -> GenerationRequest:
    choice = fields.get("tool_choice")
    text = fields.get("text")
    text_format = text.get("format") if isinstance(text, dict) else None
    kind = text_format.get("type") if isinstance(text_format, dict) else None
    return generation_request(
        model,
        parsed,
        fields,
        dialect,
        sampled=("temperature", "top_p"),
        user_id=user_id_or_none(fields.get("user"), member="user"),
        tool_choice=named_choice(choice) or ("required" if choice == "required" else "auto"),
        asks_for_json=kind in ("json_object", "json_schema"),
        json_schema=answer_schema(text_format) if kind == "json_schema" else None,
        strict_parameters=strict_parameters(_functions(fields)),
    )


def _judged(fields: dict[str, Any]) -> dict[str, Any]:
    """What the protocol package is shown: the dialect has its own rules for answers by schema."""
    judged = without_strict(fields, "text", "format")
    tools = fields.get("tools")
    if not isinstance(tools, list):
        return judged
    changed = [judgeable(tool) for tool in tools]
    return judged if changed == tools else {**judged, "tools": changed}


def _functions(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The functions that may be called, by the names that the protocol package gives them."""
    items = fields.get("input")
    found = [item for item in items if item.get("type") == "tool_search_output"] if isinstance(items, list) else []
    for tool in [*(fields.get("tools") or ()), *(tool for item in found for tool in item.get("tools") or ())]:
        if tool.get("type") == "function":
            yield tool
        elif tool.get("type") == "namespace":
            yield from ({**inner, "name": f"{tool['name']}::{inner['name']}"} for inner in tool.get("tools") or ())
