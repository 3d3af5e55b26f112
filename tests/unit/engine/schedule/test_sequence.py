from __future__ import annotations

from seekd.engine.schedule.sequence import Sequence, SequenceState
from seekd.engine.types import EngineRequest, FinishReason


def new_sequence() -> Sequence:
    request = EngineRequest(request_id="r", prompt_token_ids=list(range(100)), max_tokens=10)
    return Sequence(request=request, arrival=0, arrival_s=0.0, max_num_tokens=110, token_ids=list(range(100)))


def test_counts_follow_from_the_tokens() -> None:
    sequence = new_sequence()
    assert (sequence.num_prompt_tokens, sequence.num_tokens, sequence.num_completion_tokens) == (100, 100, 0)
    sequence.num_computed = 100
    sequence.token_ids += [7, 8]
    assert (sequence.num_uncomputed, sequence.num_completion_tokens, sequence.num_computed_blocks) == (2, 2, 1)
    assert sequence.completion_token_ids == [7, 8]
    assert sequence.num_reusable == 101
    assert sequence.request_id == "r"


def test_its_state_follows_from_slot_and_end() -> None:
    sequence = new_sequence()
    states = [sequence.state]
    sequence.slot = 0
    states.append(sequence.state)
    sequence.slot, sequence.was_preempted = None, True
    states.append(sequence.state)
    sequence.slot, sequence.finish_reason = 1, FinishReason.STOP
    states.append(sequence.state)
    assert states == [
        SequenceState.WAITING,
        SequenceState.RUNNING,
        SequenceState.PREEMPTED,
        SequenceState.FINISHED,
    ]
    assert sequence.is_finished
