from __future__ import annotations

from seekd.engine.schedule.plan import Chunk, StepPlan
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.types import EngineRequest


def test_a_plan_counts_the_tokens_of_its_chunks() -> None:
    request = EngineRequest(request_id="r", prompt_token_ids=[1, 2, 3, 4], max_tokens=1)
    sequence = Sequence(request=request, arrival=0, arrival_s=0.0, max_num_tokens=5, token_ids=[1, 2, 3, 4])
    first = Chunk(sequence=sequence, start=0, end=3, wants_logits=False)
    second = Chunk(sequence=sequence, start=3, end=4, wants_logits=True)
    assert (first.num_tokens, second.num_tokens, StepPlan(chunks=[first, second]).num_tokens) == (3, 1, 4)
    assert StepPlan().num_tokens == 0
