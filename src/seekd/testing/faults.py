"""What goes wrong between a service and its client: the faults that a test can ask for, and what each reveals.

    the whole answer is made ──> a fault changes what is sent of it ──> bytes, pauses, and the end of the connection

Faults are functions of frames (of a stream) or of a body, so that they need no clock and no socket. An answer with a
fault is made before the first byte of it is sent.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from seekd.errors import (
    EngineError,
    InsufficientBalance,
    InvalidParameter,
    Overloaded,
    RateLimited,
    SeekdError,
    Unauthenticated,
)
from seekd.testing.seen import Json
from seekd.wire.dialect import HOSTED, Dialect
from seekd.wire.failures import Failure, error_data, failure_response
from seekd.wire.sse import DONE_FRAME, KEEP_ALIVE_FRAME, frame

FAULT_HEADER = "x-seekd-fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Send nothing for so long; None is until the client leaves."""

    delay_s: float | None


class End(enum.Enum):
    """How a connection ends before its answer does."""

    RESET = "reset"
    CLOSED = "closed"


Sent = bytes | Pause | End
"""What a client meets, one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, as a test asks for it.

    Attributes:
        name: of `FAULTS`.
        after: frames that pass before it; of a whole answer, any number is its half.
        delay_s: length of its pause; None is the fault's own.
        retry_after_s: of `rate-limit`; None sends no `Retry-After`.
        count: how many lines or comments come too many.
    """

    name: str
    after: int = 2
    delay_s: float | None = None
    retry_after_s: int | None = None
    count: int = 100

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise InvalidParameter(f"There is no fault {self.name!r}; there are {', '.join(sorted(FAULTS))}.")

    @property
    def kind(self) -> FaultKind:
        """What it does."""
        return FAULTS[self.name]

    def failure(self, dialect: Dialect) -> Failure | None:
        """The response that takes the place of an answer; None where the answer is made."""
        if self.kind.error is None:
            return None
        failure = failure_response(self.kind.error(self), self.kind.dialect or dialect)
        if self.retry_after_s is not None:
            return replace(failure, headers={**failure.headers, "retry-after": str(self.retry_after_s)})
        return failure

    def in_stream(self, frames: Sequence[bytes], dialect: Dialect) -> Sequence[Sent]:
        """What a client that asked for a stream gets."""
        return self.kind.in_stream(self, frames, dialect)

    def in_body(self, body: bytes) -> Sequence[Sent]:
        """What a client that asked for a whole answer gets."""
        return self.kind.in_body(self, body)


InStream = Callable[[Fault, Sequence[bytes], Dialect], Sequence[Sent]]
InBody = Callable[[Fault, bytes], Sequence[Sent]]


def _stream_as_it_is(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return frames


def _body_as_it_is(_fault: Fault, body: bytes) -> Sequence[Sent]:
    return (body,)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """What a fault does, and what for.

    Attributes:
        what: happens, a sentence for the page of faults.
        reveals: the mistake of a client that it shows.
        reports: public reports of it, as `owner/repository#number`; empty for those that are only possible.
        error: makes what takes the place of an answer; None where the answer is made.
        dialect: in which that error is written whatever the request asks for; None is the request's own.
        in_stream: what becomes of a stream's frames.
        in_body: what becomes of a whole answer.
        is_for_chat: it leaves answers of other protocols as they are.
    """

    what: str
    reveals: str
    reports: Sequence[str] = ()
    error: Callable[[Fault], SeekdError] | None = None
    dialect: Dialect | None = None
    in_stream: InStream = _stream_as_it_is
    in_body: InBody = _body_as_it_is
    is_for_chat: bool = False

    def changes(self, *, is_stream: bool, is_chat: bool) -> bool:
        """Whether an answer differs from one without the fault."""
        if self.error is not None:
            return True
        damage = self.in_stream is not _stream_as_it_is if is_stream else self.in_body is not _body_as_it_is
        return damage and (is_chat or not self.is_for_chat)


def fault(name: str, **options: float | int | None) -> Fault:
    """A fault by its name: `fault("stall", after=3)`. Raises `InvalidParameter` for an unknown name or option."""
    known = {field.name for field in dataclasses.fields(Fault)} - {"name"}
    if unknown := sorted(options.keys() - known):
        raise InvalidParameter(f"A fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    return Fault(name=name, **options)  # type: ignore[arg-type]  # the names are checked, the numbers fit


def read_fault(text: str) -> Fault:
    """The fault that a header or a script file asks for: `stall; after=3; delay_s=0.5`.

    Raises:
        InvalidParameter: it cannot be read, or there is no such fault.
    """
    name, *parts = (part.strip() for part in text.split(";"))
    options: dict[str, float | int] = {}
    for part in filter(None, parts):
        key, _, value = (side.strip() for side in part.partition("="))
        try:
            options[key] = float(value) if key == "delay_s" else int(value)
        except ValueError as error:
            raise InvalidParameter(f"The fault {text!r} has {part!r} where name=number belongs.") from error
    return fault(name, **options)


def _data(frame_: bytes) -> Json | None:
    """The JSON of a frame; None for comments, the end, and what a recorded service sent that is no JSON."""
    for line in frame_.split(b"\n"):
        if line.startswith(b"data: {"):
            try:
                return dict(json.loads(line.removeprefix(b"data: ")))
            except ValueError:
                return None
    return None


def _rewritten(frame_: bytes, data: Json) -> bytes:
    name = next(
        (line[7:].decode(errors="replace") for line in frame_.split(b"\n") if line.startswith(b"event: ")), None
    )
    return frame(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), event_name=name)


def _choice(data: Json | None) -> Json:
    """The only choice of a chunk; empty for what has none."""
    choices = None if data is None else data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _delta(frame_: bytes) -> Json:
    delta = _choice(_data(frame_)).get("delta")
    return delta if isinstance(delta, dict) else {}


_LAST_EVENTS = frozenset({"message_stop", "response.completed"})
_FINISHING_EVENTS = _LAST_EVENTS | {"message_delta"}


def _finishes(frame_: bytes) -> bool:
    data = _data(frame_) or {}
    return bool(_choice(data).get("finish_reason")) or data.get("type") in _FINISHING_EVENTS


def _ends(frame_: bytes) -> bool:
    return frame_ == DONE_FRAME or (_data(frame_) or {}).get("type") in _LAST_EVENTS


def _speaks(frame_: bytes) -> bool:
    return bool(_delta(frame_).get("content"))


def _slow_start(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return (Pause(delay_s=2.0 if fault_.delay_s is None else fault_.delay_s), *frames)


def _slow_body(fault_: Fault, body: bytes) -> Sequence[Sent]:
    return (Pause(delay_s=2.0 if fault_.delay_s is None else fault_.delay_s), body)


def _stall(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return (*frames[: fault_.after], Pause(delay_s=fault_.delay_s), *frames[fault_.after :])


def _stall_body(fault_: Fault, body: bytes) -> Sequence[Sent]:
    return (body[: len(body) // 2], Pause(delay_s=fault_.delay_s), body[len(body) // 2 :])


def _reset_before(_fault: Fault, _frames: object, _dialect: object = None) -> Sequence[Sent]:
    return (End.RESET,)


def _reset(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return (*frames[: fault_.after], End.RESET)


def _reset_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    return (body[: len(body) // 2], End.RESET)


def _close(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return (*frames[: fault_.after], End.CLOSED)


def _close_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    return (body[: len(body) // 2], End.CLOSED)


def _flood(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    comments = (KEEP_ALIVE_FRAME,) * fault_.count
    return (*comments, *frames[:1], *comments, *frames[1:])


def _blank_lines(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return (b"\n" * fault_.count, *frames)


def _blank_body(fault_: Fault, body: bytes) -> Sequence[Sent]:
    return (b"\n" * fault_.count, body)


def _error_frame(fault_: Fault, frames: Sequence[bytes], dialect: Dialect) -> Sequence[Sent]:
    sent = frames[: fault_.after]
    return (*sent, _error_event(json.loads(error_data(Overloaded(), dialect)), [_data(one) or {} for one in frames]))


def _error_event(envelope: Json, events: Sequence[Json]) -> bytes:
    """The error in the form of the protocol that the events are of."""
    types = {str(event.get("type", "")) for event in events}
    name: str | None = "error"
    if any(one.startswith("response.") for one in types):
        error = envelope["error"]
        envelope = {"type": "error", "code": error["code"], "message": error["message"], "param": None}
    elif any(one.startswith(("message", "content_block")) for one in types):
        envelope = {"type": "error", **envelope}
    else:
        name = None
    return frame(json.dumps(envelope, separators=(",", ":")).encode(), event_name=name)


def _no_finish(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return [one for one in frames if not _finishes(one)]


def _no_done(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return [one for one in frames if not _ends(one)]


def _truncated(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    """Text up to the fault's place, and a finish that gives the reason."""
    if not any(_choice(_data(one)) for one in frames):
        return frames
    sent: list[Sent] = list(frames[: fault_.after])
    for one in frames[fault_.after :]:
        data = _data(one)
        if data is not None and _choice(data).get("finish_reason"):
            _choice(data)["finish_reason"] = "insufficient_system_resource"
            sent.append(_rewritten(one, data))
        elif one == DONE_FRAME:
            sent.append(one)
    return sent


def _truncated_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    def edit(choice: Json) -> None:
        message = choice["message"]
        message["content"] = (message["content"] or "")[: len(message["content"] or "") // 2]
        message.pop("tool_calls", None)
        choice["finish_reason"] = "insufficient_system_resource"

    return (_edited_choice(body, edit),)


def _empty(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return [one for one in frames if not _speaks(one)]


def _empty_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    return (_edited_choice(body, lambda choice: choice["message"].update(content="")),)


def _wrong_usage(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    sent: list[Sent] = []
    for one in frames:
        data = _data(one)
        has_usage = data is not None and isinstance(data.get("usage"), dict)
        sent.append(_rewritten(one, _with_wrong_usage(data)) if has_usage and data is not None else one)
    return sent


def _wrong_usage_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    return (json.dumps(_with_wrong_usage(json.loads(body))).encode(),)


def _with_wrong_usage(data: Json) -> Json:
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return data
    counts = {name: 0 for name in ("total_tokens", "completion_tokens", "output_tokens") if name in usage}
    return {**data, "usage": {**usage, **counts}}


MARKUP = '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```'
"""What models of the service have written into their content in place of a call."""


def _markup(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    sent: list[Sent] = []
    has_markup = False
    for one in frames:
        data, delta = _data(one), _delta(one)
        is_call = "tool_calls" in delta
        finish = _choice(data).get("finish_reason")
        if data is not None and not has_markup and (is_call or finish):
            marked = json.loads(json.dumps(data))
            marked["choices"][0].update(delta={"content": MARKUP}, finish_reason=None)
            marked.pop("usage", None)
            sent.append(_rewritten(one, marked))
            has_markup = True
        if finish == "tool_calls" and data is not None:
            _choice(data)["finish_reason"] = "stop"
            sent.append(_rewritten(one, data))
        elif not is_call:
            sent.append(one)
    return sent


def _markup_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    def edit(choice: Json) -> None:
        message = choice["message"]
        message["content"] = f"{message.get('content') or ''}{MARKUP}"
        message.pop("tool_calls", None)
        choice["finish_reason"] = "stop"

    return (_edited_choice(body, edit),)


def _cut_arguments(_fault: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    """Half of the text of all arguments; the finish says that the calls are whole."""
    total = sum(len(_argument_text(one)) for one in frames)
    left = total // 2
    sent: list[Sent] = []
    for one in frames:
        text = _argument_text(one)
        if text and left < len(text):
            data = _data(one)
            assert data is not None
            _choice(data)["delta"]["tool_calls"][0]["function"]["arguments"] = text[:left]
            sent.append(_rewritten(one, data))
        else:
            sent.append(one)
        left = max(0, left - len(text))
    return sent


def _argument_text(frame_: bytes) -> str:
    calls = _delta(frame_).get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, dict) else None
    return str(function.get("arguments") or "") if isinstance(function, dict) else ""


def _cut_arguments_body(_fault: Fault, body: bytes) -> Sequence[Sent]:
    def edit(choice: Json) -> None:
        for call in choice["message"].get("tool_calls") or ():
            text = call["function"]["arguments"]
            call["function"]["arguments"] = text[: len(text) // 2]

    return (_edited_choice(body, edit),)


def _duplicates(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    place = _spoken_place(fault_, frames)
    return frames if place is None else (*frames[:place], frames[place], *frames[place:])


def _reordered(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    place = _spoken_place(fault_, frames)
    if place is None or place + 1 >= len(frames) or not _speaks(frames[place + 1]):
        return frames
    return (*frames[:place], frames[place + 1], frames[place], *frames[place + 2 :])


def _spoken_place(fault_: Fault, frames: Sequence[bytes]) -> int | None:
    """The first frame with text at or behind the fault's place."""
    return next((i for i, one in enumerate(frames) if i >= fault_.after and _speaks(one)), None)


def _split_characters(fault_: Fault, frames: Sequence[bytes], _dialect: Dialect) -> Sequence[Sent]:
    return [part for one in frames for part in _split(fault_, one)]


def _split(fault_: Fault, data: bytes) -> Sequence[Sent]:
    # Behind the first byte of the first character of several bytes; without one there is nothing to split.
    place = next((i + 1 for i, byte in enumerate(data) if byte >= 0xC0), None)
    if place is None:
        return (data,)
    return (data[:place], Pause(delay_s=0.02 if fault_.delay_s is None else fault_.delay_s), data[place:])


def _edited_choice(body: bytes, edit: Callable[[Json], object]) -> bytes:
    """A whole chat answer after an edit of its choice; bodies of other protocols stay as they are."""
    data = json.loads(body)
    choice = _choice(data)
    if isinstance(choice.get("message"), dict):
        edit(choice)
    return json.dumps(data, ensure_ascii=False).encode()


FAULTS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "unauthorized": FaultKind(
            what="401: the key is not valid.",
            reveals="Retries what cannot succeed, or shows a stack trace in place of the reason.",
            error=lambda _: Unauthenticated(key_tail="test"),
        ),
        "insufficient-balance": FaultKind(
            what="402: the account has no balance.",
            reveals="Takes 402 for an outage and retries; most clients have no class of errors for it.",
            reports=("continuedev/continue#10121",),
            error=lambda _: InsufficientBalance(),
        ),
        "rate-limit": FaultKind(
            what="429; `retry_after_s` sends `Retry-After`, without it there is none.",
            reveals="Repeats at once, or waits for a header that does not come.",
            error=lambda fault_: RateLimited(retry_after_s=fault_.retry_after_s),
        ),
        "server-error": FaultKind(
            what="500.",
            reveals="Gives up where one more attempt would do, or repeats without end.",
            error=lambda _: EngineError(),
        ),
        "overloaded": FaultKind(
            what="503: the service is busy.",
            reveals="Gives up where one more attempt would do, or repeats without end.",
            error=lambda _: Overloaded(),
        ),
        "octet-stream-400": FaultKind(
            what="400 as `application/octet-stream`, as the service sends it.",
            reveals="Reads only JSON by its content type, so that the reason is lost.",
            reports=("SaladDay/cc-switch-cli#169",),
            error=lambda _: InvalidParameter("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
            dialect=HOSTED,
        ),
        "slow-start": FaultKind(
            what="Nothing, not even a status, for `delay_s` (2 s).",
            reveals="Has a time limit of its own that is shorter than the model's thinking.",
            reports=("NousResearch/hermes-agent#60338",),
            in_stream=_slow_start,
            in_body=_slow_body,
        ),
        "stall": FaultKind(
            what="Nothing more after `after` frames (2), for `delay_s` or until the client leaves.",
            reveals="Waits for ever: no time limit between two chunks.",
            reports=("deepseek-ai/DeepSeek-V3#1608", "can1357/oh-my-pi#9741"),
            in_stream=_stall,
            in_body=_stall_body,
        ),
        "cut-arguments": FaultKind(
            what="Half of a call's arguments, with the finish reason of whole ones.",
            reveals="Runs a tool with arguments that are no JSON, or fails without a word to the model.",
            reports=("deepseek-ai/DeepSeek-V3#1534",),
            in_stream=_cut_arguments,
            in_body=_cut_arguments_body,
            is_for_chat=True,
        ),
        "no-finish": FaultKind(
            what="No chunk with a finish reason; the stream ends with `[DONE]`.",
            reveals="Takes a cut answer for a whole one.",
            reports=("openai/openai-node#1292",),
            in_stream=_no_finish,
        ),
        "no-done": FaultKind(
            what="The stream ends behind the finish chunk, without `[DONE]`.",
            reveals="Waits for `[DONE]`, or reports a failure though the answer is whole.",
            reports=("linkerdog/rara#79",),
            in_stream=_no_done,
        ),
        "reset-before": FaultKind(
            what="The connection is reset before the status.",
            reveals="Does not repeat what certainly was not answered.",
            in_stream=_reset_before,
            in_body=_reset_before,
        ),
        "reset": FaultKind(
            what="The connection is reset after `after` frames (2).",
            reveals="Loses what has come, or ends with an error that the caller does not know.",
            reports=("tetsuo-ai/agenc-core#2492",),
            in_stream=_reset,
            in_body=_reset_body,
        ),
        "close": FaultKind(
            what="The connection is closed after `after` frames (2), in the middle of the body.",
            reveals="Takes the end of the connection for the end of the answer.",
            reports=("deepseek-ai/DeepSeek-V3#1046", "esengine/DeepSeek-Reasonix#3375"),
            in_stream=_close,
            in_body=_close_body,
        ),
        "keep-alive-flood": FaultKind(
            what="`count` comments (100) before the first chunk and behind it; blank lines in a whole answer.",
            reveals="Reads comments as data, or counts them as signs of progress for ever.",
            reports=("CopilotC-Nvim/CopilotChat.nvim#944", "tmc/langchaingo#942"),
            in_stream=_flood,
            in_body=_blank_body,
        ),
        "blank-lines": FaultKind(
            what="`count` blank lines (100) before the JSON, as the service sends them while a request waits.",
            reveals="Parses the first line instead of the body.",
            reports=("Lambdua/openai4j#86",),
            in_stream=_blank_lines,
            in_body=_blank_body,
        ),
        "error-frame": FaultKind(
            what="An error object as the last event after `after` frames (2), without `[DONE]`.",
            reveals="Looks for `choices` in every event, and shows an index error or nothing.",
            reports=("lm-sys/FastChat#3160",),
            in_stream=_error_frame,
        ),
        "no-resources": FaultKind(
            what="The answer is cut with `finish_reason` `insufficient_system_resource`.",
            reveals="Knows no finish reason but OpenAI's, and takes a cut answer for a whole one.",
            in_stream=_truncated,
            in_body=_truncated_body,
            is_for_chat=True,
        ),
        "empty-content": FaultKind(
            what="No content at all, with the finish reason `stop`.",
            reveals="Fails on empty text, or repeats without end.",
            reports=("openclaw/openclaw#91604",),
            in_stream=_empty,
            in_body=_empty_body,
            is_for_chat=True,
        ),
        "wrong-usage": FaultKind(
            what="Counts of 0 for the answer and in total.",
            reveals="Divides by a count, or bills by it without a check.",
            in_stream=_wrong_usage,
            in_body=_wrong_usage_body,
        ),
        "markup-in-text": FaultKind(
            what="The markup of a call in the content, with the finish reason `stop`.",
            reveals="Shows control markup to people and ends the turn without the call.",
            reports=("deepseek-ai/DeepSeek-V3#1244",),
            in_stream=_markup,
            in_body=_markup_body,
            is_for_chat=True,
        ),
        "duplicate-chunks": FaultKind(
            what="One chunk with text comes twice.",
            reveals="Nothing can be done about it: text doubles; shows whether anything notices.",
            in_stream=_duplicates,
            is_for_chat=True,
        ),
        "reordered-chunks": FaultKind(
            what="Two neighbouring chunks with text change places.",
            reveals="Nothing can be done about it: text is mixed; shows whether anything notices.",
            in_stream=_reordered,
            is_for_chat=True,
        ),
        "split-utf8": FaultKind(
            what="A character of several bytes is cut between two writes.",
            reveals="Decodes each piece of the network by itself: broken characters.",
            reports=("api7/aisix#111", "anomalyco/opencode#39694"),
            in_stream=_split_characters,
            in_body=_split,
        ),
    }
)
"""Every fault, by its name."""
