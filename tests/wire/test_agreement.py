"""`hosted` says what DeepSeek's own package says, used directly, but for the differences listed here.

Two thousand generated bodies. The service goes beyond the package in each listed way; every row has an example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import deepseek_recipe as recipe
import pytest
from hypothesis import HealthCheck, event, given, settings

from seekd.errors import InvalidParameter, MalformedBody, UnknownModel
from seekd.wire.calls import Call
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import HOSTED
from seekd.wire.failures import failure_response
from seekd.wire.messages import parse_messages
from seekd.wire.model_names import accepted_names, served_name, thinks_by_default
from seekd.wire.responses import parse_responses
from tests.wire.bodies import as_sent, chat_bodies, message_bodies, response_bodies
from tests.wire.driving import as_bytes

NAMES = accepted_names(())
SENTENCES = {
    "syntax": "Failed to parse the request body as JSON: ",
    "shape": "Failed to deserialize the JSON body into the target type: ",
}
_PLACE = re.compile(r" at line \d+ column \d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a body: `accepted`, `syntax`, `shape` or `rule`; the text of a refusal."""

    kind: str
    text: str = ""
    status: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One difference between the package and the service, and so between the package and `hosted`.

    Attributes:
        why: what the service does.
        package: kind of the package's verdict, and a pattern for its text.
        seekd: the same for seekd's; paths and places of malformed bodies left out.
        fields: members that, added to a good chat body, show it.
    """

    why: str
    package: tuple[str, str]
    seekd: tuple[str, str]
    fields: dict[str, Any]


_USER = {"role": "user", "content": "Hi"}
_STRICT_RULES = (
    "Cannot use strict tool|Invalid tool parameters schema|Required propert|additionalProperties|The top level of"
    "|An object with no properties|response_format should not be used with tools"
)
IMAGES = Listed(
    why="no served model sees pictures",
    package=("accepted", ""),
    seekd=("rule", r"This model does not support image"),
    fields={
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
        ]
    },
)
NAMES_AS_TEXT = Listed(
    why="the service's reader calls a name that is no string broken JSON",
    package=("shape", r"invalid type: .*, expected string or map"),
    seekd=("syntax", r"expected value"),
    fields={"reasoning_effort": 5},
)
THINKING_TYPE = Listed(
    why="the service's own name of the type",
    package=("shape", r"invalid type: .*, expected struct ChatCompletionThinking"),
    seekd=("shape", r"invalid type: .*, expected struct ThinkingOptions"),
    fields={"thinking": True},
)
USER_ID = Listed(
    why="the service limits user_id",
    package=("accepted", ""),
    seekd=("rule", r"Invalid 'user_id': string too long\..*"),
    fields={"user_id": "x" * 513},
)
JSON_SCHEMA = Listed(
    why="the service has no json_schema in Chat Completions",
    package=("accepted", ""),
    seekd=("rule", r"This response_format type is unavailable now"),
    fields={"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
)
PREFIX = Listed(
    why="the service has prefix completion on /beta only",
    package=("accepted", ""),
    seekd=("rule", r"prefix is only available when using beta api .*"),
    fields={"messages": [_USER, {"role": "assistant", "content": "H", "prefix": True}]},
)
STRICT = Listed(
    why="off /beta the service takes `strict` and ignores it",
    package=("rule", f".*(?:{_STRICT_RULES}).*"),
    seekd=("accepted", ""),
    fields={
        "tools": [
            {"type": "function", "function": {"name": "f", "strict": True}},
            {"type": "function", "function": {"name": "g"}},
        ]
    },
)
COMMON = (IMAGES, NAMES_AS_TEXT, THINKING_TYPE)
CHAT_ON_BETA = (*COMMON, USER_ID, JSON_SCHEMA)
CHAT = (*CHAT_ON_BETA, PREFIX, STRICT)


def patient(max_examples: int) -> settings:
    """The same bodies in every run, however slow the machine."""
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def _package_verdict(
    request_class: Any, body: bytes, thinks: Callable[[str], bool], *, knows: Callable[[str], bool] = NAMES.__contains__
) -> Verdict:
    try:
        request = request_class(body)
    except ValueError as error:
        kind = "syntax" if str(error).startswith("invalid JSON request: ") else "shape"
        return Verdict(kind=kind, text=_PLACE.sub("", str(error).partition(": ")[2]))
    names = (request.model,) if knows(request.model) else NAMES
    options = recipe.ConversionOptions(
        default_thinking_mode=thinks(request.model),
        reasoning_content_behavior=recipe.ReasoningContentBehavior.Reject,
    ).with_model_versions_by_name(dict.fromkeys(names, recipe.ModelVersion.DeepseekV41Flash))
    try:
        request.convert(options)
    except recipe.ConversionError as error:
        return Verdict(kind="rule", text=json.loads(error.body)["error"]["message"], status=error.status_code)
    return Verdict(kind="accepted")


def _package_chat_verdict(body: bytes) -> Verdict:
    return _package_verdict(recipe.ChatCompletionRequest, body, thinks_by_default)


def _seekd_verdict(parse: Callable[[], Call]) -> Verdict:
    try:
        parse()
    except MalformedBody as error:
        return Verdict(
            kind="syntax" if error.is_syntax else "shape",
            text=_PLACE.sub("", error.message),
            status=failure_response(error, HOSTED).status,
        )
    except (InvalidParameter, UnknownModel) as error:
        failure = failure_response(error, HOSTED)
        return Verdict(kind="rule", text=json.loads(failure.body)["error"]["message"], status=failure.status)
    return Verdict(kind="accepted")


def _check(package: Verdict, own: Verdict, *, allowed: tuple[Listed, ...]) -> None:
    event(f"the package says {package.kind}")
    assert own.status == package.status
    assert own.text.startswith(SENTENCES.get(own.kind, ""))
    if package.kind == own.kind and _says(own, package.text):
        return
    rows = [row for row in allowed if _fits(package, row.package) and _fits(own, row.seekd)]
    assert rows, f"package: {package}\nseekd:   {own}"
    event(f"difference: {rows[0].why}")


def _says(own: Verdict, text: str) -> bool:
    # Between the sentence and the reason of a malformed body stands its path, which the package does not know.
    return own.text.endswith(text) if own.kind in SENTENCES else own.text == text


def _fits(verdict: Verdict, pattern: tuple[str, str]) -> bool:
    kind, text = pattern
    return verdict.kind == kind and re.search(f"(?:^|: ){text}$", verdict.text) is not None


@pytest.mark.parametrize("listed", CHAT, ids=lambda listed: listed.why)
def test_each_listed_difference_is_there(listed: Listed) -> None:
    body = as_bytes({"model": "deepseek-chat", "messages": [_USER], **listed.fields})
    assert _fits(_package_chat_verdict(body), listed.package)
    assert _fits(_seekd_verdict(lambda: parse_chat(body, dialect=HOSTED, beta=False)), listed.seekd)


@patient(900)
@given(body=as_sent(chat_bodies))
def test_chat_bodies_meet_the_same_fate(body: bytes) -> None:
    own = _seekd_verdict(lambda: parse_chat(body, dialect=HOSTED, beta=False))
    _check(_package_chat_verdict(body), own, allowed=CHAT)


@patient(200)
@given(body=as_sent(chat_bodies))
def test_chat_bodies_on_beta_meet_the_same_fate(body: bytes) -> None:
    own = _seekd_verdict(lambda: parse_chat(body, dialect=HOSTED, beta=True))
    _check(_package_chat_verdict(body), own, allowed=CHAT_ON_BETA)


def _is_known_message(name: str) -> bool:
    return name in NAMES or name.startswith("claude")


def _message_thinks(name: str) -> bool:
    return thinks_by_default(served_name(name, (), takes_any=True))


@patient(450)
@given(body=as_sent(message_bodies))
def test_messages_bodies_meet_the_same_fate(body: bytes) -> None:
    package = _package_verdict(recipe.MessagesRequest, body, _message_thinks, knows=_is_known_message)
    own = _seekd_verdict(lambda: parse_messages(body, dialect=HOSTED))
    _check(package, own, allowed=COMMON)


@patient(450)
@given(body=as_sent(response_bodies))
def test_responses_bodies_meet_the_same_fate(body: bytes) -> None:
    package = _package_verdict(recipe.ResponsesRequest, body, thinks_by_default)
    own = _seekd_verdict(lambda: parse_responses(body, dialect=HOSTED))
    _check(package, own, allowed=COMMON)
