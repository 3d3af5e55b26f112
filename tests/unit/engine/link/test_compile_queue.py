from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from seekd.engine.link.compile_queue import Compiled, CompileQueue
from seekd.engine.types import Constraint, ConstraintSpec, EngineRequest
from seekd.errors import EngineError, InvalidParameter

LIMIT_S = 20


class Compiling:
    """Compiles one constraint for each `go_on`, and keeps the order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._permits = threading.Semaphore(0)
        self._woken: SimpleQueue[None] = SimpleQueue()
        self.queue = CompileQueue(self._compile, lambda: self._woken.put(None))

    def _compile(self, request: EngineRequest) -> Constraint | None:
        self.order.append(request.request_id)
        assert self._permits.acquire(timeout=LIMIT_S)
        assert request.constraint is not None
        if request.constraint.grammar == "bad":
            raise InvalidParameter("no such grammar")
        if request.constraint.grammar == "bug":
            raise ZeroDivisionError
        return object()  # type: ignore[return-value]  # only passed on

    def submit(self, request_id: str, *, key: str = "", grammar: str = "") -> None:
        self.queue.submit(
            EngineRequest(
                request_id=request_id,
                prompt_token_ids=[1],
                max_tokens=1,
                fairness_key=key,
                constraint=ConstraintSpec(grammar=grammar),
            )
        )

    def finish_one(self) -> Compiled | None:
        self._permits.release()
        self._woken.get(timeout=LIMIT_S)
        return self.queue.take()

    def finish_all(self) -> list[str]:
        ids = []
        while self.queue.num_waiting:
            compiled = self.finish_one()
            if compiled is not None:
                ids.append(compiled.request.request_id)
        return ids

    def end(self) -> None:
        self._permits.release(1000)


@pytest.fixture
def compiling() -> Iterator[Compiling]:
    compiling = Compiling()
    yield compiling
    compiling.end()


def test_what_is_submitted_is_compiled_in_its_order(compiling: Compiling) -> None:
    for name in "abc":
        compiling.submit(name)
    assert compiling.queue.num_waiting == 3
    assert compiling.queue.take() is None
    assert compiling.finish_all() == ["a", "b", "c"]


def test_a_constraint_that_cannot_be_compiled_comes_with_its_error(compiling: Compiling) -> None:
    for grammar, kind in (("bad", InvalidParameter), ("bug", EngineError)):
        compiling.submit("a", grammar=grammar)
        compiled = compiling.finish_one()
        assert compiled is not None
        assert isinstance(compiled.error, kind)
        assert compiled.constraint is None


@pytest.mark.fault("schemas-of-one-account")
def test_the_keys_take_turns(compiling: Compiling) -> None:
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        compiling.submit(name, key=name[0])
    assert compiling.finish_all() == ["a1", "a2", "b1", "c1", "a3", "b2"]


@pytest.mark.fault("compilation-nobody-waits-for")
def test_an_aborted_request_leaves_the_queue_and_is_never_compiled(compiling: Compiling) -> None:
    for name in "abc":
        compiling.submit(name, key=name)
    assert compiling.queue.abort("b")
    assert not compiling.queue.abort("b")
    assert not compiling.queue.abort("x")
    assert compiling.queue.num_waiting == 2
    assert compiling.finish_all() == compiling.order == ["a", "c"]


def test_what_is_compiled_when_it_is_aborted_is_dropped_when_it_is_done(compiling: Compiling) -> None:
    compiling.submit("a")
    compiling.submit("b")
    assert compiling.queue.abort("a")
    assert not compiling.queue.abort("a")
    assert compiling.queue.num_waiting == 1
    assert compiling.finish_one() is None
    assert compiling.finish_all() == ["b"]


def test_an_aborted_id_can_come_again_while_its_first_constraint_is_compiled(compiling: Compiling) -> None:
    compiling.submit("a")
    assert compiling.queue.abort("a")
    compiling.submit("a")
    assert compiling.queue.abort("a")
    compiling.submit("a")
    assert compiling.finish_one() is None
    assert compiling.finish_all() == ["a"]
    assert compiling.order == ["a", "a"]
