"""What the API process and an engine process say to each other: msgpack frames over one socket.

API process                      engine process
WorkerJob ──>
<── Loaded | Refused(request_id=None)
Submit, Abort ──>              <── Accepted, Updates (one message an engine step), Refused, Report
Shutdown, or the end of the socket ──>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from seekd.config import ByteSize
from seekd.engine.settings import EngineSettings
from seekd.engine.types import CacheExplanation, EngineRequest, EngineStats, EngineUpdate, ModelInfo
from seekd.errors import (
    ConfigError,
    ContextTooLong,
    EngineError,
    InvalidParameter,
    Overloaded,
    SeekdError,
    ShuttingDown,
)

REFUSED_STATUS = 2
"""Exit status of an engine process that has sent why the model cannot be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """What an engine process is started for.

    Attributes:
        cache_dir: home of the disk tier; None keeps no disk tier.
        log_level: name of the least level that is logged.
    """

    model_path: str
    settings: EngineSettings
    cache_dir: str | None = None
    log_level: str = "INFO"


class Submit(msgspec.Struct, frozen=True, tag=True):
    """Run a request."""

    request: EngineRequest


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for a request's answer any more; its last update, unless it is on its way already, says `ABORT`."""

    request_id: str


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Stop now."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is in memory; requests are served from now on."""

    info: ModelInfo


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """A `Submit` has arrived: from now on the request shares the fate of this process."""

    request_id: str


class Updates(msgspec.Struct, frozen=True, tag=True):
    """What one step did.

    Attributes:
        explanations: of the requests that the step admitted.
    """

    updates: Sequence[EngineUpdate]
    explanations: Sequence[CacheExplanation] = ()


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A request was refused before work, or (`request_id` None) the model cannot be served.

    Attributes:
        kind: name of the error's class; `context_length` and `num_prompt_tokens` belong to `ContextTooLong`.
    """

    request_id: str | None
    kind: str
    message: str
    context_length: int = 0
    num_prompt_tokens: int = 0


class Report(msgspec.Struct, frozen=True, tag=True):
    """The engine's counters; sent once a second while it works, and when it becomes idle."""

    stats: EngineStats


ToEngine = Submit | Abort | Shutdown
FromEngine = Loaded | Accepted | Updates | Refused | Report

_ERRORS: dict[str, type[SeekdError]] = {
    kind.__name__: kind for kind in (ConfigError, EngineError, InvalidParameter, Overloaded, ShuttingDown)
}


def refusal(request_id: str | None, error: SeekdError) -> Refused:
    """An error as a message."""
    if isinstance(error, ContextTooLong):
        return Refused(
            request_id=request_id,
            kind="ContextTooLong",
            message=error.message,
            context_length=error.context_length,
            num_prompt_tokens=error.num_prompt_tokens,
        )
    kind = type(error).__name__
    return Refused(request_id=request_id, kind=kind if kind in _ERRORS else "EngineError", message=error.message)


def error_of(refused: Refused) -> SeekdError:
    """The error that a message stands for."""
    if refused.kind == "ContextTooLong":
        return ContextTooLong(context_length=refused.context_length, num_prompt_tokens=refused.num_prompt_tokens)
    return _ERRORS.get(refused.kind, EngineError)(refused.message)


def encode_job(job: WorkerJob) -> bytes:
    """The first message to an engine process."""
    return msgspec.msgpack.encode(job, enc_hook=_encode_other)


def decode_job(message: bytes | memoryview) -> WorkerJob:
    """Read what `encode_job` wrote."""
    return msgspec.msgpack.decode(message, type=WorkerJob, dec_hook=_decode_other)


def _encode_other(value: Any) -> Any:  # msgspec's hooks are untyped
    if isinstance(value, ByteSize):
        return int(value)
    raise NotImplementedError(type(value).__name__)


def _decode_other(kind: type, value: Any) -> Any:  # msgspec's hooks are untyped
    if kind is ByteSize:
        return ByteSize(value)
    raise NotImplementedError(kind.__name__)
