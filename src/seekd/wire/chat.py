"""`POST /chat/completions`: body bytes to a `Call`.

    bytes ──decode──> own fields ──rewrite (extensions)──> protocol package ──> rules of the service ──> Call

The protocol package judges the body; what it lets pass and the service refuses is refused here, and what `classic`
adds is rewritten before it sees the body. Sampling parameters come from the body itself, since the package resolves
some of them away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from functools import partial
from typing import Any

import msgspec

from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ReadBody, RecipeBody, WireProtocol
from seekd.request import GenerationRequest
from seekd.wire import legacy
from seekd.wire.calls import Call, ChatEncoder
from seekd.wire.dialect import Dialect
from seekd.wire.foreign_fields import foreign_warnings
from seekd.wire.json_locator import Path
from seekd.wire.malformed import located
from seekd.wire.model_names import accepted_names, known_name, thinks_by_default
from seekd.wire.requests import PENALTIES, decoded_object, generation_request, named_choice, user_id_or_none
from seekd.wire.strict import answer_schema, judgeable, strict_parameters, without_strict

MAX_TOOLS = 128
"""Source: docs/reference/wire.md §8.1; its text for more is in the family of the others."""

_BETA_BASE = 'only available when using beta api (set base_url="https://api.deepseek.com/beta")'


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
    sent = decoded_object(body)
    kinds = _message_kinds(sent)
    # `tools` stand there for the caller's `functions`, so that the answer is put in the old shape, too.
    is_legacy = dialect.takes_functions and legacy.has_functions(sent)
    # `max_tokens` stands there for the caller's `max_completion_tokens`.
    has_new_limit = (
        dialect.takes_max_completion_tokens
        and sent.get("max_completion_tokens") is not None
        and _counts_the_new_way(sent)
    )
    fields = _rewritten(sent, kinds, dialect=dialect, is_legacy=is_legacy, has_new_limit=has_new_limit, beta=beta)
    judged = _judged(fields) if dialect.takes_json_schema else fields
    text = body if judged is sent else msgspec.json.encode(judged)
    names = accepted_names(models)
    try:
        read = ReadBody(WireProtocol.CHAT, text)
        model = known_name(read.model, names)
        parsed = read.convert(
            models=names,
            thinking_by_default=thinks_by_default(model),
            requires_reasoning=dialect.requires_reasoning,
        )
        _check_service_rules(parsed, fields, dialect=dialect, has_prefix=not beta and "prefix" in kinds)
    except MalformedBody as error:
        path = partial(_callers_path, is_legacy=is_legacy, has_new_limit=has_new_limit)
        raise located(error, WireProtocol.CHAT, body=body, rewritten=text, callers_path=path) from error
    except InvalidParameter as error:
        has_old_messages = dialect.takes_functions and "function" in kinds and sent.get("tools") is None
        message = _in_callers_words(
            error.message, has_old_words=is_legacy or has_old_messages, has_new_limit=has_new_limit
        )
        raise InvalidParameter(message) from error
    return Call(
        request=_request(model, parsed, fields, dialect, is_legacy=is_legacy),
        encoder=ChatEncoder(dialect, *((legacy.edit_calls,) if is_legacy else ())),
        id_prefix="chatcmpl-",
        warnings=foreign_warnings(fields),
    )


def _message_kinds(fields: Mapping[str, Any]) -> Set[str]:
    """What the messages hold that is not everywhere taken: `developer`, `function` (the old shape), `prefix`."""
    messages = fields.get("messages")
    if not isinstance(messages, list):
        return frozenset()
    found = set()
    for message in messages:
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role == "developer":
            found.add("developer")
        if role == "function" or message.get("function_call") is not None:
            found.add("function")
        if role == "assistant" and message.get("prefix") is True:
            found.add("prefix")
    return found


def _rewritten(
    sent: dict[str, Any], kinds: Set[str], *, dialect: Dialect, is_legacy: bool, has_new_limit: bool, beta: bool
) -> dict[str, Any]:
    """The body without what the dialect adds to the service's own; the same object where it has nothing of it."""
    fields = legacy.with_tools(sent) if is_legacy else sent
    if dialect.takes_functions and "function" in kinds:
        fields = legacy.with_tool_messages(fields)
    if dialect.takes_developer_role and "developer" in kinds:
        fields = _with_system_for_developer(fields)
    if has_new_limit:
        fields = {**fields, "max_tokens": fields["max_completion_tokens"]}
    if not beta and fields.get("tools"):
        fields = _without_strict_tools(fields)
    return fields


def _judged(fields: dict[str, Any]) -> dict[str, Any]:
    """What the protocol package is shown: answers by schema are seekd's own, and so are the rules for them."""
    judged = without_strict(fields, "response_format", "json_schema") if "response_format" in fields else fields
    tools = fields.get("tools")
    if not isinstance(tools, list) or not any(_is_strict(tool) for tool in tools):
        return judged
    return {**judged, "tools": [judgeable(tool) for tool in tools]}


def _with_system_for_developer(fields: dict[str, Any]) -> dict[str, Any]:
    changed = [
        {**message, "role": "system"} if _has_role(message, "developer") else message for message in fields["messages"]
    ]
    return {**fields, "messages": changed}


def _has_role(message: object, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role


def _counts_the_new_way(fields: Mapping[str, Any]) -> bool:
    """Whether the newer limit holds; beside the older one it does not, but what is no limit at all is refused."""
    newer = fields["max_completion_tokens"]
    return fields.get("max_tokens") is None or type(newer) is not int or not 0 <= newer < 1 << 32


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


def _in_callers_words(message: str, *, has_old_words: bool, has_new_limit: bool) -> str:
    if has_old_words:
        message = legacy.in_old_words(message)
    return message.replace("max_tokens", "max_completion_tokens") if has_new_limit else message


def _check_service_rules(parsed: RecipeBody, fields: Mapping[str, Any], *, dialect: Dialect, has_prefix: bool) -> None:
    """What the protocol package accepts and the service refuses. Source: docs/reference/wire.md §5.4, §6.1."""
    if has_prefix:
        raise InvalidParameter(f"prefix is {_BETA_BASE}")
    if not dialect.takes_json_schema and _format_kind(fields) == "json_schema":
        raise InvalidParameter("This response_format type is unavailable now")
    if parsed.has_images:
        raise InvalidParameter("This model does not support image")
    tools = fields.get("tools") or ()
    if len(tools) > MAX_TOOLS:
        raise InvalidParameter(
            f"Invalid 'tools': array too long. Expected an array with maximum length {MAX_TOOLS}, "
            f"but got an array with length {len(tools)} instead."
        )


def _callers_path(path: Path, *, is_legacy: bool, has_new_limit: bool) -> Path:
    if path == ("max_tokens",) and has_new_limit:
        return ("max_completion_tokens",)
    return legacy.in_old_path(path) if is_legacy else path


def _format_kind(fields: Mapping[str, Any]) -> str:
    response_format = fields.get("response_format")
    return str(response_format.get("type")) if isinstance(response_format, dict) else "text"


def _request(
    model: str, parsed: RecipeBody, fields: Mapping[str, Any], dialect: Dialect, *, is_legacy: bool
) -> GenerationRequest:
    user_id, tools = fields.get("user_id"), fields.get("tools")
    kind = "text" if fields.get("response_format") is None else _format_kind(fields)
    return generation_request(
        model,
        parsed,
        fields,
        dialect,
        sampled=("temperature", "top_p", "seed", *PENALTIES),
        user_id=None if user_id is None else user_id_or_none(user_id, member="user_id"),
        tool_choice=_tool_choice(fields.get("tool_choice")) if tools else "auto",
        asks_for_json=kind in ("json_object", "json_schema"),
        json_schema=answer_schema(fields["response_format"].get("json_schema")) if kind == "json_schema" else None,
        strict_parameters=strict_parameters(tool["function"] for tool in tools if _is_strict(tool)) if tools else None,
        max_calls=1 if is_legacy else None,
    )


def _tool_choice(choice: object) -> str:
    if isinstance(choice, dict):
        return named_choice(choice.get("function")) or "auto"
    return "required" if choice == "required" else "auto"
