"""How many tokens texts have, remembered: the messages of a conversation come again with each of its requests.

Used from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from seekd.vocabulary import Vocabulary

NUM_KEPT = 50_000
"""About 10 MB. Tokenizing takes seconds for a million characters, hashing them a millisecond."""


class TokenCounts:
    """Counts, and keeps the latest counts; of the texts only hashes.

    Args:
        num_kept: counts that are kept.
    """

    def __init__(self, num_kept: int = NUM_KEPT) -> None:
        self._num_kept = num_kept
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, text: str, vocabulary: Vocabulary, *, model_key: str) -> int:
        """The number of tokens of a text.

        Args:
            text: any text.
            vocabulary: of the model.
            model_key: names the model.
        """
        key = _key(text, model_key)
        number = self._known(key)
        if number is None:
            number = len(vocabulary.tokenize(text))
            self._keep(key, number)
        return number

    def learn(self, texts: Iterable[str], vocabulary: Vocabulary, *, model_key: str) -> Iterator[tuple[()]]:
        """Count texts, so that `count` knows them; stops after every few milliseconds.

        Args:
            texts: any texts.
            vocabulary: of the model.
            model_key: names the model.
        """
        for text in texts:
            key = _key(text, model_key)
            if self._known(key) is None:
                number = 0
                for token_ids in vocabulary.tokenize_pieces(text):
                    number += len(token_ids)
                    yield ()
                self._keep(key, number)

    def _known(self, key: bytes) -> int | None:
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
            return self._counts.get(key)

    def _keep(self, key: bytes, number: int) -> None:
        with self._lock:
            self._counts[key] = number
            while len(self._counts) > self._num_kept:
                self._counts.popitem(last=False)


def _key(text: str, model_key: str) -> bytes:
    return blake2b(f"{model_key}\x00{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
