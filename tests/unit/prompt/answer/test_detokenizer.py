import itertools

from hypothesis import given
from hypothesis import strategies as st

from seekd.prompt.answer.detokenizer import Detokenizer


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


_byte_texts = st.lists(st.one_of(st.binary(), st.text().map(str.encode)), max_size=4).map(b"".join)


@given(data=_byte_texts, cuts=st.lists(st.integers(min_value=0)))
def test_any_split_gives_the_text_of_the_whole(data: bytes, cuts: list[int]) -> None:
    detokenizer = Detokenizer()
    text = "".join(map(detokenizer.push, _pieces(data, cuts))) + detokenizer.flush()
    assert text == data.decode("utf-8", "replace")


def test_the_beginning_of_a_character_is_held_back() -> None:
    detokenizer = Detokenizer()
    euro = "€".encode()
    assert [detokenizer.push(euro[i : i + 1]) for i in range(3)] == ["", "", "€"]


def test_bytes_that_can_never_become_a_character_are_replaced_at_once() -> None:
    assert Detokenizer().push(b"\xffA") == "\ufffdA"


def test_flush_shows_an_unfinished_character() -> None:
    detokenizer = Detokenizer()
    assert detokenizer.push(b"a\xe2\x82") == "a"
    assert detokenizer.flush() == "\ufffd"
