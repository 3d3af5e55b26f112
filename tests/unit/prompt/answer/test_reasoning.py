import pytest

from seekd.prompt.answer.reasoning import GivenCount, ReasoningCounter


def _count(pieces: list[str], *, is_reasoning: bool = True) -> int:
    counter = ReasoningCounter(is_reasoning=is_reasoning)
    for piece in pieces:
        counter.push(piece, 1)
    return counter.num_tokens


def test_tokens_before_the_end_of_the_reasoning_count() -> None:
    assert _count(["Let", " me", "</think>", "Hello", "!"]) == 2


def test_a_block_of_calls_ends_the_reasoning() -> None:
    assert _count(["Hm", "<", "｜DSML｜", " calls>", "\n", "x"]) == 3


@pytest.mark.parametrize("cut", range(1, len("</think>")))
def test_a_marker_that_spans_pushes_is_seen(cut: int) -> None:
    counter = ReasoningCounter(is_reasoning=True)
    counter.push("</think>"[:cut], 1)
    counter.push("</think>"[cut:], 1)
    counter.push("answer", 1)
    assert counter.num_tokens == 1


def test_nothing_counts_where_the_prompt_ended_the_reasoning() -> None:
    assert _count(["a", "b"], is_reasoning=False) == 0


def test_reasoning_that_never_ends_counts_whole() -> None:
    assert _count(["a"] * 100) == 100


def test_a_given_count_is_not_changed_by_what_is_pushed() -> None:
    count = GivenCount()
    count.num_tokens += 2
    count.push("text", 5)
    count.add(3)
    assert count.num_tokens == 2
