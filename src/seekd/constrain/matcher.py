"""A grammar and a vocabulary become the matcher that limits each next token.

Runs in the engine process.

What the matcher calls text is what the parser of the answer sees: the spellings of the marks of reasoning and of calls
count as text whether the model writes them as one token or byte by byte: the parser reads them equally. But their own
tokens are allowed only where they are markup (`constrain.markers`), not in strings and free text. Every other control
token, and every user-defined one that looks like a marker, is outside of all text and never allowed.

    grammar --LLMatcher--> prototype --deep_copy--> one matcher a sequence
                  ^
    vocabulary --tables (once: about a second and 90 MiB at 150k entries)
"""

from __future__ import annotations

import copy
import functools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask

from seekd.constrain.costs import parser_limits
from seekd.constrain.markers import DSML, TEXT_MARKERS, MarkerPlaces, names_an_element, places_of
from seekd.constrain.short_strings import ShortStrings, ShortStringTables
from seekd.errors import EngineError, InvalidParameter
from seekd.vocabulary import Vocabulary

VALUE_END = "</｜DSML｜"
"""Ends a value of a tool call for the parser, in whatever context it stands; see `GrammarMatcher`."""

NUM_KEPT_GRAMMARS = 64
"""Most compiled grammars kept for reuse; each costs from some kilobytes to a few megabytes."""

MAX_KEPT_COMPILE_S = 2.0
"""Processor time that compiling all kept grammars took: what takes long is large, 100 to 150 MB for a second."""

NUM_KEPT_ENCODINGS = 4096
"""Encodings of forced texts kept for reuse, the names of a schema above all: encoding one takes half a millisecond."""

_LONGEST_KEPT_TEXT = 256  # characters
_SPECIAL_PREFIX = b"\xff"  # llguidance keeps entries with this first byte out of all text


class GrammarMatcher:
    """Limits the next token of one sequence; used by one thread.

    In a grammar of tool calls the text `</｜DSML｜` may come only where the grammar then forces the rest of a closing
    tag. The grammar itself keeps it out of raw text, but in the strings of JSON values every text is allowed, and there
    the parser would cut the value.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        *,
        vocabulary: Vocabulary,
        markers: Markers,
        places: MarkerPlaces,
        value_ends: ValueEnds | None = None,
        short_strings: ShortStrings | None = None,
    ) -> None:
        """Own `matcher` and `places`.

        Args:
            matcher: a fresh one.
            vocabulary: its entries.
            markers: the vocabulary's.
            places: where they may come.
            value_ends: given where the grammar has tool calls.
            short_strings: given where its strings are plain; owned too.
        """
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._vocab_size = vocabulary.size
        self._markers = markers
        self._places = places
        self._bits = allocate_token_bitmask(1, vocabulary.size)[0]
        self._bits_address = self._bits.ctypes.data  # asking for it takes longer than a short mask
        self._value_ends = value_ends
        self._short_strings = short_strings
        self._tail = b""

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, shape `(vocab_size,)`; the caller owns the array.

        End-of-generation tokens are allowed only where the text may end.

        Raises:
            EngineError: the matcher failed, or no token at all can follow.
        """
        bits = None if self._short_strings is None else self._short_strings.mask()
        if bits is None:
            bits = self._bits
            self._matcher.unsafe_compute_mask_ptr(self._bits_address, bits.nbytes)
            self._check()
        mask = np.unpackbits(bits.view(np.uint8), count=self._vocab_size, bitorder="little").view(np.bool_)
        kept_out = self._keep_markers_out(mask)
        if self._value_ends is not None:
            self._keep_values_whole(mask, self._value_ends)
        if not mask.any():
            if not kept_out:
                raise EngineError("The output constraint leaves no token that could follow.")
            # Of a forced text the grammar allows only how the vocabulary encodes it, here with the marker's token.
            mask[self._markers.spelled[kept_out[0]][0]] = True
        return mask

    def forced_token_ids(self) -> list[int]:
        """The tokens that must come next, oldest first; empty where the grammar leaves a choice. None is accepted yet.

        They are the vocabulary's own encoding of the forced text, cut where what follows could change it.

        Raises:
            EngineError: the matcher failed.
        """
        if self._matcher.is_stopped():
            self._check()
            return []
        token_ids: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return token_ids if self._markers.ids.isdisjoint(token_ids) else self._spelled_in_text(token_ids)

    def accept(self, token_id: int) -> None:
        """Advance by a token that `allowed` allows.

        Raises:
            EngineError: the grammar has no place for the token, or the matcher failed.
        """
        if not self._matcher.consume_token(token_id):
            self._check()
            raise EngineError("A token left the output constraint.")
        data = self._vocabulary.token_bytes(token_id)
        self._places.accept(data)
        if self._value_ends is not None:
            self._tail = (self._tail + data)[-len(VALUE_END.encode()) :]
        if self._short_strings is not None:
            self._short_strings.accept(data)

    def is_complete(self) -> bool:
        """Whether nothing but the end may follow. Raises `EngineError` when the matcher has failed."""
        stopped: bool = self._matcher.is_stopped()
        if stopped:
            self._check()
        return stopped

    def _keep_markers_out(self, mask: npt.NDArray[np.bool_]) -> list[int]:
        """Take out the markers' own tokens where they are no markup, and return them."""
        kept_out = [
            token_id
            for marker, token_id in self._markers.id_of.items()
            if mask[token_id] and not self._may_be_markup(marker, token_id)
        ]
        mask[kept_out] = False
        return kept_out

    def _may_be_markup(self, marker: str, token_id: int) -> bool:
        return self._places.allows(marker) and (marker != DSML or names_an_element(self._forced_behind(token_id)))

    def _forced_behind(self, token_id: int) -> bytes:
        """What the grammar forces behind a token that it allows."""
        self._matcher.consume_token(token_id)
        forced: bytes = self._matcher.compute_ff_bytes()
        self._matcher.rollback(1)
        self._check()
        return forced

    def _spelled_in_text(self, token_ids: list[int]) -> list[int]:
        """The same forced text with markers spelled out where they are no markup."""
        places = copy.copy(self._places)
        written = []
        for index, token_id in enumerate(token_ids):
            if token_id in self._markers.ids:
                marker = self._markers.text_of[token_id]
                rest = b"".join(map(self._vocabulary.token_bytes, token_ids[index + 1 :]))
                is_markup = places.allows(marker) and (marker != DSML or not rest or names_an_element(rest))
                written += [token_id] if is_markup else self._markers.spelled[token_id]
            else:
                written.append(token_id)
            places.accept(self._vocabulary.token_bytes(token_id))
        return written

    def _keep_values_whole(self, mask: npt.NDArray[np.bool_], value_ends: ValueEnds) -> None:
        """Take out the tokens that would write the end of a value in the middle of a string."""
        token_ids = [token_id for token_id in value_ends.completed_by(self._tail) if mask[token_id]]
        if not token_ids or self._matcher.compute_ff_bytes():  # a forced text is the grammar's own
            return
        for token_id in token_ids:
            # Near the end of a string with a longest length something else may be forced: its quote.
            mask[token_id] = names_an_element(self._forced_behind(token_id))

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The output constraint failed: {_first_line(self._matcher.get_error())}")


class Markers:
    """The tokens of a vocabulary that are markers in text form, and how their texts are spelled without them."""

    def __init__(self, vocabulary: Vocabulary, spell: Callable[[str], list[int]]) -> None:
        self.id_of = {
            spelling: token_id for spelling, token_id in vocabulary.special_tokens.items() if spelling in TEXT_MARKERS
        }
        self.text_of = {token_id: marker for marker, token_id in self.id_of.items()}
        self.ids = frozenset(self.text_of)
        # In one piece, a vocabulary may encode a user-defined entry as itself even in plain text.
        self.spelled = {token_id: spell(marker[0]) + spell(marker[1:]) for marker, token_id in self.id_of.items()}


class ValueEnds:
    """Which tokens of a vocabulary complete `</｜DSML｜`, by how much of it is already written."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        end = VALUE_END.encode()
        self._prefixes = [end[:length] for length in range(len(end))]
        self._token_ids: list[list[int]] = [[] for _ in self._prefixes]
        for token_id in range(vocabulary.size):
            entry = vocabulary.token_bytes(token_id)
            if end[-1] not in entry:
                continue
            for length in range(len(end)):
                if entry.startswith(end[length:]) or end in entry:
                    self._token_ids[length].append(token_id)

    def completed_by(self, tail: bytes) -> list[int]:
        """The tokens that complete the text behind `tail`; `<` occurs only at its start, so one length can match."""
        for length in range(len(self._prefixes) - 1, -1, -1):
            if tail.endswith(self._prefixes[length]):
                return self._token_ids[length]
        raise AssertionError("every text ends with the empty prefix")


class ConstraintCompiler:
    """Compiles grammars against one vocabulary at a time; an engine's `ConstraintFactory`.

    Safe to call from several threads. The vocabulary's tables are built at the first call, or by `prepare`.
    """

    def __init__(self, *, num_kept_grammars: int = NUM_KEPT_GRAMMARS, limits: LLParserLimits | None = None) -> None:
        self._num_kept_grammars = num_kept_grammars
        self._limits = limits if limits is not None else parser_limits()
        self._lock = threading.Lock()
        self._vocabulary: Vocabulary | None = None
        self._tables: _Tables | None = None
        self._prototypes: OrderedDict[str, _Prototype] = OrderedDict()  # least recently used first

    def prepare(self, vocabulary: Vocabulary) -> None:
        """Build the vocabulary's tables now, so that the first constraint does not wait for them."""
        with self._lock:
            self._tables_of(vocabulary)

    def __call__(self, grammar: str, vocabulary: Vocabulary) -> GrammarMatcher:
        """Compile `grammar`, or copy it from the kept ones.

        Raises:
            InvalidParameter: the grammar cannot be enforced, or is beyond the limits.
        """
        with self._lock:
            tables = self._tables_of(vocabulary)
            prototype = self._prototypes.get(grammar)
            if prototype is not None:
                self._prototypes.move_to_end(grammar)
                return prototype.copy(vocabulary, tables)
        # Outside of the lock: other threads go on while one compiles; two may compile the same grammar once each.
        started_s = time.thread_time()
        matcher = LLMatcher(tables.tokenizer, grammar, log_level=0, limits=self._limits)
        if matcher.is_error():
            reason = _first_line(matcher.get_error())
            raise InvalidParameter(f"The requested output format cannot be enforced: {reason}")
        prototype = _Prototype(
            matcher=matcher,
            short_strings=tables.short_strings.compile(grammar, self._limits),
            places=places_of(grammar),
            has_calls=VALUE_END in grammar,
            compile_s=time.thread_time() - started_s,
        )
        with self._lock:
            if self._vocabulary is vocabulary:
                self._keep(grammar, prototype)
            return prototype.copy(vocabulary, tables)

    def _keep(self, grammar: str, prototype: _Prototype) -> None:
        self._prototypes[grammar] = prototype
        self._prototypes.move_to_end(grammar)
        while len(self._prototypes) > self._num_kept_grammars or self._kept_compile_s() > MAX_KEPT_COMPILE_S:
            self._prototypes.popitem(last=False)

    def _kept_compile_s(self) -> float:
        return sum(prototype.compile_s for prototype in self._prototypes.values())

    def _tables_of(self, vocabulary: Vocabulary) -> _Tables:
        if self._tables is None or self._vocabulary is not vocabulary:
            self._prototypes.clear()
            self._tables = _Tables(vocabulary)
            self._vocabulary = vocabulary
        return self._tables


class _Tables:
    """What is derived of one vocabulary; at 150k entries about a second and 90 MiB."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        entries = _Entries(vocabulary)
        end_token_ids = sorted(vocabulary.end_token_ids)
        self.tokenizer = LLTokenizer(TokenizerWrapper(entries), eos_token=end_token_ids)
        self.value_ends = ValueEnds(vocabulary)
        self.markers = Markers(vocabulary, entries.encode_plain)
        self.short_strings = ShortStringTables(
            entries.tokens, outside_ids=entries.special_token_ids, end_token_ids=end_token_ids
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prototype:
    """A compiled grammar at its start."""

    matcher: LLMatcher
    short_strings: LLMatcher | None
    places: MarkerPlaces
    has_calls: bool
    compile_s: float

    def copy(self, vocabulary: Vocabulary, tables: _Tables) -> GrammarMatcher:
        """A matcher of its own for one sequence; under the compiler's lock."""
        short = None if self.short_strings is None else self.short_strings.deep_copy()
        return GrammarMatcher(
            self.matcher.deep_copy(),
            vocabulary=vocabulary,
            markers=tables.markers,
            places=copy.copy(self.places),
            value_ends=tables.value_ends if self.has_calls else None,
            short_strings=None if short is None else ShortStrings(short, tables.short_strings),
        )


def build_constraint(grammar: str, vocabulary: Vocabulary) -> GrammarMatcher:
    """Compile one grammar against one vocabulary, keeping nothing; for scripts and tests.

    Raises:
        InvalidParameter: the grammar cannot be enforced, or is beyond the limits.
    """
    return ConstraintCompiler(num_kept_grammars=0)(grammar, vocabulary)


class _Entries:
    """A vocabulary in the shape that llguidance reads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        specials = set(vocabulary.end_token_ids)
        for spelling, token_id in vocabulary.special_tokens.items():
            if _is_outside_text(spelling, vocabulary.kind(token_id)):
                specials.add(token_id)
        self._vocabulary = vocabulary
        self.eos_token_id = min(vocabulary.end_token_ids)
        self.bos_token_id = None
        self.special_token_ids = sorted(specials)
        self.tokens = [
            _SPECIAL_PREFIX + (vocabulary.token_bytes(token_id) or str(token_id).encode())
            if token_id in specials
            else vocabulary.token_bytes(token_id)
            for token_id in range(vocabulary.size)
        ]
        self._marker_ids = {
            spelling: token_id for spelling, token_id in vocabulary.special_tokens.items() if spelling in TEXT_MARKERS
        }
        self._markers = re.compile(f"({'|'.join(map(re.escape, self._marker_ids)) or '(?!)'})")
        self._ids_by_bytes: dict[bytes, int] = {}  # filled where the vocabulary's own encoding is no use
        self._longest_bytes = 0
        self._encode_once = functools.lru_cache(NUM_KEPT_ENCODINGS)(self._encode)

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):  # llguidance asks once whether bytes would do; they would not
            raise TypeError("text must be str")
        return self._encode_once(text) if len(text) <= _LONGEST_KEPT_TEXT else self._encode(text)

    def _encode(self, text: str) -> list[int]:
        # The mask of a forced text is the first token of this encoding, so an encoding of another text (SentencePiece
        # puts a space in front, a normalizer composes) would let a token through that leaves the grammar.
        token_ids = []
        for part in self._markers.split(text):
            if (marker_id := self._marker_ids.get(part)) is not None:
                token_ids.append(marker_id)
            elif part:
                token_ids += self.encode_plain(part)
        return token_ids

    def encode_plain(self, text: str) -> list[int]:
        """Encode text as text, markers that it spells included."""
        token_ids = self._vocabulary.tokenize(text)
        data = text.encode()
        if b"".join(map(self._vocabulary.token_bytes, token_ids)) == data:
            return token_ids
        return self._longest_matches(data)

    def _longest_matches(self, data: bytes) -> list[int]:
        """Encode by the longest entry at each place; stops at a byte that no entry begins with."""
        if not self._ids_by_bytes:
            self._ids_by_bytes = {entry: token_id for token_id, entry in enumerate(self.tokens) if entry}
            self._longest_bytes = max(map(len, self._ids_by_bytes))
        token_ids = []
        start = 0
        while start < len(data):
            for end in range(min(len(data), start + self._longest_bytes), start, -1):
                if (token_id := self._ids_by_bytes.get(data[start:end])) is not None:
                    break
            else:
                break
            token_ids.append(token_id)
            start = end
        return token_ids


def _is_outside_text(spelling: str, kind: str) -> bool:
    if spelling in TEXT_MARKERS:
        return False
    return kind == "control" or "｜" in spelling or (spelling.startswith("<") and spelling.endswith(">"))


def _first_line(message: str) -> str:
    return message.split("\n", 1)[0].strip().rstrip(".") or "unknown reason"
