"""`seekd config`: the settings in force, for people, for scripts and as a settings file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import typer

from seekd.cli.books import print_json
from seekd.config import ByteSize, Loaded, describe
from seekd.settings import Settings

SECRET = "***"  # noqa: S105 - what stands for one


def show_settings(loaded: Loaded[Settings], *, as_json: bool, as_toml: bool) -> None:
    """Print every setting with the place that it comes from."""
    if as_toml:
        typer.echo(to_toml(loaded), nl=False)
    elif as_json:
        print_json(
            [{"name": name, "value": _plain(value), "origin": origin} for name, value, origin in describe(loaded)]
        )
    else:
        for name, value, origin in describe(loaded):
            shown = str(value) if isinstance(value, ByteSize | Path) else repr(value)
            typer.echo(f"{name} = {shown}    ({origin})")


def to_toml(loaded: Loaded[Settings]) -> str:
    """The settings as a file that gives the same again; what is a default, or secret, is a comment."""
    sections: dict[str, list[str]] = {}
    for name, value, origin in describe(loaded):
        section, _, key = name.rpartition(".")
        head, dot, row = section.partition(".")
        place = f"{head}.{_quoted(row)}" if dot else head
        is_comment = origin == "default" or value is None or value == SECRET
        line = f"{key} =" if value is None else f"{key} = {_toml(_plain(value))}"
        sections.setdefault(place, []).append(f"# {line}" if is_comment else line)
    return "\n".join(f"[{place}]\n" + "\n".join(lines) + "\n" for place, lines in sections.items())


def _plain(value: object) -> Any:  # Any: JSON
    if isinstance(value, ByteSize | Path):
        return str(value)
    return msgspec.to_builtins(value, enc_hook=str)


def _toml(value: Any) -> str:  # Any: JSON without null at its top
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(key)} = {_toml(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    # A JSON string is a TOML string, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
