"""Records are lines for people and JSON for machines, and carry the request they belong to."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from seekd import log


@pytest.fixture(autouse=True)
def _restore_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_elsewhere_than_on_a_terminal_records_are_json_with_their_fields() -> None:
    stream = io.StringIO()
    log.set_up(log.LogSettings(), stream=stream)
    token = log.request_id.set("r1")
    try:
        logging.getLogger("seekd.test").info("it happened", extra={"action": "happen", "count": 2})
    finally:
        log.request_id.reset(token)
    record = json.loads(stream.getvalue())
    assert record["message"] == "it happened"
    assert (record["action"], record["count"], record["request_id"], record["level"]) == ("happen", 2, "r1", "info")


def test_lines_show_message_and_fields_without_the_action() -> None:
    stream = io.StringIO()
    log.set_up(log.LogSettings(format="lines"), stream=stream)
    logging.getLogger("seekd.test").warning("it happened", extra={"action": "happen", "count": 2})
    assert "warning" in stream.getvalue()
    assert "it happened  count=2" in stream.getvalue()
    assert "happen " not in stream.getvalue().replace("it happened", "")


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("status", "color"), [(200, "32"), (404, "33"), (500, "31"), (None, "31")])
def test_a_terminal_shows_requests_in_the_color_of_their_status(
    status: int | None, color: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    extra = {"action": "request", "method": "GET", "path": "/models", "status": status, "ms": 1234.5}
    screen = Screen()
    log.set_up(log.LogSettings(), stream=screen)
    logging.getLogger("seekd.test").info("request", extra=extra)
    assert f"\x1b[{color}minfo   \x1b[0m GET /models {status or '-'}  1.23 s\n" in screen.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Screen()
    log.set_up(log.LogSettings(), stream=plain)
    logging.getLogger("seekd.test").info("request", extra=extra)
    assert "\x1b" not in plain.getvalue()


def test_what_is_noted_during_a_request_is_part_of_its_facts_and_of_no_other() -> None:
    log.note(lost=True)
    facts: dict[str, object] = {}
    token = log.request_facts.set(facts)
    log.note(tokens=3)
    log.request_facts.reset(token)
    log.note(lost=True)
    assert facts == {"tokens": 3}


def test_the_engine_process_prints_level_logger_message_and_fields() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "name": "seekd.test", "msg": "it %s", "args": ("happened",)})
    record.__dict__ |= {"action": "happen", "count": 2}
    assert log.EngineFormatter().format(record) == "INFO seekd.test it happened  count=2"


def test_records_below_the_level_are_not_shown() -> None:
    stream = io.StringIO()
    log.set_up(log.LogSettings(level="warning"), stream=stream)
    logging.getLogger("seekd.test").info("quiet")
    assert not stream.getvalue()


def test_a_traceback_is_part_of_its_json_record() -> None:
    stream = io.StringIO()
    log.set_up(log.LogSettings(), stream=stream)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("seekd.test").exception("failed")
    assert "RuntimeError: boom" in json.loads(stream.getvalue())["exception"]


@pytest.mark.fault("forged-log-lines")
@pytest.mark.parametrize("style", ["lines", "json"])
def test_what_does_not_print_is_escaped_wherever_it_comes_from(style: Literal["lines", "json"]) -> None:
    hostile = "a\n12:00:00 info     forged\r\x1b[2J\x7f\x9b2J\u202e\u2028\ud800é漢"
    stream = io.StringIO()
    log.set_up(log.LogSettings(format=style), stream=stream)
    token = log.model_name.set(hostile)
    try:
        raise RuntimeError(hostile)
    except RuntimeError:
        logging.getLogger("seekd.test").exception("failed: %s", hostile, extra={"path": hostile})
    finally:
        log.model_name.reset(token)
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    if style == "json":
        [record] = map(json.loads, lines)
        assert record["path"] == record["model"] == hostile
        assert record["message"] == f"failed: {hostile}"
        assert hostile in record["exception"]
    else:
        escaped = r"a\n12:00:00 info     forged\r\u001b[2J\u007f\u009b2J\u202e\u2028\ud800é漢"
        assert f"failed: {escaped}  path={escaped} model={escaped}" in lines[0]
        assert len(lines) > 2
        assert all(line.startswith("  ") for line in lines[1:])


def test_a_line_of_the_engine_process_is_one_line_to_its_parent() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "name": "seekd.test", "msg": "a\nERROR seekd forged\n"})
    assert log.EngineFormatter().format(record) == r"INFO seekd.test a\nERROR seekd forged"
