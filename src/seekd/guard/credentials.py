"""Keys and tokens: what opens something, whoever holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seekd.guard.scan import Scan
from seekd.guard.types import Finding

_KEY = re.compile(
    r"(?:"
    r"sk-(?:[a-z0-9]{2,8}-){0,2}(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_]{16,}[A-Za-z0-9_-]*"  # DeepSeek, OpenAI, Anthropic
    r"|gh[opusr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"  # AWS
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|hf_[A-Za-z0-9]{30,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{20,}"  # Stripe
    r")(?![A-Za-z0-9_-])"
)
_JSON_WEB_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*")
_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BEARER = re.compile(r"earer[ \t]+([A-Za-z0-9._~+/-]{16,}={0,2})")


def find_keys(scan: Scan) -> Iterator[Finding]:
    """Keys by their issuers' prefixes, JSON web tokens, bearer tokens, and blocks that hold a private key."""
    text = scan.text
    for start, end in scan.long_words():
        match = _KEY.match(text, start, end)
        if match is None and text.startswith("eyJ", start):
            match = _JSON_WEB_TOKEN.match(text, start)
        if match is not None:
            yield _finding(*match.span())
    if "earer" in text:
        for match in _BEARER.finditer(text):
            if match.start() and text[match.start() - 1] in "Bb" and any(sign.isdigit() for sign in match[1]):
                yield _finding(*match.span(1))
    yield from _blocks(text)


def _blocks(text: str) -> Iterator[Finding]:
    # Each goes on from the end of the one before, so that beginnings without an end do not each search the whole rest.
    begin = _BLOCK.search(text) if "-----BEGIN" in text else None
    while begin is not None:
        end_line = _BLOCK_END.search(text, begin.end())
        end = len(text) if end_line is None else end_line.end()
        yield _finding(begin.start(), end)
        begin = _BLOCK.search(text, end)


def _finding(start: int, end: int) -> Finding:
    return Finding(start=start, end=end, rule="key", label="KEY")
