"""Which model answers a request, where an extension decides it.

The choice becomes the request's served name, so that the model that works is the one that is paid for, limited and
guarded: by the name that was asked for, a router would be a way past the limits of a model and past the redaction that
somebody has ordered for it. A key is never given a model that it is not for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from seekd.accounts.types import Caller
from seekd.request import GenerationRequest
from seekd.service.model_pool import ModelPool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may answer.

    Attributes:
        name: to answer with.
        is_loaded: whether it would begin at once.
        num_running: requests that it is running.
        num_waiting: requests that wait for it.
    """

    name: str
    is_loaded: bool
    num_running: int
    num_waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteQuestion:
    """What a router knows of a request.

    Attributes:
        model: the name that the request asks for, as written.
        account_id: of the caller.
        user_id: the caller's own name for its user; None where it names none.
        stream: whether the caller wants events.
        thinking: whether the model is to reason before it answers.
        has_tools: whether tools may be called.
        max_tokens: asked for; None where the request sets none.
        candidates: every model with a name of its own that the caller may use.
    """

    model: str
    account_id: str
    user_id: str | None
    stream: bool
    thinking: bool
    has_tools: bool
    max_tokens: int | None
    candidates: Sequence[Candidate]


class Router(Protocol):
    """Chooses a model. An extension of the group `seekd.routers` is a callable that makes one."""

    def route(self, question: RouteQuestion) -> str | None:
        """The name of a candidate; None leaves the request where it would go anyway.

        Called on the event loop for every request: it must not wait for anything.
        """


class Routes:
    """Asks a router. What it answers wrongly is logged, and the request goes where it would go without it.

    Args:
        router: chooses.
        models: that there are.
    """

    def __init__(self, router: Router, models: ModelPool) -> None:
        self._router = router
        self._models = models

    def routed(self, request: GenerationRequest, caller: Caller) -> GenerationRequest:
        """The request, with the model that is to answer it; the same object where its own name decides."""
        candidates = [self._candidate(name) for name in self._models.own_names if caller.may_use(name)]
        question = RouteQuestion(
            model=request.requested_model,
            account_id=caller.account_id,
            user_id=request.user_id,
            stream=request.stream,
            thinking=request.thinking,
            has_tools=request.rule is not None and request.rule.kind == "tools",
            max_tokens=request.max_tokens,
            candidates=candidates,
        )
        try:
            name = self._router.route(question)
        except Exception as error:  # another package's code must not end a request that could be served
            self._complain(f"it failed: {error}")
            return request
        if name is None:
            return request
        if all(name != candidate.name for candidate in candidates):
            self._complain(f"{name!r} is none of its candidates")
            return request
        return replace(request, served_model=name)

    def _candidate(self, name: str) -> Candidate:
        member = self._models.find(name)
        return Candidate(
            name=name, is_loaded=member.is_usable, num_running=member.num_running, num_waiting=member.num_waiting
        )

    def _complain(self, reason: str) -> None:
        _log.warning("the router was not followed: %s", reason, extra={"action": "router_not_followed"})
