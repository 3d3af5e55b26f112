"""The queue alone; test_scheduler.py lets it run with everything else."""

from __future__ import annotations

from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import BlockPrefixCache
from seekd.engine.schedule.admission import AdmissionQueue
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.schedule.slots import Slots
from seekd.engine.types import EngineRequest


class Bench:
    def __init__(self, *, num_slots: int = 4, num_cells: int = 2000) -> None:
        self.cache = BlockPrefixCache(BlockStore(ram_budget_bytes=1 << 20))
        self.slots = Slots(num_slots=num_slots, num_cells=num_cells, cache=self.cache)
        self.queue = AdmissionQueue(self.slots, self.cache)
        self.num_arrivals = 0

    def add(self, token_ids: list[int], key: str = "") -> Sequence:
        request = EngineRequest(
            request_id=f"r{self.num_arrivals}", prompt_token_ids=token_ids, max_tokens=10, fairness_key=key
        )
        sequence = Sequence(
            request=request,
            arrival=self.num_arrivals,
            arrival_s=0.0,
            max_num_tokens=len(token_ids) + 10,
            token_ids=list(token_ids),
        )
        self.num_arrivals += 1
        self.cache.extend_keys(sequence.block_keys, sequence.token_ids, "")
        self.queue.add(sequence)
        return sequence

    def admit(self) -> list[int]:
        """Admit and adopt until nobody enters any more; the arrivals of who did."""
        entered = []
        while admissions := self.queue.admit(0.0):
            for admission in admissions:
                self.queue.adopt(admission, admission.match.num_tokens)
                entered.append(admission.sequence.arrival)
            self.queue.check_integrity()
            self.slots.check_integrity()
        return entered


def test_keys_take_turns() -> None:
    bench = Bench(num_slots=3)
    for key in "aaab":
        bench.add([len(bench.slots) + bench.num_arrivals + 1], key)
    assert bench.admit() == [0, 3, 1]
    assert bench.queue.num_waiting == 1


def test_who_shares_what_is_being_computed_waits_for_it_and_others_pass() -> None:
    bench = Bench()
    leader = bench.add([7] * 200)
    bench.add([7] * 200)
    bench.add([8] * 10)
    assert bench.admit() == [0, 2]
    bench.slots.grow(leader, 100)
    assert bench.admit() == []
    bench.slots.grow(leader, 98)
    assert bench.admit() == []
    bench.slots.grow(leader, 1)
    assert bench.admit() == [1]


def test_a_follower_goes_on_alone_when_its_leader_has_left() -> None:
    bench = Bench()
    leader = bench.add([7] * 200)
    bench.add([7] * 200)
    bench.admit()
    bench.slots.take_back(leader)
    assert bench.admit() == [1]


def test_the_preempted_return_before_anybody_new() -> None:
    bench = Bench(num_slots=1)
    first = bench.add([1] * 70)
    bench.admit()
    bench.slots.grow(first, 65)
    release = bench.queue.preempt_youngest()
    assert (release.park_start, release.park_end, release.parks) == (0, 65, True)
    bench.add([2] * 5)
    assert [sequence.arrival for sequence in bench.queue] == [1, 0]
    assert bench.admit() == [0]


def test_the_first_who_does_not_fit_ends_the_round() -> None:
    bench = Bench(num_cells=400)
    bench.add([1] * 100)
    bench.add([2] * 300)
    bench.add([3] * 5)
    assert bench.admit() == [0]


def test_what_is_removed_is_forgotten() -> None:
    bench = Bench(num_slots=1)
    running, waiting = bench.add([1] * 70), bench.add([2] * 5)
    bench.admit()
    bench.slots.grow(running, 65)
    bench.queue.preempt_youngest()
    for sequence in (running, waiting):
        bench.queue.remove(sequence)
    assert list(bench.queue) == []
    assert bench.admit() == []
