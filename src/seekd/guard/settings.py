"""Settings of the guard room.

Room: guard. May import: config, errors. Imports no library, so that reading settings stays cheap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

RULES = ("email", "phone", "card", "iban", "key", "ip")
"""The kinds of data that are known without an extension."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class PatternSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of one's own: `[[guard.patterns]]`.

    Attributes:
        rule: its name, lower case; the placeholders are this name in upper case.
        pattern: a regular expression of Python's `re`; what it matches is sensitive.
    """

    rule: str
    pattern: str


class OverrideSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other values for some requests: `[[guard.overrides]]`. What is left out stays as it is in `[guard]`.

    Attributes:
        model: the requests that ask for this name; None for all.
        account: the requests of the account of this id; None for all.
        redact, block, report, restore: as in `[guard]`.
    """

    model: str | None = None
    account: str | None = None
    redact: tuple[str, ...] | None = None
    block: tuple[str, ...] | None = None
    report: tuple[str, ...] | None = None
    restore: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What is kept from models, and what is refused. Off by default; see how-to/guard.md.

    Attributes:
        redact: rules whose findings are replaced by placeholders before a model sees the text: `email`, `phone`,
            `card`, `iban`, `key`, `ip`, own patterns, extensions.
        block: rules whose findings end the request with a 400.
        report: rules whose findings are only counted.
        restore: put the original text back into the answer where the model repeats a placeholder.
        patterns: rules of one's own, tables with `rule` and `pattern`.
        phone_regions: countries whose national telephone numbers are known, as two letters; international ones, which
            begin with +, always are.
        overrides: other values for a model or an account, tables with `model` and `account`; later ones win.
    """

    redact: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    restore: bool = True
    patterns: tuple[PatternSetting, ...] = ()
    phone_regions: tuple[str, ...] = ("US",)
    overrides: tuple[OverrideSetting, ...] = ()

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
        for region in self.phone_regions:
            if re.fullmatch("[A-Z]{2}", region) is None:
                raise ValueError(f"guard.phone_regions: {region!r} is not a country code such as US or DE.")
