from __future__ import annotations

from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import BlockPrefixCache, Match
from seekd.engine.schedule.plan import Admission
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.schedule.slots import Slots
from seekd.engine.types import EngineRequest


def new_sequence(arrival: int, cache: BlockPrefixCache, *, prompt: int = 200) -> Sequence:
    request = EngineRequest(request_id=f"r{arrival}", prompt_token_ids=[1] * prompt, max_tokens=10)
    sequence = Sequence(
        request=request, arrival=arrival, arrival_s=0.0, max_num_tokens=prompt + 10, token_ids=[1] * prompt
    )
    cache.extend_keys(sequence.block_keys, sequence.token_ids, "")
    return sequence


def test_cells_are_committed_for_what_is_known_and_shared_blocks_count_once() -> None:
    cache = BlockPrefixCache(BlockStore(ram_budget_bytes=0))
    slots = Slots(num_slots=2, num_cells=1000, cache=cache)
    first, second = new_sequence(0, cache), new_sequence(1, cache)
    slots.lend(first)
    assert (slots.num_cells_used, slots.num_committed) == (0, 200)
    slots.grow(first, 150)
    assert (slots.num_cells_used, slots.num_committed) == (150, 200)
    match = cache.match(second.block_keys, second.token_ids, "", 199)
    assert (match.slot, match.num_slot_tokens) == (first.slot, 128)
    slots.fill(Admission(sequence=second, slot=slots.lend(second), match=match), 128)
    assert (slots.num_cells_used, slots.num_committed) == (150, 200 + 72)
    slots.check_integrity()
    slots.take_back(first)
    assert slots.num_cells_used == 128
    slots.check_integrity()


def test_a_slot_that_was_taken_back_is_lent_again_and_nothing_is_found_in_it() -> None:
    cache = BlockPrefixCache(BlockStore(ram_budget_bytes=0))
    slots = Slots(num_slots=1, num_cells=1000, cache=cache)
    sequence = new_sequence(0, cache)
    slot = slots.lend(sequence)
    slots.fill(Admission(sequence=sequence, slot=slot, match=Match()), 0)
    slots.grow(sequence, 130)
    assert slots.num_free == 0
    release = slots.take_back(sequence)
    assert (release.slot, release.sequence, sequence.slot) == (slot, sequence, None)
    assert cache.match(sequence.block_keys, sequence.token_ids, "", 199).num_tokens == 0
    assert slots.lend(new_sequence(1, cache)) == slot


def test_holders_come_oldest_first() -> None:
    cache = BlockPrefixCache(BlockStore(ram_budget_bytes=0))
    slots = Slots(num_slots=3, num_cells=1000, cache=cache)
    for arrival in (2, 0, 1):
        slots.lend(new_sequence(arrival, cache))
    assert [sequence.arrival for sequence in slots] == [0, 1, 2]
    assert len(slots) == 3
