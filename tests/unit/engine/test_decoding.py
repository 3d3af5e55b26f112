"""What one sequence chooses, with and without a constraint."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seekd.engine.decoding import TokenChooser
from seekd.engine.types import ConstraintSpec, EngineRequest, FinishReason, Sampling
from seekd.errors import EngineError

END = 9


class Spelling:
    """Lets only a fixed run of tokens follow; all but the first `num_free` are forced. None in the run fails."""

    def __init__(self, *tokens: int | None, num_free: int = 1) -> None:
        self._rest = list(tokens)
        self._num_free = num_free

    def allowed(self) -> npt.NDArray[np.bool_]:
        mask = np.zeros(10, dtype=np.bool_)
        token = self._rest[0] if self._rest else END
        if token is None:
            raise EngineError("broken")
        mask[token] = True
        return mask

    def forced_token_ids(self) -> list[int]:
        return [] if self._num_free > 0 else [token for token in self._rest if token is not None] + [END]

    def accept(self, token_id: int) -> None:
        assert token_id == self._rest.pop(0)
        self._num_free -= 1

    def is_complete(self) -> bool:
        return not self._rest


def chooser(constraint: Spelling | None = None, **sampling: float) -> TokenChooser:
    request = EngineRequest(
        request_id="r",
        prompt_token_ids=[0],
        max_tokens=10,
        sampling=Sampling(temperature=0, **sampling),  # type: ignore[arg-type]
        constraint=None if constraint is None else ConstraintSpec(grammar="g"),
    )
    return TokenChooser(request, end_token_ids=frozenset({END}), constraint=constraint)


def likes(token_id: int) -> npt.NDArray[np.float32]:
    row = np.zeros(10, dtype=np.float32)
    row[token_id] = 1
    return row


def test_a_free_sequence_takes_the_models_token_and_stops_at_the_end_token() -> None:
    free = chooser()
    assert list(free.choose(likes(3)).token_ids) == [3]
    end = free.choose(likes(END))
    assert (list(end.token_ids), end.finish_reason) == ([], FinishReason.STOP)


def test_a_constraint_overrules_the_model_and_its_end_stops() -> None:
    limited = chooser(Spelling(4, 5, num_free=2))
    assert list(limited.choose(likes(3)).token_ids) == [4]
    last = limited.choose(likes(3))
    assert (list(last.token_ids), last.finish_reason) == ([5], FinishReason.STOP)


def test_forced_tokens_follow_the_choice_without_an_end_token() -> None:
    update = chooser(Spelling(4, 5, 6)).choose(likes(3))
    assert (update.request_id, list(update.token_ids)) == ("r", [4, 5, 6])
    assert update.finish_reason is FinishReason.STOP


def test_logprobs_turn_forcing_off() -> None:
    limited = chooser(Spelling(4, 5, 6), num_top_logprobs=1)
    for expected in (4, 5, 6):
        decision = limited.choose(likes(3))
        assert list(decision.token_ids) == [expected]
        assert decision.logprobs is not None
        assert decision.logprobs[0].top[0][0] == 3


def test_a_failing_matcher_is_an_error_and_never_free_text() -> None:
    decision = chooser(Spelling(None)).choose(likes(3))
    assert (list(decision.token_ids), decision.finish_reason, decision.error) == ([], FinishReason.ERROR, "broken")


def test_forced_tokens_count_for_penalties() -> None:
    class ThenFree(Spelling):
        def allowed(self) -> npt.NDArray[np.bool_]:
            return super().allowed() if self._rest else np.ones(10, dtype=np.bool_)

        def is_complete(self) -> bool:
            return False

        def forced_token_ids(self) -> list[int]:
            return list(filter(None, self._rest))

        def accept(self, token_id: int) -> None:
            del self._rest[:1]

    limited = chooser(ThenFree(4, 5), presence_penalty=2)
    assert list(limited.choose(likes(3)).token_ids) == [4, 5]
    assert set(limited.choose(likes(5)).token_ids).isdisjoint({4, 5})
