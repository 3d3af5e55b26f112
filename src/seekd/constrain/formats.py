"""String formats as regular expressions, the same for JSON strings and for raw text.

Each matches a subset of its format: whatever comes out is valid, some rare
valid spellings cannot come out (29 February, hosts of more than six labels).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# RFC 3339 section 5.6. Years from 1000 keep four digits in every reader.
_DATE = (
    r"[1-9][0-9]{3}-"
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    r"|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

# RFC 3339 appendix A: a unit may be followed only by the next smaller one.
_N = "[0-9]{1,9}"
_DURATION_DATE = f"({_N}D|{_N}M({_N}D)?|{_N}Y({_N}M({_N}D)?)?)"
_DURATION_TIME = f"T({_N}S|{_N}M({_N}S)?|{_N}H({_N}M({_N}S)?)?)"
_DURATION = f"P({_N}W|{_DURATION_DATE}({_DURATION_TIME})?|{_DURATION_TIME})"

# RFC 1123 section 2.1; 6 labels of 40 characters stay below the 253 of a whole name.
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?"
_HOSTNAME = rf"{_LABEL}(\.{_LABEL}){{0,5}}"

# RFC 5321 section 4.1.2, dot-string of at most 64 characters before the @.
_ATOM = "[A-Za-z0-9_%+'-]{1,15}"
_EMAIL = rf"{_ATOM}(\.{_ATOM}){{0,3}}@{_LABEL}(\.{_LABEL}){{1,3}}"

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"

# RFC 4291 section 2.2, forms 1 and 2: eight groups, or `::` once in the place of one or more.
_GROUP = "[0-9a-fA-F]{1,4}"


def _shortened_ipv6(num_before: int) -> str:
    before = ":".join([_GROUP] * num_before)
    num_after = 7 - num_before
    after = f"({_GROUP}(:{_GROUP}){{0,{num_after - 1}}})?" if num_after else ""
    return f"{before}::{after}"


_IPV6 = "|".join([f"({_GROUP}:){{7}}{_GROUP}", *(_shortened_ipv6(num_before) for num_before in range(8))])

_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

# RFC 3986 section 3, with an authority.
_PATH_CHAR = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_URI = (
    rf"[A-Za-z][A-Za-z0-9+.-]{{0,20}}://{_HOSTNAME}(:[0-9]{{1,4}})?(/{_PATH_CHAR}*)*"
    rf"(\?({_PATH_CHAR}|[/?])*)?(#({_PATH_CHAR}|[/?])*)?"
)

FORMAT_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        name: f"^({pattern})$"
        for name, pattern in (
            ("date-time", f"{_DATE}T{_TIME}"),
            ("date", _DATE),
            ("time", _TIME),
            ("duration", _DURATION),
            ("email", _EMAIL),
            ("hostname", _HOSTNAME),
            ("ipv4", _IPV4),
            ("ipv6", _IPV6),
            ("uuid", _UUID),
            ("uri", _URI),
        )
    }
)
"""Format name to an expression that matches whole values."""

EQUIVALENTS: Mapping[str, str] = MappingProxyType(
    {
        # Zod 4, z.email()
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$": (
            r"^([A-Za-z0-9_'+-]+\.)*[A-Za-z0-9_'+-]*[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$"
        ),
        # Zod 4, z.iso.duration()
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$": (
            r"^P(\d+W|(\d+Y(\d+M)?(\d+D)?|\d+M(\d+D)?|\d+D)(T{time})?|T{time})$".replace(
                "{time}", r"(\d+H(\d+M)?(\d+([.,]\d+)?S)?|\d+M(\d+([.,]\d+)?S)?|\d+([.,]\d+)?S)"
            )
        ),
        # Pydantic 2, Decimal
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$": r"^[+-]?(\d+\.?\d*|\.\d+)$",
    }
)
"""Expressions with look-around that schema libraries write, and what says the same without."""
