"""Turns between keys: round robin, without starvation by keys that come and go.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable


class Rotation:
    """A circle of keys; whoever was served goes to its end, and so does whoever joins.

    A key that leaves and joins again queues behind every other key, so it cannot jump ahead by coming and going.
    """

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def order(self, present: Iterable[str]) -> list[str]:
        """The keys whose turn it is, next first.

        Args:
            present: the keys that have something to do; the others leave the circle.
        """
        wanted = dict.fromkeys(present)
        self._keys = {key: None for key in self._keys if key in wanted} | wanted
        return list(self._keys)

    def serve(self, key: str) -> None:
        """Send a key to the end."""
        self._keys.pop(key, None)
        self._keys[key] = None
