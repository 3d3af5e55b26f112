"""Finds the end of the reasoning in generated text, so that its tokens can be counted.

The protocol package counts by encoding the reasoning text again, which is not what was generated. Here every push is
reasoning until one completes a marker that ends it: `</think>`, or the start of a block of tool calls, which ends the
reasoning as well. The marker's own tokens are not reasoning; a marker is one token in the models' vocabularies.
"""

from __future__ import annotations

_END_MARKERS = ("</think>", "<｜DSML｜ calls>", "<｜DSML｜tool_calls>", "<｜DSML｜function_calls>")
_TAIL_CHARS = max(len(marker) for marker in _END_MARKERS) - 1


class ReasoningScanner:
    """The text of one answer that begins inside the reasoning.

    Attributes:
        is_reasoning: whether the next text is, as far as is known.
    """

    def __init__(self) -> None:
        self.is_reasoning = True
        self._tail = ""

    def push(self, text: str) -> bool:
        """Give the next generated text; returns whether it is reasoning."""
        if not self.is_reasoning:
            return False
        seen = self._tail + text
        self.is_reasoning = not any(marker in seen for marker in _END_MARKERS)
        self._tail = seen[-_TAIL_CHARS:]
        return self.is_reasoning
