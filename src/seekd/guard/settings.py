"""Settings of the guard room.

Imports no library, so that reading settings stays cheap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from seekd.config import Secret, overlaid, overlay

RULES = ("email", "phone", "card", "iban", "key", "ip")
"""The kinds of data that are known without an extension."""

OutputModeration = Literal["off", "end", "windows"]

LIMITS = ("max_messages", "max_prompt_tokens", "max_tools", "max_schema_bytes")

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class PatternSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of one's own: `[[guard.patterns]]`.

    Attributes:
        rule: its name, lower case; the placeholders are this name in upper case.
        pattern: a regular expression of Python's `re`; what it matches is sensitive.
    """

    rule: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestGuard:
    """What may differ between requests, their rules aside.

    Attributes:
        restore: put the original text back into the answer where the model repeats a placeholder.
        max_messages: of one request; None for no limit.
        max_prompt_tokens: of one request; None for what the model's context holds.
        max_tools: offered in one request; None for what the protocol allows.
        max_schema_bytes: of all tools of one request together; None for no limit.
        moderate_input: judge requests.
        moderate_output: judge answers. In streams: `windows` sends nothing before it was judged, `end` sends at once
            and ends the stream with an error where the whole was not allowed.
    """

    restore: bool = True
    max_messages: int | None = None
    max_prompt_tokens: int | None = None
    max_tools: int | None = None
    max_schema_bytes: int | None = None
    moderate_input: bool = True
    moderate_output: OutputModeration = "windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverridableGuard(RequestGuard):
    """What `[[guard.overrides]]` may change: rules are named by what becomes of their findings.

    Attributes:
        redact: rules whose findings are replaced by placeholders before a model sees the text: `email`, `phone`,
            `card`, `iban`, `key`, `ip`, own patterns, extensions.
        block: rules whose findings end the request with a 400.
        report: rules whose findings are only counted.
    """

    redact: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    report: tuple[str, ...] = ()


@overlay(OverridableGuard)
class OverrideSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other values for some requests: `[[guard.overrides]]`. What is left out stays as it is in `[guard]`.

    Attributes:
        model: the requests that are served as this name; None for all.
        account: the requests of the account of this id; None for all.
    """

    model: str | None = None
    account: str | None = None

    if TYPE_CHECKING:  # the keys that the overlay adds

        def __init__(self, *, model: str | None = None, account: str | None = None, **keys: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings(OverridableGuard):
    """What is kept from models, and what is refused. Off by default; see how-to/guard.md.

    Attributes:
        patterns: rules of one's own, tables with `rule` and `pattern`.
        phone_regions: countries whose national telephone numbers are known, as two letters; international ones, which
            begin with +, always are.
        overrides: other values of the keys `restore` to `report` for a model or an account, tables with `model`,
            `account` and these keys; later ones win.
        moderation: what judges requests and answers: the address of a moderation endpoint, `http://…` or `https://…`,
            or the name of an extension; None for nothing.
        moderation_key: sent to the endpoint as a Bearer key.
        moderation_model: named to the endpoint; None names none.
        moderation_timeout_s: how long a verdict may take.
        moderation_failure: what happens without a verdict: `refuse` answers 503, `allow` serves and says so.
        moderation_window_chars: generated characters after which a stream's text is first judged; each further window
            is twice as long, up to eight times.
    """

    patterns: tuple[PatternSetting, ...] = ()
    phone_regions: tuple[str, ...] = ("US",)
    overrides: tuple[OverrideSetting, ...] = ()
    moderation: str | None = None
    moderation_key: Secret = Secret("")
    moderation_model: str | None = None
    moderation_timeout_s: float = 5.0
    moderation_failure: Literal["refuse", "allow"] = "refuse"
    moderation_window_chars: int = 400

    @property
    def named_rules(self) -> frozenset[str]:
        """Every rule that is named anywhere."""
        named = [self, *(overlaid(OverridableGuard(), override) for override in self.overrides)]
        return frozenset(rule for rules in named for rule in (*rules.redact, *rules.block, *rules.report))

    def __post_init__(self) -> None:
        """Check what can be checked without the extensions; the message names the key."""
        for setting in self.patterns:
            if _NAME.fullmatch(setting.rule) is None or setting.rule in RULES:
                raise ValueError(f"guard.patterns: {setting.rule!r} is not a free name in lower case.")
            try:
                compiled = re.compile(setting.pattern)
            except re.error as error:
                raise ValueError(f"guard.patterns: the pattern of {setting.rule} is not valid: {error}.") from error
            if compiled.match("") is not None:
                raise ValueError(f"guard.patterns: the pattern of {setting.rule} matches an empty text.")
        for name in LIMITS:
            for value in (getattr(self, name), *(getattr(override, name) for override in self.overrides)):
                if value is not None and value < 0:
                    raise ValueError(f"guard.{name} = {value} is not a limit; use 0 or more.")
        if self.moderation_timeout_s <= 0 or self.moderation_window_chars < 1:
            raise ValueError("guard.moderation_timeout_s and guard.moderation_window_chars must be more than 0.")
        for region in self.phone_regions:
            if re.fullmatch("[A-Z]{2}", region) is None:
                raise ValueError(f"guard.phone_regions: {region!r} is not a country code such as US or DE.")
