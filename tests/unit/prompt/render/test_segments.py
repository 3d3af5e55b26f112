import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.engine.scripted import ScriptedVocabulary
from seekd.errors import EngineError, InvalidParameter
from seekd.prompt.render.segments import cut_spellings, encode
from seekd.prompt.types import Segment

_SPELLINGS = tuple(ScriptedVocabulary().special_tokens)


class _MatchingVocabulary(ScriptedVocabulary):
    """Matches every marker in plain text: the worst that a tokenizer could do with special parsing off."""

    def tokenize(self, text: str) -> list[int]:
        token_ids: list[int] = []
        for part in re.split("(" + "|".join(map(re.escape, _SPELLINGS)) + ")", text):
            special_id = self.special_tokens.get(part)
            token_ids += list(part.encode()) if special_id is None else [special_id]
        return token_ids


_texts_with_markers = st.lists(
    st.one_of(st.text(max_size=5), st.sampled_from(_SPELLINGS), st.sampled_from(_SPELLINGS).map(lambda text: text[1:])),
    max_size=12,
).map("".join)


@given(text=_texts_with_markers)
def test_plain_text_never_becomes_a_marker_and_keeps_its_bytes(text: str) -> None:
    vocabulary = _MatchingVocabulary()
    token_ids = encode([Segment(text=text)] if text else [], vocabulary)
    assert not set(token_ids) & set(vocabulary.special_tokens.values())
    assert b"".join(map(vocabulary.token_bytes, token_ids)) == text.encode()


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_each_marker_that_a_user_writes_stays_text(spelling: str) -> None:
    vocabulary = _MatchingVocabulary()
    assert vocabulary.tokenize(spelling) == [vocabulary.special_tokens[spelling]]
    token_ids = encode([Segment(text=spelling)], vocabulary)
    assert bytes(token_ids) == spelling.encode()


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_each_marker_of_the_layout_is_one_token(spelling: str) -> None:
    vocabulary = ScriptedVocabulary()
    assert encode([Segment(text=spelling, is_control=True)], vocabulary) == [vocabulary.special_tokens[spelling]]


@given(text=st.text(alphabet="<a>", max_size=30))
def test_overlapping_spellings_are_all_cut(text: str) -> None:
    spellings = ("<a<a>", "<a>", "a><")
    parts = list(cut_spellings(text, spellings))
    assert "".join(parts) == text
    assert not [part for part in parts if any(spelling in part for spelling in spellings)]


def test_without_markers_there_is_nothing_to_cut() -> None:
    assert list(cut_spellings("abc", ())) == ["abc"]


def test_a_layout_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="<｜nope｜>"):
        encode([Segment(text="<｜nope｜>", is_control=True)], ScriptedVocabulary())


def test_a_tokenizer_that_makes_a_marker_of_plain_text_all_the_same_is_caught() -> None:
    class Rogue(ScriptedVocabulary):
        def tokenize(self, text: str) -> list[int]:
            return [self.special_tokens["<think>"]]

    with pytest.raises(EngineError, match="control token"):
        encode([Segment(text="hello")], Rogue())


def test_an_entry_of_one_character_may_appear_in_plain_text() -> None:
    class WithNewline(ScriptedVocabulary):
        @property
        def special_tokens(self) -> Mapping[str, int]:
            return {**super().special_tokens, "\n": 10}

    assert encode([Segment(text="a\nb")], WithNewline()) == list(b"a\nb")


@given(text=_texts_with_markers)
def test_in_the_encodings_own_markup_every_marker_is_its_token(text: str) -> None:
    vocabulary = ScriptedVocabulary()
    token_ids = encode([Segment(text=text, is_markup=True)] if text else [], vocabulary)
    assert token_ids == vocabulary.encode(text)


def test_what_is_no_token_of_the_vocabulary_is_text_in_markup_and_an_error_as_control() -> None:
    vocabulary = ScriptedVocabulary()
    assert encode([Segment(text="<|im_end|>", is_markup=True)], vocabulary) == list(b"<|im_end|>")
    with pytest.raises(InvalidParameter):
        encode([Segment(text="<|im_end|>", is_control=True)], vocabulary)


def test_markers_are_not_joined_across_segments() -> None:
    segments = [Segment(text="<thi", is_markup=True), Segment(text="nk>", is_markup=True), Segment(text="</think")]
    token_ids = encode([*segments, Segment(text=">", is_markup=True)], ScriptedVocabulary())
    assert bytes(token_ids) == b"<think></think>"
