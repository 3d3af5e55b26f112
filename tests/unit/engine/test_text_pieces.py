import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.engine.text_pieces import text_pieces


@given(text=st.text(alphabet="ab1 \n.,", max_size=60), size=st.integers(min_value=2, max_value=9))
def test_pieces_joined_are_the_text_and_none_is_too_long(text: str, size: int) -> None:
    pieces = list(text_pieces(text, size))
    assert "".join(pieces) == text
    assert all(len(piece) <= size for piece in pieces)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("a b c d e", ["a b c d e"]),
        ("some words and more", ["some words", " and more"]),
        ("one.two three.four.five", ["one.two", " three.four", ".five"]),
        ("abcdefgh123456789", ["abcdefgh", "123456789"]),
        ("ab12 ,,,,,,,,,,,,,", ["ab12 ,,,,,,,", ",,,,,,"]),
        ("x" * 25, ["x" * 12, "x" * 12, "x"]),
        ("don't don't don't", ["don't don't", " don't"]),
    ],
)
def test_a_piece_ends_where_a_word_ends(text: str, pieces: list[str]) -> None:
    assert list(text_pieces(text, size=12)) == pieces
