"""The sampler against a naive twin that sorts everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from seekd.engine.sampler import Logits, Mask, Sampler, _at, token_logprobs
from seekd.engine.types import Sampling

logit_values = st.floats(-20, 20, width=32)
logit_rows = st_numpy.arrays(np.float32, st.integers(2, 2000), elements=logit_values)


def row(*values: float) -> Logits:
    return np.array(values, dtype=np.float32)


def naive_choice(logits: Logits, params: Sampling, *, draw: float, allowed: Mask, completion: list[int]) -> int:
    """One token, by the definition: everything sorted, in Python floats."""
    scores = {i: float(value) for i, value in enumerate(logits) if allowed[i]}
    for token_id in set(completion) & scores.keys():
        penalty = params.presence_penalty + params.frequency_penalty * completion.count(token_id)
        scores[token_id] -= penalty
    best = max(scores.values())
    ordered = sorted(scores, key=lambda i: (-scores[i], i))
    if params.temperature == 0:
        return ordered[0]
    weights = {i: float(np.exp((scores[i] - best) / params.temperature)) for i in ordered}
    total = sum(weights.values())
    nucleus: list[int] = []
    mass = 0.0
    for i in ordered:
        nucleus.append(i)
        mass += weights[i] / total
        if params.top_p < 1 and mass >= params.top_p:
            break
    walk = sorted(nucleus)
    target = draw * sum(weights[i] for i in walk)
    reached = 0.0
    for i in walk:
        reached += weights[i]
        if reached > target:
            return i
    return walk[-1]


@given(
    logits=logit_rows,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.99, 1.0]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_chooses_as_the_naive_twin(
    logits: Logits, temperature: float, top_p: float, seed: int, data: st.DataObject
) -> None:
    # Coarse values, so that rounding in two orders of summation cannot decide at a border of the nucleus.
    logits = np.round(logits * 4) / np.float32(4)
    allowed = data.draw(st_numpy.arrays(np.bool_, len(logits)))
    allowed[data.draw(st.integers(0, len(logits) - 1))] = True
    params = Sampling(temperature=temperature, top_p=top_p, presence_penalty=0.5, frequency_penalty=-0.25, seed=seed)
    sampler = Sampler(params)
    draws = np.random.Generator(np.random.PCG64(seed))
    completion: list[int] = []
    for _ in range(4):
        chosen = sampler.sample(logits, allowed=allowed).token_id
        draw = draws.random() if temperature else 0.0
        expected = naive_choice(logits, params, draw=draw, allowed=allowed, completion=completion)
        assert chosen == expected or is_a_near_tie(logits, params, allowed, completion, draw, {chosen, expected})
        completion.append(chosen)


@pytest.mark.parametrize("num_allowed", [1, 2, 12, 13, 60])
def test_few_and_many_allowed_tokens_are_chosen_alike(num_allowed: int) -> None:
    params = Sampling(temperature=1.0, top_p=0.9, seed=num_allowed)
    random = np.random.default_rng(num_allowed)
    logits = np.round(random.standard_normal(100).astype(np.float32) * 4) / np.float32(4)
    allowed = np.zeros(100, dtype=np.bool_)
    allowed[random.choice(100, num_allowed, replace=False)] = True
    sampler, draws, completion = Sampler(params), np.random.Generator(np.random.PCG64(num_allowed)), list[int]()
    for _ in range(30):
        chosen = sampler.sample(logits, allowed=allowed).token_id
        expected = naive_choice(logits, params, draw=draws.random(), allowed=allowed, completion=completion)
        assert chosen == expected
        completion.append(chosen)


def is_a_near_tie(
    logits: Logits, params: Sampling, allowed: Mask, completion: list[int], draw: float, ids: set[int]
) -> bool:
    """Whether moving the draw by a rounding error reaches both tokens, or moving top_p does."""
    reached = set()
    for shift in (-1e-6, 1e-6):
        near = Sampling(
            temperature=params.temperature,
            top_p=min(1.0, params.top_p + shift) if params.top_p < 1 else 1.0,
            presence_penalty=params.presence_penalty,
            frequency_penalty=params.frequency_penalty,
        )
        for nudge in (-1e-6, 0.0, 1e-6):
            reached.add(naive_choice(logits, near, draw=draw + nudge, allowed=allowed, completion=completion))
    return ids <= reached


@given(logits=logit_rows, num_top=st.integers(0, 20), data=st.data())
def test_logprobs_are_the_log_softmax_of_the_raw_logits(logits: Logits, num_top: int, data: st.DataObject) -> None:
    token_id = data.draw(st.integers(0, len(logits) - 1))
    wide = logits.astype(np.float64)
    expected = wide - wide.max() - np.log(np.exp(wide - wide.max()).sum())
    got = token_logprobs(logits, token_id, num_top=num_top)
    assert got.logprob == pytest.approx(expected[token_id], abs=1e-5)
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:num_top]
    assert [i for i, _ in got.top] == order
    assert [value for _, value in got.top] == pytest.approx([expected[i] for i in order], abs=1e-5)


def test_the_best_of_a_large_row_are_found_with_ties_by_lower_id() -> None:
    logits = np.round(np.random.default_rng(1).standard_normal(50_000) * 8).astype(np.float32)
    expected = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:20]
    assert [i for i, _ in token_logprobs(logits, 0, num_top=20).top] == expected


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1500, 20_000])
def test_a_draw_at_the_very_end_still_takes_a_possible_token(size: int) -> None:
    random = np.random.default_rng(size)
    for _ in range(50):
        weights = random.random(size, dtype=np.float32)
        weights[random.random(size) < 0.5] = 0
        weights[random.integers(size)] = 1
        index = _at(weights, float(np.nextafter(1, 0)))
        assert weights[index] > 0
        assert weights[index + 1 :].sum() <= 1e-6 * weights.sum()


def test_logprobs_ignore_temperature_penalties_and_mask() -> None:
    logits = row(1.0, 3.0, 2.0)
    plain = token_logprobs(logits, 0, num_top=3)
    params = Sampling(temperature=0, presence_penalty=2, top_p=0.1, num_top_logprobs=3)
    sampler = Sampler(params)
    sampler.count(0)
    sampled = sampler.sample(logits, allowed=np.array([True, False, False]))
    assert (sampled.token_id, sampled.logprobs) == (0, plain)


def test_no_logprobs_unless_asked() -> None:
    assert Sampler(Sampling()).sample(row(1.0, 2.0)).logprobs is None
    only_chosen = Sampler(Sampling(num_top_logprobs=0)).sample(row(1.0, 2.0)).logprobs
    assert only_chosen is not None
    assert only_chosen.top == ()


def test_greedy_takes_the_lowest_id_of_equals() -> None:
    assert Sampler(Sampling(temperature=0)).sample(row(1.0, 5.0, 5.0)).token_id == 1


def test_a_seed_repeats_and_another_differs() -> None:
    logits = np.zeros(1000, dtype=np.float32)

    def draw(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [sampler.sample(logits).token_id for _ in range(8)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    assert draw(None) != draw(None)


def test_draws_follow_the_probabilities() -> None:
    probabilities = np.array([0.6, 0.3, 0.1])
    sampler = Sampler(Sampling(seed=1))
    logits = np.log(probabilities).astype(np.float32)
    counts = np.bincount([sampler.sample(logits).token_id for _ in range(4000)], minlength=3)
    assert counts / 4000 == pytest.approx(probabilities, abs=0.03)


def test_temperature_flattens_and_top_p_cuts() -> None:
    logits = row(2.0, 1.0, 0.0)

    def share_of_best(params: Sampling) -> float:
        sampler = Sampler(params)
        return sum(sampler.sample(logits).token_id == 0 for _ in range(1000)) / 1000

    assert share_of_best(Sampling(seed=1, temperature=2)) < share_of_best(Sampling(seed=1, temperature=0.5))
    assert share_of_best(Sampling(seed=1, top_p=0.6)) == 1.0


def test_penalties_make_repetition_less_likely() -> None:
    logits = row(1.0, 0.5, 0.0)

    def greedy(*, presence_penalty: float = 0, frequency_penalty: float = 0) -> list[int]:
        params = Sampling(temperature=0, presence_penalty=presence_penalty, frequency_penalty=frequency_penalty)
        sampler = Sampler(params)
        return [sampler.sample(logits).token_id for _ in range(5)]

    assert greedy() == [0, 0, 0, 0, 0]
    # Presence counts once: 0.0, -0.5, -1.0 after each was used, so the order is that of the logits again.
    assert greedy(presence_penalty=1.0) == [0, 1, 0, 0, 0]
    assert greedy(frequency_penalty=0.4) == [0, 0, 1, 0, 1]


def test_a_large_nucleus_holds_the_lower_ids_of_equals() -> None:
    logits = np.zeros(5000, dtype=np.float32)
    sampler = Sampler(Sampling(seed=3, top_p=0.5))
    drawn = {sampler.sample(logits).token_id for _ in range(3000)}
    assert max(drawn) <= 2500
    assert len(drawn) > 1500


def test_the_logits_are_left_alone() -> None:
    logits = row(1.0, 2.0)
    sampler = Sampler(Sampling(presence_penalty=2, temperature=0.5, top_p=0.5, num_top_logprobs=2))
    for _ in range(3):
        sampler.sample(logits, allowed=np.array([True, True]))
    assert logits.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("seed", [-1, -(2**63), 0, 2**64 - 1, 2**80])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    rows = np.random.default_rng(5).standard_normal((20, 50)).astype(np.float32)
    drawn = [[Sampler(Sampling(seed=seed)).sample(row).token_id for row in rows] for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_a_nucleus_takes_in_unlikely_tokens_where_there_are_many() -> None:
    logits = np.full(2001, np.log(5e-4), dtype=np.float32)
    logits[7] = 0  # as likely as all others together
    sampler = Sampler(Sampling(temperature=1, top_p=0.99, seed=11))
    drawn = [sampler.sample(logits).token_id for _ in range(300)]
    assert 100 < drawn.count(7) < 200
    assert max(drawn) < 2001 * 0.99  # of equals the lower ids
