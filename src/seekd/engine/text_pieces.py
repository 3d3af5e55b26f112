r"""Long texts in pieces that are tokenized one by one: the tokens of the pieces are those of the text.

Pure. llama.cpp finds the words of a text with a library that calls itself once a character: 26,500 letters, blanks or
full stops in a row overflow a stack of 8 MiB and end the process (its issue 27783). A call also needs fifty times the
memory of its text and cannot be stopped. In pieces there is an end to all three.

A piece ends where a word ends, whatever stands around:

    behind a letter or digit, before a blank, a full stop and the like      a| b   a|. b   12|\n
    behind a letter, before a digit                                         a|1

This holds for every pre-tokenizer of llama.cpp that knows words. `superbpe`, `gemma4` and `sarvam-moe` do not, `bloom`
and its kin have words with full stops inside, `exaone-moe` with blanks: there a few tokens at a cut may differ. So they
may where a run of thousands of characters has no such place, which whole would be the end of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

PIECE_CHARS = 16_384
"""Takes at most 5.2 MB of the stack, and about 12 ms."""

_BLANKS = frozenset(" \t\n")
_MARKS = frozenset(',.;:"()_-/，。、；：')


def text_pieces(text: str, size: int = PIECE_CHARS) -> Iterator[str]:
    """Cut a text; the pieces joined are the text.

    Args:
        text: any text.
        size: most characters of a piece.
    """
    start = 0
    while len(text) - start > size:
        end = _end(text, start + size // 2, start + size)
        yield text[start:end]
        start = end
    yield text[start:]


def _end(text: str, first: int, last: int) -> int:
    """The last place to cut behind `first`; before a blank if there is one, since those are safest."""
    kinds: tuple[Callable[[str, str], bool], ...] = (_is_before_blank, _is_before_mark)
    for is_end in kinds:
        for end in range(last, first, -1):
            if is_end(text[end - 1], text[end]):
                return end
    return last


def _is_before_blank(left: str, right: str) -> bool:
    return right in _BLANKS and left.isalnum()


def _is_before_mark(left: str, right: str) -> bool:
    return (right in _MARKS and left.isalnum()) or (right.isdecimal() and left.isalpha())
