r"""Which texts a JSON string can hold here, and patterns narrowed to them.

Without `\u` escapes the control characters that have no letter of their own cannot be written, nor can U+007F.
llguidance 1.9.1 (measured) does not say so: in a fixed text it leaves them out, and a class that holds all of them lets
quotes and backslashes in that the class excludes.
"""

from __future__ import annotations

import re

from seekd.constrain.lark import end_of_class

_UNWRITABLE = "\\x00-\\x07\\x0b\\x0e-\\x1f\\x7f"
_UNWRITABLE_TEXT = re.compile(f"[{_UNWRITABLE}]")
_NAMED = re.compile(
    r"\\(?:(?:x|u00)(?:0[0-7bBeEfF]|1[0-9a-fA-F]|7[fF])|u\{0*(?:[0-7bef]|1[0-9a-f]|7f)\}|[0cvae])", re.A
)
_NUL = re.compile(r"\\(?:x00|u0000|u\{0+\}|0)|\x00")


def is_writable(text: str) -> bool:
    """Whether a JSON string can hold `text`."""
    return _UNWRITABLE_TEXT.search(text) is None


def writable_pattern(pattern: str) -> str | None:
    """An expression for the writable texts that `pattern` matches; None where it asks for one that is not writable."""
    parts, index = [], 0
    while index < len(pattern):
        if pattern[index] == "[":
            end = end_of_class(pattern, index)
            chars = pattern[index:end]
            if chars.startswith("[^"):
                chars = f"[^{_UNWRITABLE}{chars[2:]}"
            elif _NUL.search(chars):
                return None
            parts.append(chars)
            index = end
            continue
        if _NAMED.match(pattern, index) or not is_writable(pattern[index]):
            return None
        length = 2 if pattern[index] == "\\" else 1
        parts.append(pattern[index : index + length])
        index += length
    return "".join(parts)
