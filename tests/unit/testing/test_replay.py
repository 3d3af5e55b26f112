"""Which recording answers a request, and what is said when none does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.cassettes import Exchange, Part, load, save
from seekd.testing.faults import End, Pause
from seekd.testing.replay import Library
from seekd.testing.seen import SeenRequest

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi ann@example.com"}], "temperature": 1}


def recorded(body: object, *texts: str, path: str = "/v1/chat/completions", is_whole: bool = True) -> Exchange:
    return Exchange(
        path=path,
        body=body,
        rules=("key", "email"),
        status=200,
        content_type="application/json",
        headers={},
        parts=tuple(Part(after_ms=100 * number, text=text) for number, text in enumerate(texts, 1)),
        is_whole=is_whole,
    )


def seen(body: object, path: str = "/v1/chat/completions") -> SeenRequest:
    return SeenRequest(path=path, headers={}, raw=json.dumps(body).encode())


def changed(**members: Any) -> dict[str, Any]:
    return {**BODY, **members}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    body = changed(messages=[{"role": "user", "content": "Hi [EMAIL_1]"}])
    for text in ("first", "second"):
        save(recorded(body, text), tmp_path)
    return tmp_path


def text_for(library: Library, body: object, **options: Any) -> str:
    return "".join(part.text for part in library.find(seen(body, **options)).parts)


def test_files_are_numbered_and_read_back_as_they_were(folder: Path) -> None:
    save(recorded("not json", "x", path="/anthropic/v1/messages", is_whole=False), folder)
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == [
        "0001-v1-chat-completions.json",
        "0002-v1-chat-completions.json",
        "0003-anthropic-v1-messages.json",
    ]
    third = load(folder)[2]
    assert (third.body, third.is_whole, third.parts) == ("not json", False, (Part(after_ms=100, text="x"),))


def test_equal_requests_get_their_recordings_in_turn(folder: Path) -> None:
    library = Library(folder)
    assert [text_for(library, BODY) for _ in range(3)] == ["first", "second", "second"]
    library.rewind()
    assert text_for(library, BODY) == "first"


@pytest.mark.parametrize(
    "body",
    [
        changed(temperature=0, max_tokens=5, user="x"),
        changed(stream=False),
        changed(messages=[{"role": "user", "content": " Hi bob@example.com\n", "name": None}]),
    ],
)
def test_lenient_matching_looks_at_what_is_said(folder: Path, body: object) -> None:
    assert text_for(Library(folder), body) == "first"
    assert text_for(Library(folder), body, path="/chat/completions") == "first"
    with pytest.raises(InvalidParameter):
        Library(folder, matching="strict").find(seen(body))


def test_strict_matching_takes_what_is_equal(folder: Path) -> None:
    assert text_for(Library(folder, matching="strict"), BODY) == "first"


@pytest.mark.parametrize(
    "body", [changed(model="n"), changed(stream=True), changed(messages=[]), changed(tools=[{"name": "f"}])]
)
def test_lenient_matching_refuses_what_says_something_else(folder: Path, body: object) -> None:
    with pytest.raises(InvalidParameter):
        Library(folder).find(seen(body))


def conversation(call_id: str) -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return {
        "messages": [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "x"},
        ]
    }


def test_ids_of_calls_may_differ_if_they_stand_for_the_same(tmp_path: Path) -> None:
    save(recorded(conversation("call_a"), "yes"), tmp_path)
    assert text_for(Library(tmp_path), conversation("call_b")) == "yes"
    crossed = conversation("call_b")
    crossed["messages"][1]["tool_call_id"] = "call_c"
    with pytest.raises(InvalidParameter):
        Library(tmp_path).find(seen(crossed))


def test_an_unknown_request_is_told_the_nearest_recording_and_what_differs(folder: Path) -> None:
    save(recorded({"messages": [{"role": "user", "content": "Something else altogether"}]}, "x"), folder)
    with pytest.raises(InvalidParameter) as raised:
        Library(folder).find(seen(changed(messages=[{"role": "user", "content": "Hi Bob"}])))
    message = raised.value.message
    assert "The nearest is 0001-v1-chat-completions.json" in message
    assert '-        "content": "Hi [EMAIL_1]"' in message
    assert '+        "content": "Hi Bob"' in message


def test_a_long_difference_is_cut(folder: Path) -> None:
    many = [{"role": "user", "content": f"{number}"} for number in range(200)]
    with pytest.raises(InvalidParameter, match=r"… \d+ more lines"):
        Library(folder).find(seen(changed(messages=many)))


def test_the_rhythm_is_that_of_the_recording_and_a_cut_end_is_cut(tmp_path: Path) -> None:
    exchange = recorded(BODY, "a", "b", is_whole=False)
    save(exchange, tmp_path)
    assert Library(tmp_path).sent(exchange) == [b"a", b"b", End.CLOSED]
    paused = [Pause(delay_s=0.1), b"a", Pause(delay_s=0.1), b"b", End.CLOSED]
    assert Library(tmp_path, has_rhythm=True).sent(exchange) == paused


def test_a_folder_or_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no recording; make one with `seekd record"):
        Library(tmp_path)
    for text, words in (("{", "is no recording"), ("{}", "KeyError: 'version'"), ('{"version": 9}', "of version 9")):
        (tmp_path / "0001-x.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=words):
            Library(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        save(recorded(BODY, "a"), tmp_path / "file")
