"""How many tokens texts have, remembered: the messages of a conversation come again with each of its requests.

Room: service. May import: engine and below. Used from several threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b

from seekd.engine.types import Vocabulary

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
        key = blake2b(f"{model_key}\x00{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._counts.get(key)
            if known is not None:
                self._counts.move_to_end(key)
                return known
        number = len(vocabulary.tokenize(text))
        with self._lock:
            self._counts[key] = number
            while len(self._counts) > self._num_kept:
                self._counts.popitem(last=False)
        return number
