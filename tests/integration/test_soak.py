"""The soak, for seconds: it asks, audits and reports; and its judge tells growth from noise."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.soak.run import soak
from tests.soak.samples import BUDGETS, Sample, report, sample, verdicts

HOUR_S = 3600.0
FIRST_MB = 100.0


def samples(per_hour: float, *, hours: float = 1.0, noise: float = 0.2) -> list[Sample]:
    """An hour of a value that grows by a part of itself, beside values that stand still."""
    chance = random.Random(1)
    found = []
    for number in range(200):
        at_s = number / 200 * hours * HOUR_S
        grown = FIRST_MB * (1 + per_hour * at_s / HOUR_S) + chance.uniform(-noise, noise)
        found.append(Sample(at_s=at_s, values=(grown, *([50.0] * (len(BUDGETS) - 1)))))
    return found


def test_a_few_seconds_of_every_client_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    run = soak(tmp_path, duration_s=1.0)
    assert run.facts[0] == "idle at the end: no sequence, no KV cell in use"
    assert any("answers by OpenAI" in fact for fact in run.facts)
    assert any("answers by Anthropic" in fact for fact in run.facts)
    page = report(run.samples, run.facts)
    assert page.count("<polyline") == len(BUDGETS)
    assert "answers by HTTP, each charged exactly once" in page


@pytest.mark.parametrize(("per_hour", "hours", "is_kept"), [(0.0, 1, True), (0.008, 8, True), (0.05, 8, False)])
def test_growth_beyond_the_budget_is_told_from_noise(per_hour: float, hours: float, is_kept: bool) -> None:
    memory, *others = verdicts(samples(per_hour, hours=hours))
    assert memory.is_kept == is_kept
    assert memory.per_hour == pytest.approx(per_hour * FIRST_MB, abs=0.1)
    assert all(other.is_kept and other.per_hour == 0 for other in others)


def test_what_happens_before_half_time_is_not_judged() -> None:
    early = [Sample(at_s=one.at_s, values=(one.at_s, *one.values[1:])) for one in samples(0.0)[:100]]
    assert verdicts([*early, *samples(0.0)[100:]])[0].is_kept


def test_a_sample_sees_this_process(tmp_path: Path) -> None:
    (tmp_path / "block").write_bytes(b"x" * 1_000_000)
    one = sample(1.0, api_pid=os.getpid(), engine_pid=os.getpid(), cache_dir=tmp_path)
    memory, _, handles, _, threads, _, cached = one.values
    assert memory > 10
    assert handles >= 3
    assert threads >= 1
    assert cached == 1.0
