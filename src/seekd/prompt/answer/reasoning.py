"""Counts the generated tokens that are reasoning.

The protocol package counts by encoding the reasoning text again, which is not what was generated. Here every push is
reasoning until one completes a marker that ends it: `</think>`, or the start of a block of tool calls, which ends the
reasoning as well. The marker's own tokens are not reasoning; a marker is one token in the models' vocabularies.
"""

from __future__ import annotations

_END_MARKERS = ("</think>", "<｜DSML｜ calls>", "<｜DSML｜tool_calls>", "<｜DSML｜function_calls>")
_TAIL_CHARS = max(len(marker) for marker in _END_MARKERS) - 1


class ReasoningCounter:
    """The count of one answer.

    Args:
        is_reasoning: whether the prompt left the model inside its reasoning.
    """

    def __init__(self, *, is_reasoning: bool) -> None:
        self._is_reasoning = is_reasoning
        self._tail = ""
        self.num_tokens = 0

    def push(self, text: str, num_tokens: int) -> None:
        """Give the next generated text and the number of its tokens."""
        if not self._is_reasoning:
            return
        seen = self._tail + text
        if any(marker in seen for marker in _END_MARKERS):
            self._is_reasoning = False
            return
        self.num_tokens += num_tokens
        self._tail = seen[-_TAIL_CHARS:]

    def add(self, num_tokens: int) -> None:
        """Count tokens that are known to be reasoning."""
        self.num_tokens += num_tokens


class GivenCount:
    """A count that whoever reads the answer's own markup keeps; what the protocol package sees does not change it."""

    def __init__(self) -> None:
        self.num_tokens = 0

    def push(self, text: str, num_tokens: int) -> None:
        """Not counted here."""

    def add(self, num_tokens: int) -> None:
        """Not counted here."""
