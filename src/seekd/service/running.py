"""The requests that are being served: what each of them is doing, and how an operator ends one. Never a text."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from seekd.accounts.types import Caller
from seekd.service.cancellation import Cancellation
from seekd.service.generation import GenerationRecord


class RequestState(enum.StrEnum):
    """How far a request is."""

    WAITING = "waiting"  # for its model, a summary, an equal request, or a slot of the engine
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(slots=True, kw_only=True)
class RunningRequest:
    """One request from its arrival at the service to its end: listed, and to be cancelled, within its `with`.

    Attributes:
        model: the served name.
        route: the path that it came by; "summary" for what a request with a long conversation needs.
        started_s: when it arrived, on the service's clock.
        record: what the engine has done for it; None until its prompt is known.
        listed: all that are being served, by their ids.
    """

    request_id: str
    caller: Caller
    model: str
    route: str
    is_stream: bool
    started_s: float
    record: GenerationRecord | None = None
    listed: dict[str, RunningRequest] = field(repr=False)
    cancellation: Cancellation = field(default_factory=Cancellation)

    def __enter__(self) -> None:
        """Begin, or go on after the block was left."""
        self.listed[self.request_id] = self
        self.cancellation.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises `RequestCancelled` in place of the block's own end when somebody has cancelled it."""
        del self.listed[self.request_id]
        self.cancellation.__exit__(kind, error, trace)

    @property
    def state(self) -> RequestState:
        """How far it is."""
        record = self.record
        if record is None:
            return RequestState.WAITING
        if record.num_completion_tokens:
            return RequestState.DECODE
        return RequestState.PREFILL if record.num_computed_tokens else RequestState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What an operator sees of a request.

    Attributes:
        key_name: the name that the key was given; "open" without a key.
        prompt_tokens: None until they are known; of them, `cached_tokens` were not computed.
        completion_tokens: generated so far.
        age_s: since its arrival.
    """

    id: str
    account_id: str
    key_name: str
    model: str
    route: str
    stream: bool
    state: RequestState
    prompt_tokens: int | None
    cached_tokens: int
    completion_tokens: int
    age_s: float


class RunningRequests:
    """All of them. Used from one event loop.

    Args:
        clock: seconds, monotonic.

    Attributes:
        listed: by their ids; each enters itself.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.listed: dict[str, RunningRequest] = {}

    def views(self) -> list[RequestView]:
        """Every request, the oldest first."""
        now_s = self._clock()
        return [_view(request, now_s) for request in sorted(self.listed.values(), key=lambda one: one.started_s)]

    def find(self, request_id: str) -> RequestView | None:
        """One request; None when it is not being served."""
        request = self.listed.get(request_id)
        return None if request is None else _view(request, self._clock())

    def cancel(self, request_id: str) -> None:
        """End a request: its client is told, and what was done is charged. Nothing happens when it has ended."""
        request = self.listed.get(request_id)
        if request is not None:
            request.cancellation.cancel()


def _view(request: RunningRequest, now_s: float) -> RequestView:
    record = request.record
    return RequestView(
        id=request.request_id,
        account_id=request.caller.account_id,
        key_name=request.caller.name,
        model=request.model,
        route=request.route,
        stream=request.is_stream,
        state=request.state,
        prompt_tokens=None if record is None else record.num_prompt_tokens,
        cached_tokens=0 if record is None else record.num_cached_tokens,
        completion_tokens=0 if record is None else record.num_completion_tokens,
        age_s=round(now_s - request.started_s, 3),
    )
