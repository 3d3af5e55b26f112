"""The places where rules look."""

from hypothesis import given
from hypothesis import strategies as st

from seekd.guard.scan import DigitRun, Scan, is_letter


def test_digits_with_two_separators_between_them_are_one_run() -> None:
    assert Scan("call (415) 555-2671 now").digit_runs == [DigitRun(6, 19, 10, False)]


def test_three_separators_or_a_word_part_two_runs() -> None:
    assert [run.num_digits for run in Scan("1234567 - 7654321 or 1111111").digit_runs] == [7, 7, 7]


def test_few_digits_are_no_run_unless_dots_stand_between_them() -> None:
    assert Scan("12 34 56, 1.2.3").digit_runs == []
    assert Scan("at 1.2.3.4!").digit_runs == [DigitRun(3, 10, 4, True)]


def test_positions_are_those_of_characters_also_behind_other_scripts() -> None:
    [run] = Scan("今天😀 1234567").digit_runs
    assert (run.start, run.end) == (4, 11)
    assert list(Scan("今天😀 " + "a" * 20).long_words()) == [(4, 24)]
    assert Scan("今天 DE89").country_codes == [3]


def test_colons_of_addresses_are_found_and_those_of_prose_and_programs_are_not() -> None:
    assert Scan("fe80::1").colons
    assert Scan("2001:db8:0:0:0:0:2:1").colons
    assert Scan("std::vector x::y, at 10:30, {'a': 1}").colons == []


def test_words_end_before_scripts_without_spaces() -> None:
    assert [is_letter(sign) for sign in ("a", "9", "é", "是", "-", "")] == [True, True, True, False, False, False]


@given(st.text(alphabet="a1 .-(:X世", max_size=60))
def test_no_text_breaks_a_scan(text: str) -> None:
    scan = Scan(text)
    for run in scan.digit_runs:
        assert text[run.start].isdigit()
        assert text[run.end - 1].isdigit()
        assert run.num_digits == sum(sign in "0123456789" for sign in text[run.start : run.end])
    assert all(text[place] == ":" for place in scan.colons)
    assert all(end - start >= 20 for start, end in scan.long_words())
    assert all(text[place : place + 2].isupper() for place in scan.country_codes)
