from seekd.engine.scripted import ScriptedVocabulary
from seekd.engine.text_pieces import PIECE_CHARS
from seekd.service.long_conversations.token_counts import TokenCounts


class Counting(ScriptedVocabulary):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def tokenize(self, text: str) -> list[int]:
        self.asked.append(text)
        return super().tokenize(text)


def test_a_text_is_tokenized_once_for_each_model() -> None:
    counts, vocabulary = TokenCounts(), Counting()
    for model_key in ("a", "a", "b"):
        assert counts.count("né", vocabulary, model_key=model_key) == 3
    assert vocabulary.asked == ["né", "né"]


def test_the_least_recently_used_counts_are_forgotten() -> None:
    counts, vocabulary = TokenCounts(num_kept=2), Counting()
    for text in ("a", "b", "a", "c", "a", "b"):
        counts.count(text, vocabulary, model_key="m")
    assert vocabulary.asked == ["a", "b", "c", "b"]


def test_what_was_learnt_is_not_tokenized_again() -> None:
    counts, vocabulary = TokenCounts(), Counting()
    text = "words " * PIECE_CHARS
    assert len(list(counts.learn([text, "a", text], vocabulary, model_key="m"))) == 8, "stops after every piece"
    vocabulary.asked.clear()
    assert counts.count(text, vocabulary, model_key="m") == len(text)
    assert counts.count("a", vocabulary, model_key="m") == 1
    assert vocabulary.asked == []
