"""Each fault damages what it says, and nothing else: the judges of streams are the measure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from seekd.errors import InvalidParameter
from seekd.testing.faults import FAULTS, MARKUP, End, Fault, Pause, Sent, fault, read_fault
from seekd.testing.stream_check import StreamFault, check_chat_stream, check_failed_chat_stream
from seekd.wire.dialect import CLASSIC, HOSTED

HEAD = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f"}
USAGE = {
    "prompt_tokens": 2,
    "completion_tokens": 3,
    "total_tokens": 5,
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    data: dict[str, Any] = HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if finish:
        data["usage"] = USAGE
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
TEXT = [
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": text}) for text in ("Grü", "ße", " an", " alle")),
    chunk({"content": ""}, "stop"),
    DONE,
]
FIRST = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
CALLS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"tool_calls": [FIRST]}),
    *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}) for text in ('{"ci', 'ty": "Pa', 'ris"}')),
    chunk({"content": ""}, "tool_calls"),
    DONE,
]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"city": "Paris"}'}}
BODY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"content": "Grüße", "tool_calls": [CALL]}, "finish_reason": "tool_calls"}],
        "usage": USAGE,
    },
    ensure_ascii=False,
).encode()


def joined(sent: Sequence[Sent]) -> bytes:
    return b"".join(one for one in sent if isinstance(one, bytes))


def in_stream(name: str, frames: list[bytes] = TEXT, **options: Any) -> Sequence[Sent]:
    return fault(name, **options).in_stream(frames, CLASSIC)


def in_body(name: str, **options: Any) -> Sequence[Sent]:
    return fault(name, **options).in_body(BODY)


def test_the_undamaged_streams_are_good() -> None:
    assert check_chat_stream(b"".join(TEXT)).content == "Grüße an alle"
    assert check_chat_stream(b"".join(CALLS)).tool_calls[0]["arguments"] == '{"city": "Paris"}'


@pytest.mark.parametrize(
    ("name", "status", "dialect"),
    [
        ("unauthorized", 401, CLASSIC),
        ("insufficient-balance", 402, HOSTED),
        ("rate-limit", 429, CLASSIC),
        ("server-error", 500, HOSTED),
        ("overloaded", 503, CLASSIC),
        ("octet-stream-400", 400, CLASSIC),
    ],
)
def test_refusals_are_the_real_ones(name: str, status: int, dialect: Any) -> None:
    failure = fault(name).failure(dialect)
    assert failure is not None
    assert failure.status == status
    assert json.loads(failure.body)["error"]["message"]
    assert (failure.content_type == "application/octet-stream") == (name == "octet-stream-400")


def test_a_rate_limit_says_when_to_come_back_only_if_asked() -> None:
    silent, telling = fault("rate-limit").failure(CLASSIC), fault("rate-limit", retry_after_s=3).failure(HOSTED)
    assert silent is not None
    assert telling is not None
    assert "retry-after" not in silent.headers
    assert telling.headers["retry-after"] == "3"


@pytest.mark.parametrize("name", [name for name, kind in FAULTS.items() if kind.error is None])
def test_what_is_no_refusal_lets_the_answer_be_made(name: str) -> None:
    assert fault(name).failure(CLASSIC) is None


def test_pauses_come_where_they_should() -> None:
    assert in_stream("slow-start", delay_s=0.5) == (Pause(delay_s=0.5), *TEXT)
    assert in_stream("stall") == (*TEXT[:2], Pause(delay_s=None), *TEXT[2:])
    assert in_body("slow-start")[0] == Pause(delay_s=2.0)
    first, pause, second = in_body("stall", delay_s=0.1)
    assert pause == Pause(delay_s=0.1)
    assert joined([first, second]) == BODY


@pytest.mark.parametrize(("name", "end"), [("reset", End.RESET), ("close", End.CLOSED)])
def test_cut_connections_end_after_a_part(name: str, end: End) -> None:
    assert in_stream(name, after=1) == (TEXT[0], end)
    part, last = in_body(name)
    assert isinstance(part, bytes)
    assert BODY.startswith(part)
    assert last is end
    assert in_stream("reset-before") == in_body("reset-before") == (End.RESET,)


def test_comments_and_blank_lines_do_not_change_what_is_said() -> None:
    assert check_chat_stream(joined(in_stream("keep-alive-flood"))).content == "Grüße an alle"
    assert joined(in_stream("keep-alive-flood", count=3)).count(b": keep-alive") == 6
    assert joined(in_stream("blank-lines", count=4)).startswith(b"\n\n\n\ndata")
    assert joined(in_body("blank-lines", count=4)) == b"\n\n\n\n" + BODY


def test_an_error_frame_ends_the_stream() -> None:
    answer = check_failed_chat_stream(joined(in_stream("error-frame")))
    assert answer.error is not None
    assert answer.content == "Grü"


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("message_start", {"type": "error", "error": {"message": "m", "type": "t", "param": None, "code": "c"}}),
        ("response.created", {"type": "error", "code": "c", "message": "m", "param": None}),
    ],
)
def test_an_error_frame_has_the_form_of_its_protocol(kind: str, event: dict[str, Any]) -> None:
    first = f'event: {kind}\ndata: {{"type":"{kind}"}}\n\n'.encode()
    last = in_stream("error-frame", [first])[-1]
    assert isinstance(last, bytes)
    name, data = last.decode().strip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")).keys() == event.keys()


@pytest.mark.parametrize("name", [name for name, kind in FAULTS.items() if kind.is_for_chat])
def test_faults_for_chat_leave_other_protocols_alone(name: str) -> None:
    events = [b'event: message_start\ndata: {"type":"message_start"}\n\n'] * 4
    assert list(in_stream(name, events)) == events
    body = b'{"type": "message", "content": [{"text": "x"}]}'
    assert json.loads(joined(fault(name).in_body(body))) == json.loads(body)
    assert not FAULTS[name].changes(is_stream=True, is_chat=False)


@pytest.mark.parametrize(
    ("name", "fault_of_stream"),
    [("no-finish", "no chunk has a finish_reason"), ("no-done", r"\[DONE\] is not the last event")],
)
def test_missing_ends_are_all_that_is_missing(name: str, fault_of_stream: str) -> None:
    sent = joined(in_stream(name))
    with pytest.raises(StreamFault, match=fault_of_stream):
        check_chat_stream(sent)
    assert sent.count(b'"content"') == len(TEXT) - (2 if name == "no-finish" else 1)


def test_the_ends_of_the_other_protocols_go_missing_too() -> None:
    events = [
        b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta"}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]
    assert in_stream("no-done", events) == events[:2]
    assert in_stream("no-finish", events) == events[:1]


def test_a_cut_answer_says_that_there_were_no_resources() -> None:
    answer = check_chat_stream(joined(in_stream("no-resources")))
    assert (answer.content, answer.finish_reason) == ("Grü", "insufficient_system_resource")
    [choice] = json.loads(joined(in_body("no-resources")))["choices"]
    assert (choice["message"], choice["finish_reason"]) == ({"content": "Gr"}, "insufficient_system_resource")


def test_an_empty_answer_is_otherwise_good() -> None:
    answer = check_chat_stream(joined(in_stream("empty-content")))
    assert (answer.content, answer.finish_reason) == ("", "stop")
    assert json.loads(joined(in_body("empty-content")))["choices"][0]["message"]["content"] == ""


def test_wrong_usage_is_wrong_in_its_sum() -> None:
    with pytest.raises(StreamFault, match="total_tokens is not the sum"):
        check_chat_stream(joined(in_stream("wrong-usage")))
    assert json.loads(joined(in_body("wrong-usage")))["usage"] == USAGE | {"completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("frames", [TEXT, CALLS], ids=["text", "calls"])
def test_markup_takes_the_place_of_calls(frames: list[bytes]) -> None:
    answer = check_chat_stream(joined(in_stream("markup-in-text", frames)))
    assert answer.content.endswith(MARKUP)
    assert (answer.tool_calls, answer.finish_reason) == ([], "stop")
    [choice] = json.loads(joined(in_body("markup-in-text")))["choices"]
    assert choice["message"] == {"content": f"Grüße{MARKUP}"}


def test_cut_arguments_are_half_of_them_and_look_finished() -> None:
    answer = check_chat_stream(joined(in_stream("cut-arguments", CALLS)))
    assert (answer.tool_calls[0]["arguments"], answer.finish_reason) == ('{"city":', "tool_calls")
    [choice] = json.loads(joined(in_body("cut-arguments")))["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":'


def test_chunks_come_twice_or_change_places() -> None:
    assert check_chat_stream(joined(in_stream("duplicate-chunks"))).content == "Grüßeße an alle"
    assert check_chat_stream(joined(in_stream("reordered-chunks"))).content == "Grü anße alle"
    assert in_stream("reordered-chunks", after=4) == TEXT


def test_characters_are_cut_between_two_writes() -> None:
    sent = in_stream("split-utf8")
    halves = [one for one in sent if isinstance(one, bytes) and not one.endswith(b"\n\n")]
    assert len(halves) == 2
    for half in halves:
        with pytest.raises(UnicodeDecodeError):
            half.decode()
    assert joined(sent) == b"".join(TEXT)
    assert joined(in_body("split-utf8")) == BODY


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_takes_streams_and_bodies_that_it_does_not_fit(name: str) -> None:
    odd = [b": keep-alive\n\n", b'event: ping\ndata: {"type":"ping"}\n\n', DONE]
    assert isinstance(joined(in_stream(name, odd)), bytes)
    assert isinstance(joined(in_stream(name, [])), bytes)
    assert isinstance(joined(fault(name).in_body(b'{"type":"message","content":[]}')), bytes)


def test_a_header_spells_a_fault_with_its_numbers() -> None:
    assert read_fault("stall; after=3; delay_s=0.5") == Fault(name="stall", after=3, delay_s=0.5)
    assert read_fault("no-done;") == Fault(name="no-done")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stal", "no fault 'stal'; there are blank-lines"),
        ("stall; after=x", "'after=x' where name=number belongs"),
        ("stall; before=1", "has no before; it has after"),
    ],
)
def test_what_is_wrong_in_a_header_is_named(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        read_fault(text)
