"""The engine process's loop over a real socket, with a core that is told what to do."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec
import pytest

from seekd.engine.link.frames import FrameReader, frame
from seekd.engine.link.messages import Abort, Accepted, FromEngine, Refused, Report, Shutdown, Submit, Updates
from seekd.engine.link.serving import Connection, serve
from seekd.engine.types import (
    CacheExplanation,
    Constraint,
    ConstraintSpec,
    EngineRequest,
    EngineStats,
    EngineUpdate,
    FinishReason,
)
from seekd.errors import EngineError, InvalidParameter, Overloaded


class CountingCore:
    """Counts up for each request until it has `max_tokens`."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._num_steps = 0
        self.num_looks = 0
        self.compiling = threading.Event()

    @property
    def has_work(self) -> bool:
        self.num_looks += 1
        return bool(self._left)

    def compile_constraint(self, request: EngineRequest) -> Constraint | None:
        assert request.constraint is not None
        if request.constraint.grammar == "bad":
            raise InvalidParameter("no such grammar")
        if request.constraint.grammar == "bug":
            raise ZeroDivisionError
        if request.constraint.grammar == "slow":
            assert self.compiling.wait(20)
        return object()  # type: ignore[return-value]  # only passed on

    def check(self, request: EngineRequest, *, num_coming: int = 0) -> None:
        if num_coming >= 2:
            raise Overloaded

    def add(self, request: EngineRequest, constraint: Constraint | None = None) -> None:
        assert (constraint is None) == (request.constraint is None)
        if request.request_id == "full":
            raise Overloaded
        if request.request_id == "bug":
            raise ZeroDivisionError
        self._left[request.request_id] = request.max_tokens

    def abort(self, request_id: str) -> None:
        self._left.pop(request_id, None)

    def step(self) -> list[EngineUpdate]:
        self._num_steps += 1
        time.sleep(0.001)
        updates = []
        for request_id in list(self._left):
            self._left[request_id] -= 1
            has_ended = self._left[request_id] == 0
            updates.append(
                EngineUpdate(
                    request_id=request_id,
                    token_ids=[self._left[request_id]],
                    finish_reason=FinishReason.LENGTH if has_ended else None,
                )
            )
            if has_ended:
                del self._left[request_id]
        return updates

    def take_explanations(self) -> list[CacheExplanation]:
        return []

    def stats(self) -> EngineStats:
        return EngineStats(num_steps=self._num_steps)


class Peer:
    """The API process's side: sends, and collects what comes."""

    core: CountingCore

    def __init__(self) -> None:
        self.socket, self.its_socket = socket.socketpair()
        self.socket.settimeout(20)
        self.accepted: list[str] = []
        self._frames = FrameReader()
        self._received: deque[bytes] = deque()

    def send(self, message: Submit | Abort | Shutdown) -> None:
        self.send_frame(msgspec.msgpack.encode(message))

    def send_frame(self, encoded: bytes) -> None:
        self.socket.sendall(frame(encoded))

    def receive(self) -> FromEngine:
        """The next message; what was accepted goes to `accepted`."""
        while True:
            while not self._received:
                self._received.extend(bytes(encoded) for encoded in self._frames.feed(self.socket.recv(1 << 16)))
            message: FromEngine = msgspec.msgpack.decode(self._received.popleft(), type=FromEngine)
            if not isinstance(message, Accepted):
                return message
            self.accepted.append(message.request_id)

    def receive_ends(self, *request_ids: str) -> None:
        waited = set(request_ids)
        while waited:
            message = self.receive()
            if isinstance(message, Updates):
                waited -= {update.request_id for update in message.updates if update.finish_reason is not None}


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    core = CountingCore()
    peer.core = core
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Connection(peer.its_socket) as connection:
                serve(core, connection, clock=time.monotonic)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield peer
    peer.socket.close()  # the parent dies
    thread.join(20)
    assert not thread.is_alive()
    assert failures == []


def submit(request_id: str, *, max_tokens: int = 3, grammar: str | None = None) -> Submit:
    constraint = None if grammar is None else ConstraintSpec(grammar=grammar)
    return Submit(
        EngineRequest(request_id=request_id, prompt_token_ids=[1], max_tokens=max_tokens, constraint=constraint)
    )


def test_one_message_of_updates_a_step_then_the_counters(peer: Peer) -> None:
    peer.send(submit("a"))
    messages: list[FromEngine] = []
    while Report(EngineStats(num_steps=3)) not in messages:
        messages.append(peer.receive())
    updates = [message for message in messages if isinstance(message, Updates)]
    assert [update.token_ids for message in updates for update in message.updates] == [[2], [1], [0]]
    assert len(updates) == 3


def test_requests_join_while_others_run(peer: Peer) -> None:
    peer.send(submit("a", max_tokens=500))
    peer.receive()
    peer.send(submit("b"))
    peer.receive_ends("b", "a")
    assert peer.accepted == ["a", "b"]


def test_an_abort_ends_a_request_without_an_answer(peer: Peer) -> None:
    peer.send(submit("a", max_tokens=10**9))
    peer.receive()
    peer.send(Abort("a"))
    peer.send(submit("b"))
    peer.receive_ends("b")


def test_refusals_are_answered_and_others_go_on(peer: Peer) -> None:
    peer.send(submit("full"))
    assert peer.receive() == Refused(request_id="full", kind="Overloaded", message=Overloaded().message)
    peer.send(submit("bug"))
    assert peer.receive() == Refused(request_id="bug", kind="EngineError", message=EngineError().message)
    peer.send(submit("a"))
    peer.receive_ends("a")


def test_garbage_never_ends_the_loop(peer: Peer) -> None:
    for encoded in (b"", b"\xc1", b"{}", msgspec.msgpack.encode({"type": "Nothing"})):
        peer.send_frame(encoded)
    peer.send(submit("a"))
    peer.receive_ends("a")


def test_an_unreadable_request_is_refused(peer: Peer) -> None:
    peer.send_frame(msgspec.msgpack.encode({"type": "Submit", "request": {"request_id": "x", "max_tokens": "many"}}))
    assert peer.receive() == Refused(request_id="x", kind="EngineError", message=EngineError().message)


def test_a_constraint_is_compiled_while_others_run(peer: Peer) -> None:
    peer.send(submit("limited", grammar="slow"))
    peer.send(submit("free"))
    peer.receive_ends("free")
    peer.core.compiling.set()
    peer.receive_ends("limited")


def test_what_would_not_be_taken_is_refused_before_its_constraint_is_compiled(peer: Peer) -> None:
    for name in ("a", "b", "c"):
        peer.send(submit(name, grammar="slow"))
    message = peer.receive()
    assert isinstance(message, Refused)
    assert (message.request_id, message.kind) == ("c", "Overloaded")
    peer.core.compiling.set()
    peer.receive_ends("a", "b")


def test_a_constraint_that_cannot_be_enforced_is_refused(peer: Peer) -> None:
    peer.send(submit("a", grammar="bad"))
    assert peer.receive() == Refused(request_id="a", kind="InvalidParameter", message="no such grammar")
    peer.send(submit("b", grammar="bug"))
    assert peer.receive() == Refused(request_id="b", kind="EngineError", message=EngineError().message)


def test_an_abort_while_its_constraint_is_compiled_ends_a_request(peer: Peer) -> None:
    peer.send(submit("gone", grammar="slow"))
    peer.send(Abort("gone"))
    peer.core.compiling.set()
    peer.send(submit("next", grammar="good"))
    seen: dict[str, FinishReason | None] = {}
    while "next" not in seen:
        message = peer.receive()
        if isinstance(message, Updates):
            seen |= {update.request_id: update.finish_reason for update in message.updates}
    assert seen["gone"] is FinishReason.ABORT


def test_it_sleeps_while_there_is_nothing_to_do(peer: Peer) -> None:
    peer.send(submit("a", grammar="good"))
    peer.receive_ends("a")  # and the thread that compiled has woken it
    time.sleep(0.1)
    assert peer.core.num_looks < 100


def test_it_stops_when_told(peer: Peer) -> None:
    peer.send(submit("a", max_tokens=10**9))
    peer.receive()
    peer.send(Shutdown())


def test_it_stops_when_the_parent_is_gone_even_while_it_works(peer: Peer) -> None:
    peer.send(submit("a", max_tokens=10**9))
    peer.receive()
