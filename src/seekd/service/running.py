"""The requests that are being served: what each of them is doing, and how an operator ends one. Never a text."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import AbstractContextManager
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
    """One request from its arrival at the service to its end.

    Attributes:
        model: the served name.
        route: the path that it came by; "summary" for what a request with a long conversation needs.
        started_s: when it arrived, on the service's clock.
        record: what the engine has done for it; None until its prompt is known.
    """

    request_id: str
    caller: Caller
    model: str
    route: str
    is_stream: bool
    started_s: float
    record: GenerationRecord | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)

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
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._requests: dict[str, RunningRequest] = {}

    def serving(self, request: RunningRequest) -> AbstractContextManager[None]:
        """List a request within the block, which ends with `RequestCancelled` when somebody cancels it."""
        return _Serving(self._requests, request)

    def views(self) -> list[RequestView]:
        """Every request, the oldest first."""
        now_s = self._clock()
        return [_view(request, now_s) for request in sorted(self._requests.values(), key=lambda one: one.started_s)]

    def find(self, request_id: str) -> RequestView | None:
        """One request; None when it is not being served."""
        request = self._requests.get(request_id)
        return None if request is None else _view(request, self._clock())

    def cancel(self, request_id: str) -> None:
        """End a request: its client is told, and what was done is charged. Nothing happens when it has ended."""
        request = self._requests.get(request_id)
        if request is not None:
            request.cancellation.cancel()


class _Serving:
    # A class, since every request enters it twice and a generator costs four times as much.

    __slots__ = ("_request", "_requests")

    def __init__(self, requests: dict[str, RunningRequest], request: RunningRequest) -> None:
        self._requests = requests
        self._request = request

    def __enter__(self) -> None:
        self._requests[self._request.request_id] = self._request
        self._request.cancellation.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._requests[self._request.request_id]
        self._request.cancellation.__exit__(kind, error, trace)


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
