"""Addresses of people and machines: e-mail and IP."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from seekd.guard.scan import Scan, is_letter
from seekd.guard.types import Finding

_DOMAIN = re.compile(r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.([A-Za-z]{2,24})(?![A-Za-z0-9_-])")
_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z_\u00c0-\u02af\u0370-\u058f!#$%&'*+/=?^~.-]+")
_MAX_LOCAL_CHARS = 64
_NOT_DOMAINS = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico"))
"""`logo@2x.png` is the name of a picture."""

_V4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
_VERSION_BEFORE = re.compile(r"(?:\bv|\bver\.?|version|release|build|[=<>~!]=|[~^<>])\s*$", re.IGNORECASE)
_NOT_V4_BEFORE = frozenset("._-/\\")
_V6_BACKWARDS = re.compile(r"[0-9A-Fa-f:]*")
_V6 = re.compile(r"[0-9A-Fa-f:]+(?:\.[0-9]+){0,3}")
_MAX_V6_CHARS = 45
_DIGIT = re.compile(r"[0-9]")


def find_emails(scan: Scan) -> Iterator[Finding]:
    """E-mail addresses whose domain has a name at the top, as those of the internet have."""
    text = scan.text
    if "@" not in text:
        return
    for match in _DOMAIN.finditer(text):
        at = match.start()
        before = text[max(0, at - _MAX_LOCAL_CHARS) : at]
        local = _LOCAL_BACKWARDS.match(before[::-1])
        if local is None or match[1].lower() in _NOT_DOMAINS:
            continue
        start = at - local.end() + _num_leading_signs(text[at - local.end() : at])
        is_remote = text[start:at] == "git" and text[match.end() : match.end() + 1] == ":"  # git@host:repository
        if start < at and not is_remote:
            yield Finding(start=start, end=match.end(), rule="email", label="EMAIL")


def _num_leading_signs(local: str) -> int:
    """Signs that may stand in a name but here belong to the text around it: `mailto=<'ann@…`."""
    return len(local) - len(local.lstrip("!#$%&'*+/=?^~.-"))


def find_ips(scan: Scan) -> Iterator[Finding]:
    """Addresses of machines, but not those that mean the machine itself, nor what is rather a version number."""
    yield from _find_v4(scan)
    yield from _find_v6(scan)


def _find_v4(scan: Scan) -> Iterator[Finding]:
    text = scan.text
    for run in scan.digit_runs:
        if not run.has_dots:
            continue
        for match in _V4.finditer(text, run.start, run.end):
            start, end = match.span()
            if _is_v4(match[0]) and not _stands_in_word(text, start, end):
                yield Finding(start=start, end=end, rule="ip", label="IP")


def _is_v4(address: str) -> bool:
    if len(address) == len("1.2.3.4"):
        return False  # four single digits are a version as often as an address
    # Written out: the standard library takes three times as long, and log files are full of them.
    parts = address.split(".")
    if parts[0] in ("127", "255") or address == "0.0.0.0":  # noqa: S104 - nothing is bound to it
        return False
    return all(len(part) == 1 or (part[0] != "0" and int(part) < 256) for part in parts)


def _stands_in_word(text: str, start: int, end: int) -> bool:
    before = text[start - 1 : start]
    after = text[end : end + 2]
    if is_letter(before) or (before in _NOT_V4_BEFORE and text[max(0, start - 2) : start] != "//"):
        return True
    if is_letter(after[:1]) or after[:1] in ("_", "-") or (after[:1] == "." and after[1:].isdigit()):
        return True
    return _VERSION_BEFORE.search(text[max(0, start - 12) : start]) is not None


def _find_v6(scan: Scan) -> Iterator[Finding]:
    text, done = scan.text, 0
    for colon in scan.colons:
        if colon < done:
            continue
        before = text[max(done, colon - _MAX_V6_CHARS) : colon]
        head = _V6_BACKWARDS.match(before[::-1])
        start = colon - (0 if head is None else head.end())
        match = _V6.match(text, start)
        if match is None:
            continue
        done = match.end()  # of all that may belong to it: nothing is read twice
        if done - start > _MAX_V6_CHARS:
            continue
        address = match[0].rstrip(":.") if not match[0].endswith("::") else match[0]
        end = start + len(address)
        if _is_v6(address) and not is_letter(text[start - 1 : start]) and not is_letter(text[end : end + 1]):
            yield Finding(start=start, end=end, rule="ip", label="IP")


def _is_v6(address: str) -> bool:
    groups = [group for group in address.split(":") if group]
    # `x[1000::]` and `add::f2` of a program are addresses by their signs only.
    if len(groups) < 2 or (len(groups) == 2 and _DIGIT.search(groups[0]) is None):
        return False
    if len(groups[0]) < 3 and address.count(":") < 7:
        return False
    if len(groups) > 8 or address.count("::") > 1 or _DIGIT.search(address) is None:
        return False
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified)
