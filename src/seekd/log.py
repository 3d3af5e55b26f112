"""Logging set-up and the fields that every record of one request carries.

Records are constant messages with `extra` fields, one of them `action`. A request is one record, written when it has
ended, with what was noted on its way. On a terminal records read as lines, elsewhere as JSON. Names, paths and errors
come from strangers, so what does not print is escaped: nobody else begins a line or moves the cursor. Prompts,
completions and keys are never logged.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, TextIO

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
key_prefix: ContextVar[str | None] = ContextVar("key_prefix", default=None)
model_name: ContextVar[str | None] = ContextVar("model_name", default=None)
request_facts: ContextVar[dict[str, object] | None] = ContextVar("request_facts", default=None)
"""What the record of the request that is served now will say; None outside of one."""

_CONTEXT = {"request_id": request_id, "key_prefix": key_prefix, "model": model_name}
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_COLORS = {"debug": _DIM, "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and how.

    Attributes:
        level: least severe level that is shown.
        format: `auto` is lines on a terminal and JSON elsewhere.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "lines", "json"] = "auto"


def set_up(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Send every logger's records to `stream` (default: standard error). Replaces earlier set-ups."""
    stream = sys.stderr if stream is None else stream
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.addFilter(_add_context)
    has_colors = stream.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter(has_colors=has_colors))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("uvicorn.access", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def note(**facts: object) -> None:
    """Have the record of the request that is served now say this too; nothing happens outside of one."""
    noted = request_facts.get()
    if noted is not None:
        noted.update(facts)


def printable(text: str) -> str:
    """The text with escapes for what does not print: line ends, controls of terminals, marks of the reading order.

    They are those of JSON, so that JSON stays the same JSON.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)


def _add_context(record: logging.LogRecord) -> bool:
    for name, variable in _CONTEXT.items():
        value = variable.get()
        if value is not None and not hasattr(record, name):
            setattr(record, name, value)
    return True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name != "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return printable(json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str))


class LineFormatter(logging.Formatter):
    """One line a record, for people: time, level, message, fields; of a request what happened to it.

    Args:
        has_colors: whether the stream shows them.
    """

    def __init__(self, *, has_colors: bool = False) -> None:
        super().__init__()
        self._has_colors = has_colors

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        time = datetime.datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = record.levelname.lower()
        is_request = _fields(record).get("action") == "request"
        text = printable(_request_line(record)) if is_request else _text(self, record)
        severity = _severity_of_status(getattr(record, "status", None)) if is_request else level
        if not self._has_colors:
            return f"{time} {level:7} {text}"
        return f"{_DIM}{time}{_PLAIN} {_COLORS.get(severity, '')}{level:7}{_PLAIN} {text}"


class EngineFormatter(logging.Formatter):
    """What the engine process prints, for the process that started it: level, logger, message, fields.

    That process takes the level and the logger from the first two words, and the rest as a message of its own log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        return f"{record.levelname} {record.name} {_text(self, record)}"


def _request_line(record: logging.LogRecord) -> str:
    """Method, path and status; time; model; tokens, cached ones and time to the first; how it ended; id."""
    fields = _fields(record)
    parts = [f"{fields.get('method')} {fields.get('path')} {fields.get('status') or '-'}"]
    parts.append(_seconds(fields.get("ms")))
    parts.append(str(fields.get("model", "")))
    if "prompt_tokens" in fields:
        cached, first = fields.get("cached_tokens"), _seconds(fields.get("first_token_ms"))
        tokens = f"{fields['prompt_tokens']} + {fields.get('completion_tokens')} tokens, {cached} cached"
        parts.append(f"{tokens}, first after {first}" if first else tokens)
        parts.append(str(fields.get("outcome")))
    parts.append(str(fields.get("request_id", "")))
    return "  ".join(part for part in parts if part)


def _seconds(milliseconds: object) -> str:
    return f"{milliseconds / 1000:.2f} s" if isinstance(milliseconds, int | float) else ""


def _severity_of_status(status: object) -> str:
    if not isinstance(status, int) or status >= _SERVER_ERROR:
        return "error"
    return "warning" if status >= _CLIENT_ERROR else "info"


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    fields = " ".join(f"{name}={value}" for name, value in _fields(record).items() if name != "action")
    text = printable(record.getMessage().strip() + (f"  {fields}" if fields else ""))
    if not record.exc_info:
        return text
    # Indented, so that no line of an error's message passes for a record.
    lines = formatter.formatException(record.exc_info).split("\n")
    return "\n  ".join((text, *map(printable, lines)))
