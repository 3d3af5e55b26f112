"""What a server's processes hold, sampled over time, and whether it grows beyond its budget."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 4096
WARM_UP = 0.5
"""The first part of a run, in which caches fill and the allocator finds its size, is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a value may grow: `per_hour` as a part of it, or `at_most` in all, whichever is more."""

    name: str
    unit: str
    per_hour: float = 0.0
    at_most: float = 0.0


BUDGETS = (
    Budget(name="API process, memory", unit="MB", per_hour=0.01, at_most=2.0),
    Budget(name="engine process, memory", unit="MB", per_hour=0.01, at_most=2.0),
    Budget(name="API process, handles", unit="", at_most=5.0),
    Budget(name="engine process, handles", unit="", at_most=5.0),
    Budget(name="API process, threads", unit="", at_most=5.0),
    Budget(name="engine process, threads", unit="", at_most=2.0),
    Budget(name="cache on disk", unit="MB", at_most=20.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The values of `BUDGETS` at one moment, `at_s` after the start."""

    at_s: float
    values: Sequence[float]


def sample(at_s: float, *, api_pid: int, engine_pid: int, cache_dir: Path) -> Sample:
    """Look at both processes and at the cache."""
    held = [_held(api_pid), _held(engine_pid)]
    cached = _size(cache_dir) / 1e6
    memory, handles, threads = zip(*held, strict=True)
    return Sample(at_s=at_s, values=(*memory, *handles, *threads, cached))


def _held(pid: int) -> tuple[float, float, float]:
    """Resident MB, open handles and threads of a process."""
    process = Path(f"/proc/{pid}")
    resident = int((process / "statm").read_text().split()[1]) * PAGE_BYTES / 1e6
    return resident, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def _size(folder: Path) -> int:
    """Bytes of all files below; those that are evicted meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One value over a run: at the begin of what is judged, at the end, and its growth in an hour."""

    budget: Budget
    first: float
    last: float
    per_hour: float

    @property
    def growth(self) -> float:
        """As a part of where it began, in an hour."""
        return self.per_hour / self.first if self.first else 0.0

    @property
    def is_kept(self) -> bool:
        """Whether the budget was kept."""
        grown = self.last - self.first
        return grown <= self.budget.at_most or self.growth <= self.budget.per_hour


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Judge the second half of a run by the line of least squares through it."""
    judged = samples[int(len(samples) * WARM_UP) :]
    found = []
    for number, budget in enumerate(BUDGETS):
        points = [(one.at_s, one.values[number]) for one in judged]
        slope, start = _line(points)
        first, last = start + slope * points[0][0], start + slope * points[-1][0]
        found.append(Verdict(budget=budget, first=first, last=last, per_hour=slope * 3600))
    return found


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and value at 0 of the line of least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    return slope, mean_y - slope * mean_x


def report(samples: Sequence[Sample], facts: Sequence[str]) -> str:
    """A page with the facts, the verdicts, and a plot of each value."""
    rows = [
        f"<tr><td>{html.escape(one.budget.name)}<td>{one.first:.1f}<td>{one.last:.1f} {one.budget.unit}"
        f"<td>{one.growth:+.2%}<td>{'kept' if one.is_kept else '<b>exceeded</b>'}"
        for one in verdicts(samples)
    ]
    plots = [_plot(number, budget, samples) for number, budget in enumerate(BUDGETS)]
    items = "".join(f"<li>{html.escape(fact)}" for fact in facts)
    return (
        "<!doctype html><meta charset=utf-8><title>Soak</title>"
        "<style>body{font:15px sans-serif;margin:2em}td,th{padding:2px 12px;text-align:left}</style>"
        f"<h1>Soak</h1><ul>{items}</ul><table><tr><th>value<th>half way<th>end<th>growth an hour<th>budget"
        f"{''.join(rows)}</table>{''.join(plots)}"
    )


def _plot(number: int, budget: Budget, samples: Sequence[Sample]) -> str:
    width, height = 900, 120
    values = [one.values[number] for one in samples]
    low, high = min(values), max(max(values), min(values) + 1e-9)
    end_s = max(samples[-1].at_s, 1e-9)
    points = " ".join(
        f"{one.at_s / end_s * width:.1f},{height - (value - low) / (high - low) * height:.1f}"
        for one, value in zip(samples, values, strict=True)
    )
    return (
        f"<h3>{html.escape(budget.name)}: {low:.1f} to {high:.1f} {budget.unit}</h3>"
        f'<svg width={width} height={height} style="background:#f4f4f4">'
        f'<polyline fill=none stroke=#2457d6 stroke-width=1.5 points="{points}"/></svg>'
    )
