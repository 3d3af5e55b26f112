"""Recorded exchanges as files, one each: what was asked, what was answered, and when its parts came.

A cassette is a folder; its files are JSON that people can read and compare:

    {"version": 1, "rules": ["key"], "request": {"path": …, "body": …},
     "response": {"status": 200, "content_type": …, "headers": {}, "parts": [[12, "data: …"], …], "is_whole": true}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seekd.errors import ConfigError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of an answer; `after_ms` counts from the request's arrival."""

    after_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request with its answer, scrubbed.

    Attributes:
        path: without the query.
        body: of the request; text where it is no JSON.
        rules: by which it was scrubbed.
        status: of the answer.
        content_type: of the answer; empty for none.
        headers: that clients act on, names in lower case.
        parts: of the answer, an event each where it is a stream.
        is_whole: the answer came to its end; otherwise its connection was cut.
        name: of the file; empty before it has one.
    """

    path: str
    body: Any
    rules: Sequence[str]
    status: int
    content_type: str
    headers: Mapping[str, str]
    parts: Sequence[Part]
    is_whole: bool = True
    name: str = ""


def save(exchange: Exchange, folder: Path) -> Path:
    """Write a file of its own, whole or not at all. Raises `ConfigError` where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(path.name[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]-*.json")]
        number = max(taken, default=0) + 1
        path = folder / f"{number:04}-{re.sub('[^a-z0-9]+', '-', exchange.path.lower()).strip('-')}.json"
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(_document(exchange), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"The cassette {folder} cannot be written: {error.strerror}.") from error
    return path


def _document(exchange: Exchange) -> dict[str, Any]:
    response = {name: asdict(exchange)[name] for name in ("status", "content_type", "headers", "is_whole")}
    parts = [[part.after_ms, part.text] for part in exchange.parts]
    request = {"path": exchange.path, "body": exchange.body}
    return {
        "version": VERSION,
        "rules": list(exchange.rules),
        "request": request,
        "response": {**response, "parts": parts},
    }


def load(folder: Path) -> list[Exchange]:
    """Every exchange of a folder, in the order in which they were recorded.

    Raises:
        ConfigError: there is none, or a file is no cassette's.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ConfigError(f"The cassette {folder} holds no recording; make one with `seekd record --to {folder}`.")
    return [_load(path) for path in paths]


def _load(path: Path) -> Exchange:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ConfigError(f"The recording {path} is of version {data['version']}; this seekd reads {VERSION}.")
        response = data["response"]
        return Exchange(
            path=data["request"]["path"],
            body=data["request"]["body"],
            rules=tuple(data["rules"]),
            status=int(response["status"]),
            content_type=response["content_type"],
            headers=response["headers"],
            parts=tuple(Part(after_ms=after_ms, text=text) for after_ms, text in response["parts"]),
            is_whole=response["is_whole"],
            name=path.name,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no recording: {type(error).__name__}: {error}.") from error
