"""`POST /chat/completions`: body bytes to a `Call`.

    bytes ──decode──> own fields ──rewrite (extensions)──> protocol package ──> rules of the service ──> Call

The protocol package judges the body; what it lets pass and the service refuses is refused here, and what `classic`
adds is rewritten before it sees the body. Sampling parameters come from the body itself, since the package resolves
some of them away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ConversionPlan, ReadBody, RecipeBody, WireProtocol
from seekd.wire import legacy
from seekd.wire.calls import Call, ChatEncoder
from seekd.wire.dialect import Dialect
from seekd.wire.foreign_fields import foreign_warnings
from seekd.wire.json_locator import Path
from seekd.wire.malformed import located
from seekd.wire.model_names import accepted_names, known_name, thinks_by_default
from seekd.wire.requests import (
    PENALTIES,
    OwnFields,
    asked_sampling,
    decoded_object,
    generation_request,
    named_choice,
    user_id_or_none,
)
from seekd.wire.strict import answer_schema, judgeable, strict_parameters, without_strict

MAX_TOOLS = 128
"""Source: docs/reference/wire.md §8.1; its text for more is in the family of the others."""

_BETA_BASE = 'only available when using beta api (set base_url="https://api.deepseek.com/beta")'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    # fields: the decoded body after rewriting; empty where it is no JSON object.
    # is_legacy: `tools` stand there for the caller's `functions`, so that the answer is put in the old shape, too.
    # has_old_words: the caller wrote functions or messages of the old shape, and so errors speak of them.
    # has_new_limit: `max_tokens` stands there for the caller's `max_completion_tokens`.
    fields: Mapping[str, Any]
    text: bytes
    is_legacy: bool
    has_old_words: bool
    has_new_limit: bool


def parse_chat(body: bytes, *, dialect: Dialect, beta: bool, models: Collection[str] = ()) -> Call:
    """Validate a Chat Completions body.

    Args:
        body: as received.
        dialect: of the request.
        beta: whether the request came to a `/beta` route, which has prefix completion and strict tools.
        models: names that this server answers to besides the official ones.

    Raises:
        MalformedBody: not JSON, or not of the shape of the protocol.
        UnknownModel: no such model name.
        InvalidParameter: a rule of the protocol is broken.
    """
    prepared = _prepare(body, dialect=dialect, beta=beta)
    names = accepted_names(models)
    try:
        read = ReadBody(WireProtocol.CHAT, prepared.text)
        model = known_name(read.model, names)
        parsed = read.convert(
            ConversionPlan(
                models=names,
                thinking_by_default=thinks_by_default(model),
                requires_reasoning=dialect.requires_reasoning,
            )
        )
        _check_service_rules(parsed, prepared.fields, dialect=dialect, beta=beta)
    except MalformedBody as error:
        raise located(
            error,
            WireProtocol.CHAT,
            body=body,
            rewritten=prepared.text,
            callers_path=lambda path: _callers_path(path, prepared),
        ) from error
    except InvalidParameter as error:
        raise InvalidParameter(_in_callers_words(error.message, prepared)) from error
    return Call(
        request=generation_request(model, parsed, _own_fields(prepared), dialect),
        encoder=ChatEncoder(dialect, *((legacy.edit_calls,) if prepared.is_legacy else ())),
        id_prefix="chatcmpl-",
        warnings=foreign_warnings(prepared.fields),
    )


def _prepare(body: bytes, *, dialect: Dialect, beta: bool) -> _Prepared:
    decoded = decoded_object(body)
    is_legacy = dialect.takes_functions and legacy.has_functions(decoded)
    fields = legacy.with_tools(decoded) if is_legacy else decoded
    has_old_messages = dialect.takes_functions and legacy.has_function_messages(fields)
    if has_old_messages:
        fields = legacy.with_tool_messages(fields)
    if dialect.takes_developer_role:
        fields = _with_system_for_developer(fields)
    has_new_limit = dialect.takes_max_completion_tokens and _counts_the_new_way(fields)
    if has_new_limit:
        fields = {**fields, "max_tokens": fields["max_completion_tokens"]}
    if not beta:
        fields = _without_strict_tools(fields)
    judged = _judged(fields) if dialect.takes_json_schema else fields
    text = body if judged is decoded else msgspec.json.encode(judged)
    return _Prepared(
        fields=fields,
        text=text,
        is_legacy=is_legacy,
        has_old_words=is_legacy or (has_old_messages and decoded.get("tools") is None),
        has_new_limit=has_new_limit,
    )


def _judged(fields: dict[str, Any]) -> dict[str, Any]:
    """What the protocol package is shown: answers by schema are seekd's own, and so are the rules for them."""
    judged = without_strict(fields, "response_format", "json_schema")
    tools = fields.get("tools")
    if not isinstance(tools, list) or not any(_is_strict(tool) for tool in tools):
        return judged
    return {**judged, "tools": [judgeable(tool) for tool in tools]}


def _with_system_for_developer(fields: dict[str, Any]) -> dict[str, Any]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not any(_has_role(message, "developer") for message in messages):
        return fields
    changed = [{**message, "role": "system"} if _has_role(message, "developer") else message for message in messages]
    return {**fields, "messages": changed}


def _has_role(message: object, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role


def _counts_the_new_way(fields: Mapping[str, Any]) -> bool:
    """Whether the newer limit holds; beside the older one it does not, but what is no limit at all is refused."""
    newer = fields.get("max_completion_tokens")
    if newer is None or fields.get("max_tokens") is None:
        return newer is not None
    return type(newer) is not int or not 0 <= newer < 1 << 32


def _without_strict_tools(fields: dict[str, Any]) -> dict[str, Any]:
    # Off beta the service takes `strict` and ignores it; the protocol package would check such schemas strictly.
    tools = fields.get("tools")
    if not isinstance(tools, list) or not any(_is_strict(tool) for tool in tools):
        return fields
    changed = [
        {**tool, "function": {**tool["function"], "strict": False}} if _is_strict(tool) else tool for tool in tools
    ]
    return {**fields, "tools": changed}


def _is_strict(tool: object) -> bool:
    if not isinstance(tool, dict):
        return False
    function = tool.get("function")
    return isinstance(function, dict) and function.get("strict") is True


def _in_callers_words(message: str, prepared: _Prepared) -> str:
    if prepared.has_old_words:
        message = legacy.in_old_words(message)
    return message.replace("max_tokens", "max_completion_tokens") if prepared.has_new_limit else message


def _check_service_rules(parsed: RecipeBody, fields: Mapping[str, Any], *, dialect: Dialect, beta: bool) -> None:
    """What the protocol package accepts and the service refuses. Source: docs/reference/wire.md §5.4, §6.1."""
    if not beta and any(
        _has_role(message, "assistant") and message.get("prefix") is True for message in fields["messages"]
    ):
        raise InvalidParameter(f"prefix is {_BETA_BASE}")
    if not dialect.takes_json_schema and _response_format(fields) == "json_schema":
        raise InvalidParameter("This response_format type is unavailable now")
    if parsed.has_images:
        raise InvalidParameter("This model does not support image")
    tools = fields.get("tools") or ()
    if len(tools) > MAX_TOOLS:
        raise InvalidParameter(
            f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}, "
            f"but got an array with length {len(tools)} instead."
        )


def _callers_path(path: Path, prepared: _Prepared) -> Path:
    if path == ("max_tokens",) and prepared.has_new_limit:
        return ("max_completion_tokens",)
    return legacy.in_old_path(path) if prepared.is_legacy else path


def _response_format(fields: Mapping[str, Any]) -> str:
    response_format = fields.get("response_format")
    return str(response_format.get("type")) if isinstance(response_format, dict) else "text"


def _schema_format(fields: Mapping[str, Any]) -> object:
    return fields["response_format"].get("json_schema") if _response_format(fields) == "json_schema" else None


def _own_fields(prepared: _Prepared) -> OwnFields:
    fields = prepared.fields
    return OwnFields(
        sampling=asked_sampling(fields, ("temperature", "top_p", "seed", *PENALTIES)),
        user_id=user_id_or_none(fields.get("user_id"), member="user_id"),
        tool_choice=_tool_choice(fields.get("tool_choice")),
        asks_for_json=_response_format(fields) in ("json_object", "json_schema"),
        json_schema=answer_schema(_schema_format(fields)),
        strict_parameters=strict_parameters(tool["function"] for tool in fields.get("tools") or () if _is_strict(tool)),
        max_calls=1 if prepared.is_legacy else None,
    )


def _tool_choice(choice: object) -> str:
    if isinstance(choice, dict):
        return named_choice(choice.get("function")) or "auto"
    return "required" if choice == "required" else "auto"
