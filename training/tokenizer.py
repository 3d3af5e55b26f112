"""The byte-level BPE of the bundled model, with the splitter that llama.cpp calls `deepseek-v3`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.data.conversation import Segment
from training.splitter import PATTERNS

SPECIALS = [
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>", "<｜System｜>", "<｜latest_reminder｜>",
    "<think>", "</think>", "｜DSML｜", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜image｜>",
]  # fmt: skip
USER_DEFINED = {"<think>", "</think>", "｜DSML｜"}
BOS, EOS, PAD = 0, 1, 2
_SPACED = 6  # one token of so many is a frequent word with its space; without them texts are 28 % longer, with them 4 %
_SELDOM = 3


def splitter() -> pre_tokenizers.PreTokenizer:
    """The splitting stages that llama.cpp knows."""
    return _stages(PATTERNS)


def _stages(patterns: Sequence[str]) -> pre_tokenizers.PreTokenizer:
    stages = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence([*stages, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train(texts: Sequence[str], size: int) -> Tokenizer:
    """Learn merges; the special tokens take the first ids, frequent words with the space before them the last ones."""
    tokenizer = Tokenizer(models.BPE())
    # No merge joins two digits, nor a letter and what stands before a word: a word has the same tokens in a sentence, in a
    # call and in JSON, so that it can be copied.
    tokenizer.pre_tokenizer = _stages([r"\p{N}", *PATTERNS[1:], r"[^\p{L}\p{M}\p{N}'](?=\p{L})|'(?=\p{Lu})"])
    num_spaced = size // _SPACED
    trainer = trainers.BpeTrainer(
        vocab_size=size - num_spaced,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=20,
    )
    tokenizer.train_from_iterator(texts, trainer)
    spec = json.loads(tokenizer.to_str())
    for word in _frequent_words(tokenizer, texts, num_spaced):
        spec["model"]["vocab"]["Ġ" + word] = len(spec["model"]["vocab"])
        spec["model"]["merges"].append(["Ġ", word])
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.pre_tokenizer = splitter()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _frequent_words(tokenizer: Tokenizer, texts: Iterable[str], count: int) -> list[str]:
    """The words of one token that stand behind a space most often, and seldom begin a longer word there.

    A merge knows nothing of what follows: with one for ` sail`, ` sailing` would begin otherwise than `"sailing`.
    """
    seen = Counter(word for text in texts for word in re.findall(r"(?<= )[a-z]+", text))
    whole: Counter[str] = Counter()
    begun: Counter[str] = Counter()
    for word, times in seen.items():
        first, *others = tokenizer.encode(word, add_special_tokens=False).tokens
        (begun if others else whole)[first] += times
    fitting = [word for word, times in whole.most_common() if begun[word] * _SELDOM <= times]
    return fitting[:count]


class Codec:
    """Segments to ids; plain text never becomes a special id."""

    def __init__(self, path: Path) -> None:
        spec = json.loads(path.read_text(encoding="utf-8"))
        self.special = {t["content"]: t["id"] for t in spec["added_tokens"]}
        spec["added_tokens"] = []
        self._plain = Tokenizer.from_str(json.dumps(spec))
        self.size = self._plain.get_vocab_size()
        self._names = {i: t for t, i in self.special.items()}

    def encode_all(self, documents: Sequence[Sequence[Segment]]) -> list[tuple[list[int], list[bool]]]:
        """Ids and loss marks of every document, in one parallel pass."""
        plain = [t for d in documents for t, special, _ in d if not special]
        encoded = iter(self._plain.encode_batch_fast(plain, add_special_tokens=False))
        out = []
        for document in documents:
            ids: list[int] = []
            loss: list[bool] = []
            for text, special, learn in document:
                piece = [self.special[text]] if special else next(encoded).ids
                ids += piece
                loss += [learn] * len(piece)
            out.append((ids, loss))
        return out

    def encode(self, document: Sequence[Segment]) -> list[int]:
        """Ids of one document."""
        return self.encode_all([document])[0][0]

    def decode(self, ids: Sequence[int]) -> str:
        """Text with visible special tokens."""
        out, run = [], []
        for i in [*ids, -1]:
            if i in self._names or i == -1:
                out.append(self._plain.decode(run))
                out.append(self._names.get(i, ""))
                run = []
            else:
                run.append(i)
        return "".join(out)
