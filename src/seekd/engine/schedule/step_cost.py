"""What a prompt token costs, by how many tokens the memory holds; learnt from steps that were measured.

Pure: seconds are passed in, from whatever clock.

A token's cost is a part for the weights, which is the same everywhere, and a part for attention, which grows with the
cells in use: with a unified memory every token of a batch meets all of them. How the two compare depends on the model,
the machine and llama.cpp's kernels (with matrix instructions attention doubles a token's cost at 4,000 cells, without
them much later), so it is measured: a straight line through the seconds a token of recent steps, by least squares.
"""

from __future__ import annotations

REFERENCE_CELLS = 2048
"""Cells at which a token counts as one."""

_MIN_STEP_TOKENS = 48  # smaller steps are bound by reading the weights, not by computing
_MEMORY = 0.97  # weight of the past at each new step: about the last thirty count
_MIN_SPREAD_CELLS = 256.0  # standard deviation; less says nothing about a slope
_MAX_SLOPE = 1 / 256  # of the cost at no cells, for each cell: a line that is steeper comes from noise


class StepCost:
    """Keeps the line."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._cells = 0.0
        self._seconds = 0.0
        self._cells_squared = 0.0
        self._cells_seconds = 0.0
        self._slope = 0.0

    def observe(self, *, num_tokens: int, num_cells: int, seconds: float) -> None:
        """Learn from a step.

        Args:
            num_tokens: of its batch.
            num_cells: in use when it began.
            seconds: that the model took.
        """
        if num_tokens < _MIN_STEP_TOKENS:
            return
        cells, each_s = num_cells + num_tokens / 2, seconds / num_tokens
        self._weight = self._weight * _MEMORY + 1
        self._cells = self._cells * _MEMORY + cells
        self._seconds = self._seconds * _MEMORY + each_s
        self._cells_squared = self._cells_squared * _MEMORY + cells * cells
        self._cells_seconds = self._cells_seconds * _MEMORY + cells * each_s
        self._fit()

    def relative_cost(self, num_cells: int) -> float:
        """What a token costs at `num_cells` as a multiple of what it costs at `REFERENCE_CELLS`; 1 when unknown."""
        return (1 + self._slope * num_cells) / (1 + self._slope * REFERENCE_CELLS)

    def _fit(self) -> None:
        mean_cells, mean_s = self._cells / self._weight, self._seconds / self._weight
        variance = self._cells_squared / self._weight - mean_cells * mean_cells
        if variance < _MIN_SPREAD_CELLS**2:
            return
        rise_s = (self._cells_seconds / self._weight - mean_cells * mean_s) / variance
        base_s = mean_s - rise_s * mean_cells
        self._slope = min(max(rise_s / base_s, 0.0), _MAX_SLOPE) if base_s > 0 else _MAX_SLOPE
