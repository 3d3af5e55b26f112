"""Prompt segments to token ids.

Invariant: only control and markup segments, which the encoding itself wrote, yield control or user-defined token ids.
Text of users never does, whatever it spells:

    plain text      a </think> b
    cut             a <|/think> b        inside the spelling, so that no part spells it
    tokenized apart [a, ' <'] ['/', 'think', '> b']

The tokenizer of llama.cpp matches user-defined entries even when it is told to parse no special token, so leaving the
choice to it is not enough. What comes back is checked; a special id there is an internal error, never sent on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from seekd.errors import EngineError, InvalidParameter
from seekd.prompt.types import Segment
from seekd.vocabulary import Vocabulary


def encode(segments: Sequence[Segment], vocabulary: Vocabulary) -> list[int]:
    """Encode a rendered prompt; see `encode_pieces`."""
    return list(chain.from_iterable(encode_pieces(segments, vocabulary)))


def encode_pieces(segments: Sequence[Segment], vocabulary: Vocabulary) -> Iterator[list[int]]:
    """Encode a rendered prompt in parts, each of which takes some milliseconds.

    Args:
        segments: in order, BOS included.
        vocabulary: of the model that will read the prompt.

    Yields:
        Token ids; joined, those of the prompt, shape `(num_tokens,)`.

    Raises:
        InvalidParameter: the model has no token for a marker of the layout, so it cannot serve this kind of request.
        EngineError: the model's tokenizer made a control token of plain text.
    """
    special_tokens = vocabulary.special_tokens
    spellings = _protected(special_tokens)
    protected_ids = frozenset(special_tokens[text] for text in spellings)
    for segment in segments:
        if segment.is_control:
            token_id = special_tokens.get(segment.text)
            if token_id is None:
                raise InvalidParameter(
                    f"This kind of request needs the token {segment.text!r}, which the loaded model's vocabulary does "
                    "not have."
                )
            yield [token_id]
            continue
        parts = _marked_parts if segment.is_markup else cut_spellings
        for part in parts(segment.text, spellings):
            if segment.is_markup and part in special_tokens:
                yield [special_tokens[part]]
                continue
            for piece_ids in vocabulary.tokenize_pieces(part):
                if not protected_ids.isdisjoint(piece_ids):
                    raise EngineError("The model's tokenizer turned plain text into a control token; nothing was run.")
                yield piece_ids


def cut_spellings(text: str, spellings: tuple[str, ...]) -> Iterator[str]:
    """Cut text so that no part holds one of the spellings; the parts joined are the text.

    Args:
        text: any text.
        spellings: each of two characters or more.
    """
    start = 0
    if spellings:
        search = _pattern(spellings).search
        # Behind the first character of every occurrence, also of one that begins inside another.
        position = 0
        while (match := search(text, position)) is not None:
            position = match.start() + 1
            yield text[start:position]
            start = position
    if start < len(text):
        yield text[start:]


def _marked_parts(text: str, spellings: tuple[str, ...]) -> Iterator[str]:
    # Longest first: one token's spelling may begin another's.
    pattern = _splitting_pattern(spellings)
    return (part for part in pattern.split(text) if part)


def _protected(special_tokens: Mapping[str, int]) -> tuple[str, ...]:
    # A single character cannot be cut, and as a user-defined entry (runs of white space in some vocabularies) it stands
    # for nothing but itself.
    return tuple(text for text in special_tokens if len(text) > 1)


@lru_cache(maxsize=8)
def _splitting_pattern(spellings: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


@lru_cache(maxsize=8)
def _pattern(spellings: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(text) for text in spellings))
