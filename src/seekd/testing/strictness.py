"""What the hosted API would refuse of a request, or take and ignore: for tests that are to fail then.

Refusals are those of the validation in the dialect `hosted`. What is ignored without a word follows the service's
documentation. Source: docs/reference/wire.md §6.1, §6.2, §8.4, §12, §14.2, §15.1 and §16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from seekd.errors import RequestError
from seekd.testing.seen import Json, SeenRequest
from seekd.wire.calls import Call
from seekd.wire.chat import parse_chat
from seekd.wire.completions import parse_completion
from seekd.wire.dialect import HOSTED
from seekd.wire.failures import error_facts
from seekd.wire.messages import parse_messages
from seekd.wire.responses import parse_responses

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "max_completion_tokens": "the hosted API knows only max_tokens, so the answer is not limited",
        "functions": "the hosted API knows only tools, so the model sees no function",
        "function_call": "the hosted API knows only tool_choice",
        "user": "the hosted API's name for it is user_id",
        "parallel_tool_calls": "the hosted API lets the model make several calls whatever it says",
        "logit_bias": "the hosted API has nothing like it",
        "enable_thinking": 'the hosted API takes thinking: {"type": "enabled"} or "disabled"',
        "thinking_budget": "the hosted API takes reasoning_effort instead",
        "chat_template_kwargs": 'the hosted API takes thinking: {"type": "enabled"} or "disabled" instead',
        "cache_control": "the hosted API caches by itself",
        "previous_response_id": "the hosted API keeps no state: send the whole conversation",
        "conversation": "the hosted API keeps no state: send the whole conversation",
        "store": "the hosted API keeps no state",
        "top_k": "the hosted API takes only temperature and top_p",
    }
)
"""What to know of members that the service ignores."""

_OLD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "deepseek-chat": 'deepseek-flash with thinking: {"type": "disabled"}',
        "deepseek-reasoner": "deepseek-flash, which thinks unless it is told not to",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Protocol:
    # The members that have an effect, and the parser that knows what is refused.
    members: frozenset[str]
    parse: Callable[..., Call]


_SAMPLING = ("temperature", "top_p")
_CHAT = frozenset(
    [
        "messages",
        "model",
        "thinking",
        "reasoning_effort",
        "max_tokens",
        "n",
        "stop",
        "stream",
        "stream_options",
        "response_format",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "user_id",
        "seed",
        "safety_check",
        "title",
        "frequency_penalty",
        "presence_penalty",
    ]
).union(_SAMPLING)
_COMPLETION = frozenset(
    [
        "model",
        "prompt",
        "suffix",
        "max_tokens",
        "echo",
        "stop",
        "stream",
        "stream_options",
        "logprobs",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "user_id",
        "n",
    ]
).union(_SAMPLING)
_MESSAGES = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "output_config",
        "tools",
        "tool_choice",
        "metadata",
        "safety_check",
        "title",
    ]
).union(_SAMPLING)
_RESPONSES = frozenset(
    [
        "model",
        "input",
        "instructions",
        "stream",
        "max_output_tokens",
        "top_logprobs",
        "tools",
        "tool_choice",
        "reasoning",
        "text",
        "user",
        "safety_check",
        "title",
        "include",
    ]
).union(_SAMPLING)


def _protocol(path: str) -> _Protocol:
    beta = path.startswith("/beta")
    if path.endswith("/chat/completions"):
        return _Protocol(members=_CHAT, parse=partial(parse_chat, beta=beta))
    if path.endswith("/completions"):
        return _Protocol(members=_COMPLETION, parse=partial(parse_completion, beta=beta))
    if path.endswith("/messages"):
        return _Protocol(members=_MESSAGES, parse=parse_messages)
    return _Protocol(members=_RESPONSES, parse=parse_responses)


def complaints(seen: SeenRequest) -> Sequence[str]:
    """What a developer should know of a request before it goes to the hosted API, a sentence each."""
    return list(_complaints(seen))


def _complaints(seen: SeenRequest) -> Iterator[str]:
    protocol = _protocol(seen.path)
    thinks = False
    try:
        call = protocol.parse(seen.raw, dialect=HOSTED)
        thinks = call.request.thinking
    except RequestError as error:
        yield f"The hosted API refuses this: {error_facts(error, HOSTED).message}"
    for name, value in seen.body.items():
        if value is not None and name not in protocol.members:
            yield f"The hosted API ignores {name!r}{_reason(name)}."
    if seen.is_chat:
        yield from _without_effect(seen.body, thinks=thinks)
        yield from _strict_tools(seen)
    model = seen.body.get("model")
    if isinstance(model, str) and model in _OLD_NAMES:
        yield f"The name {model!r} is deprecated: use {_OLD_NAMES[model]}."


def _reason(name: str) -> str:
    return f": {_INSTEAD[name]}" if name in _INSTEAD else ""


def _without_effect(body: Json, *, thinks: bool) -> Iterator[str]:
    for name in ("frequency_penalty", "presence_penalty"):
        if body.get(name):
            yield f"The hosted API takes {name!r} and does nothing with it."
    if thinks and _differs(body.get("temperature"), 1):
        yield "While the model thinks, the hosted API samples with a temperature of 1, whatever was asked."
    if _differs(body.get("top_p"), 1) and (thinks or body.get("model") != "deepseek-v4-pro"):
        yield "The hosted API follows 'top_p' only with deepseek-v4-pro and without thinking."


def _differs(value: Any, default: float) -> bool:
    return value is not None and value != default


def _strict_tools(seen: SeenRequest) -> Iterator[str]:
    tools = seen.body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("strict") and not seen.path.startswith("/beta"):
            yield (
                f"The hosted API ignores 'strict' of the tool {function.get('name')!r}: only its address /beta "
                "(https://api.deepseek.com/beta) enforces it."
            )
