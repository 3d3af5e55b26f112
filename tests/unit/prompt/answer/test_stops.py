from hypothesis import given
from hypothesis import strategies as st

from seekd.prompt.answer.stops import StopScanner

_letters = st.text(alphabet="abc", max_size=20)
_stops = st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3)


def _scan(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    text = "".join(map(scanner.push, pieces)) + scanner.flush()
    return text, scanner.found


def _expected(text: str, stops: list[str]) -> tuple[str, bool]:
    starts = [start for stop in stops if (start := text.find(stop)) >= 0]
    return (text[: min(starts)], True) if starts else (text, False)


@given(text=_letters, stops=_stops)
def test_whole_text_is_cut_before_the_first_stop(text: str, stops: list[str]) -> None:
    assert _scan([text], stops) == _expected(text, stops)


@given(pieces=st.lists(_letters, max_size=6), stops=_stops)
def test_no_piece_of_a_stop_gets_out_however_text_is_cut(pieces: list[str], stops: list[str]) -> None:
    # Of two stops the one that is complete first ends the text, so a later piece may hold an earlier beginning.
    scanner = StopScanner(stops)
    sent = ""
    for index, piece in enumerate(pieces):
        sent += scanner.push(piece)
        assert scanner.found == _expected("".join(pieces[: index + 1]), stops)[1]
    sent += scanner.flush()
    assert not any(stop in sent for stop in stops)
    assert "".join(pieces).startswith(sent)
    if not scanner.found:
        assert sent == "".join(pieces)


def test_text_that_turns_out_not_to_be_a_stop_is_sent_late() -> None:
    scanner = StopScanner(["END"])
    assert [scanner.push(piece) for piece in ("the E", "N", "ergy")] == ["the ", "", "ENergy"]
    assert not scanner.found


def test_nothing_follows_a_stop() -> None:
    scanner = StopScanner(["X"])
    assert scanner.push("aXb") == "a"
    assert scanner.push("more") == ""
    assert scanner.flush() == ""
