from __future__ import annotations

import random

import pytest

from seekd.engine.schedule.step_cost import REFERENCE_CELLS, StepCost


def taught(slope: float, *, steps: int = 40, noise: float = 0.0, num_tokens: int = 128) -> StepCost:
    """Has seen a prompt whose tokens cost `1 + slope * cells` milliseconds."""
    source, cost = random.Random(1), StepCost()
    for step in range(steps):
        cells = step * num_tokens
        each_s = (1 + slope * (cells + num_tokens / 2)) / 1000
        cost.observe(
            num_tokens=num_tokens, num_cells=cells, seconds=num_tokens * each_s * (1 + noise * source.random())
        )
    return cost


def test_the_relative_cost_is_one_before_anything_was_measured() -> None:
    assert StepCost().relative_cost(0) == StepCost().relative_cost(30_000) == 1


@pytest.mark.parametrize("slope", [0.0, 1 / 8000, 1 / 1000])
def test_the_slope_is_learnt(slope: float) -> None:
    cost = taught(slope)
    assert cost.relative_cost(REFERENCE_CELLS) == 1
    for cells in (0, 4000):
        assert cost.relative_cost(cells) == pytest.approx((1 + slope * cells) / (1 + slope * REFERENCE_CELLS))


def test_a_machine_that_is_used_by_others_blurs_it_little() -> None:
    assert taught(1 / 4000, noise=0.3).relative_cost(4000) == pytest.approx(2 / (1 + 2048 / 4000), rel=0.15)


def test_what_is_learnt_follows_the_machine() -> None:
    cost = taught(1 / 1000)
    for step in range(200):
        cost.observe(num_tokens=128, num_cells=step % 30 * 128, seconds=1.0)
    assert cost.relative_cost(4000) == pytest.approx(1, rel=0.05)


def test_steps_of_few_tokens_and_steps_at_one_place_say_nothing() -> None:
    cost = StepCost()
    for step in range(100):
        cost.observe(num_tokens=8, num_cells=step * 100, seconds=step)
        cost.observe(num_tokens=128, num_cells=1000 + step % 3, seconds=1 + step % 3)
    assert cost.relative_cost(4000) == 1


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_measured_the_answer_stays_sane(seed: int) -> None:
    source, cost = random.Random(seed), StepCost()
    for _ in range(100):
        cells = source.randrange(10_000)
        cost.observe(num_tokens=source.randrange(1, 600), num_cells=cells, seconds=source.choice([1e-9, 1.0, 1e6]))
        assert 1 / 10 < cost.relative_cost(0) <= 1 <= cost.relative_cost(10_000) < 10
