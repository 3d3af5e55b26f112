"""The last step of reading a body, the same for every protocol of the package: a `GenerationRequest`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from seekd.engine.types import Sampling
from seekd.errors import InvalidParameter
from seekd.prompt.recipe import RecipeBody
from seekd.request import GenerationRequest
from seekd.wire.dialect import Dialect
from seekd.wire.model_names import answer_name
from seekd.wire.rules import output_rule

MAX_USER_ID_BYTES = 512
"""Source: docs/reference/wire.md §6.1."""

PENALTIES = ("presence_penalty", "frequency_penalty")


def decoded_object(body: bytes) -> dict[str, Any]:
    """The members of a body; none where it is no JSON object, which the protocol package will refuse."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def text_or_none(value: object) -> str | None:
    """The value if it is text: members without effect are not refused for their type."""
    return value if isinstance(value, str) else None


def user_id_or_none(value: object, *, member: str) -> str | None:
    """The caller's own name for its user. Raises `InvalidParameter` where it is too long, naming the member."""
    user_id = text_or_none(value)
    num_bytes = 0 if user_id is None else len(user_id.encode())
    if num_bytes > MAX_USER_ID_BYTES:
        raise InvalidParameter(
            f"Invalid '{member}': string too long. Expected a string with maximum length {MAX_USER_ID_BYTES}, "
            f"but got a string with length {num_bytes} instead"
        )
    return user_id


def generation_request(
    model: str,
    parsed: RecipeBody,
    fields: Mapping[str, Any],
    dialect: Dialect,
    *,
    sampled: Iterable[str],
    user_id: str | None = None,
    tool_choice: str = "auto",
    asks_for_json: bool = False,
    json_schema: str | None = None,
    strict_parameters: Mapping[str, Any] | None = None,
    max_calls: int | None = None,
    lower_max_tokens: bool | None = None,
    served_model: str | None = None,
) -> GenerationRequest:
    """Put together what the service needs: what the protocol package says, and what it keeps silent or resolves away.

    The prompt shows strict tools as they are enforced, but in a dialect that follows the service, which shows less.

    Args:
        model: the requested name.
        parsed: as validated.
        fields: of the body.
        dialect: of the request.
        sampled: the members of the body that are sampling parameters.
        user_id: the caller's own name for its user.
        tool_choice: `auto`, `required` or a tool's name.
        asks_for_json: the answer is to be a JSON object, unless it is a call.
        json_schema: what that object must fit; None for any object.
        strict_parameters: name to parameters of the strict tools, which the package hands on with gaps.
        max_calls: most calls in one answer; None for no limit.
        lower_max_tokens: whether too large a limit is lowered; None for the dialect's rule.
        served_model: the name that it stands for; None where that is the same.
    """
    served_model = model if served_model is None else served_model
    if strict_parameters and dialect.takes_json_schema:
        parsed = parsed.with_parameters(strict_parameters)
    limit = parsed.output_limit
    return GenerationRequest(
        model=model if dialect.echoes_model else answer_name(served_model),
        requested_model=model,
        served_model=served_model,
        stream=parsed.stream,
        thinking=parsed.starts_in_reasoning,
        body=parsed,
        max_tokens=parsed.max_tokens,
        default_max_tokens=default_max_tokens(parsed, dialect),
        cache_hit_unit=dialect.cache_hit_unit,
        lower_max_tokens=dialect.lowers_max_tokens if lower_max_tokens is None else lower_max_tokens,
        sampling=_sampling(parsed, fields, sampled, dialect),
        user_id=user_id,
        must_be_judged="safety_check" in fields and _asks_for_judgement(fields["safety_check"], tool_choice),
        rule=None
        if limit is None
        else output_rule(
            limit,
            tool_choice=tool_choice,
            asks_for_json=asks_for_json,
            json_schema=json_schema,
            strict_parameters=strict_parameters,
            max_calls=max_calls,
        ),
    )


def default_max_tokens(parsed: RecipeBody, dialect: Dialect) -> int:
    """What an unset limit becomes. Source: docs/reference/classic-api.md; docs/reference/wire.md §6.3."""
    if not parsed.thinking:
        return dialect.non_thinking_max_tokens
    return 131_072 if parsed.effort == "max" else 65_536


def _asks_for_judgement(check: object, tool_choice: str) -> bool:
    """What `safety_check` says. Source: docs/reference/wire.md §6.4."""
    if check is None:
        return False
    level = check.get("level") if isinstance(check, dict) else None
    if not isinstance(level, str) or level not in ("high", "low"):
        raise InvalidParameter('Invalid \'safety_check\': it is {"level": "high"} or {"level": "low"}.')
    if level == "high" and tool_choice != "auto":
        raise InvalidParameter("Invalid 'tool_choice': with the level 'high' of 'safety_check' it is 'auto' or 'none'.")
    return level == "high"


def named_choice(choice: object) -> str | None:
    """The name in a `tool_choice` that names its tool directly."""
    if isinstance(choice, Mapping) and isinstance(choice.get("name"), str):
        return str(choice["name"])
    return None


def _sampling(parsed: RecipeBody, fields: Mapping[str, Any], members: Iterable[str], dialect: Dialect) -> Sampling:
    """What these members of a body ask for, which the protocol package has judged."""
    asked = {name: fields[name] for name in members if fields.get(name) is not None}
    if not dialect.samples_as_asked:
        asked = {
            "temperature": parsed.service_temperature,
            "top_p": parsed.service_top_p,
            "seed": asked.get("seed"),
        }
    return Sampling(**asked, num_top_logprobs=parsed.num_top_logprobs)
