import pytest

from seekd.prompt.answer.reasoning import ReasoningScanner


def _count(pieces: list[str]) -> int:
    scanner = ReasoningScanner()
    return sum(scanner.push(piece) for piece in pieces)


def test_tokens_before_the_end_of_the_reasoning_count() -> None:
    assert _count(["Let", " me", "</think>", "Hello", "!"]) == 2


def test_a_block_of_calls_ends_the_reasoning() -> None:
    assert _count(["Hm", "<", "｜DSML｜", " calls>", "\n", "x"]) == 3


@pytest.mark.parametrize("cut", range(1, len("</think>")))
def test_a_marker_that_spans_pushes_is_seen(cut: int) -> None:
    scanner = ReasoningScanner()
    marker = "</think>"
    assert [scanner.push(text) for text in (marker[:cut], marker[cut:], "answer")] == [True, False, False]
    assert not scanner.is_reasoning


def test_reasoning_that_never_ends_counts_whole() -> None:
    assert _count(["a"] * 100) == 100
