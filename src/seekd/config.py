"""One loader for all settings: flag > environment > TOML file > default.

A settings class is a frozen dataclass whose fields are frozen dataclasses, one per section; each package owns the class
of its section and gets only that. A field that is a mapping to such a class is a section of tables, `[models.NAME]`,
which only a file can have. A key `port` of section `server` is `[server] port` in the file,
`SEEKD_SERVER_PORT` in the environment, and whatever flag the command line maps to `server.port`.

Values are resolved once. An unknown key or a bad value raises `ConfigError` that names key, value and origin.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import msgspec

from seekd.errors import ConfigError

ENVIRONMENT_PREFIX = "SEEKD_"

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Part = TypeVar("Part", bound="DataclassInstance")

_FLAGS = {"log.level": "log-level", "model.source": "model"}
"""Flags that are not called like their key."""

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*$", re.IGNORECASE)


class ByteSize(int):
    """A number of bytes that prints and parses as people write it: 512MiB, 2GB, 0."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read `2GiB`, `500MB`, `1024` or a whole number.

        Raises:
            ValueError: the text is no size.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        match = _SIZE.match(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("expected a size such as 512MiB or 2GiB")
        number, unit, binary = match.groups()
        base = 1024 if binary else 1000
        return cls(int(float(number) * base ** "KMGT".index(unit.upper()) * base if unit else float(number)))

    def __str__(self) -> str:
        for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
            if self and self % 1024**power == 0:
                return f"{self // 1024**power}{unit}"
        return f"{int(self)}B"


def overlay(*parts: type, without: Collection[str] = ()) -> Callable[[type[T]], type[T]]:
    """A class decorator for a table that overrides settings: the keys of these classes are keys of the table too.

    In the table each is None by default, which leaves the value that it overrides; `overlaid` applies the others.

    Args:
        parts: dataclasses of settings.
        without: their keys that a table cannot override.
    """

    def extended(kind: type[T]) -> type[T]:
        own = typing.get_type_hints(kind)
        keys: list[tuple[str, Any, Any]] = [  # Any: a typing annotation, a default
            (name, hint | None, None)
            for part in parts
            for name, hint in typing.get_type_hints(part).items()
            if name not in own and name not in without
        ]
        namespace = {"__doc__": kind.__doc__, "__module__": kind.__module__}
        made: Any  # Any: a class that no type checker sees
        if issubclass(kind, msgspec.Struct):
            made = msgspec.defstruct(kind.__name__, keys, bases=(kind,), namespace=namespace, kw_only=True)
        else:
            made = dataclasses.make_dataclass(
                kind.__name__, keys, bases=(kind,), namespace=namespace, frozen=True, slots=True, kw_only=True
            )
        return typing.cast("type[T]", made)

    return extended


def overlaid(part: Part, table: object) -> Part:
    """The settings with the values that a table of an `overlay` has. Raises `ValueError` as the settings' own check."""
    given = {field.name: getattr(table, field.name, None) for field in dataclasses.fields(part)}
    return dataclasses.replace(part, **{name: value for name, value in given.items() if value is not None})


class Secret(str):
    """Text that prints as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from, as the user knows it: `flag --port`, `environment SEEKD_SERVER_PORT`, `seekd.toml`."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[T]):
    """Resolved settings, and for each `section.key` that is not a default, its origin."""

    settings: T
    origins: Mapping[str, Origin]


def load(
    schema: type[T],
    *,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded[T]:
    """Resolve settings.

    Args:
        schema: dataclass of section dataclasses.
        flags: values by `section.key`; None values count as not given.
        environment: defaults to the process's own.
        file: TOML file; None reads none.

    Raises:
        ConfigError: unreadable file, unknown section or key, or a value of the wrong type.
    """
    environment = os.environ if environment is None else environment
    sections = typing.get_type_hints(schema)
    given: dict[str, tuple[object, Origin]] = {}
    if file is not None:
        given.update(_from_file(file, sections))
    given.update(_from_environment(environment, sections))
    for name, value in (flags or {}).items():
        if value is not None:
            given[name] = (
                value,
                Origin(text=f"flag --{_FLAGS.get(name) or name.rpartition('.')[2].replace('_', '-')}"),
            )
    values: dict[str, dict[str, object]] = {section: {} for section in sections}
    tables: dict[str, dict[str, dict[str, object]]] = {
        section: {} for section in sections if _row_class(sections[section])
    }
    for name, (value, origin) in given.items():
        section, _, key = name.partition(".")
        if section in tables:
            row, _, key = key.rpartition(".")
            kind = typing.get_type_hints(_row_class(sections[section]))[key]
            tables[section].setdefault(row, {})[key] = _convert(value, kind, name, origin)
        else:
            values[section][key] = _convert(value, typing.get_type_hints(sections[section])[key], name, origin)
    parts: dict[str, Any] = {}  # Any: each section is of its own class
    for section, kind in sections.items():
        row_class = _row_class(kind)
        if row_class is None:
            parts[section] = _made(kind, section, values[section])
        else:
            rows = tables[section].items()
            parts[section] = {row: _made(row_class, f"{section}.{row}", keys) for row, keys in rows}
    return Loaded(settings=schema(**parts), origins={name: origin for name, (_, origin) in given.items()})


def describe(loaded: Loaded[Any]) -> list[tuple[str, object, str]]:
    """Every setting as `(section.key, value, origin)`; a secret is stars."""
    rows: list[tuple[str, object, str]] = []
    for section in dataclasses.fields(loaded.settings):
        part = getattr(loaded.settings, section.name)
        parts = {f"{section.name}.{row}": table for row, table in part.items()} if isinstance(part, Mapping) else None
        for place, described in ({section.name: part} if parts is None else parts).items():
            for field in dataclasses.fields(described):
                name, value = f"{place}.{field.name}", getattr(described, field.name)
                origin = loaded.origins.get(name)
                shown = "***" if isinstance(value, Secret) and value else value
                rows.append((name, shown, origin.text if origin else "default"))
    return rows


def _made(kind: Any, place: str, values: Mapping[str, object]) -> Any:  # Any: a section's class and its instance
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and field.name not in values
    ]
    if missing:
        raise ConfigError(f"[{place}] needs a value for {missing[0]}.")
    try:
        return kind(**values)
    except ValueError as error:  # the section's own check in __post_init__
        raise ConfigError(str(error)) from error


def _row_class(section: Any) -> Any:  # Any: a typing annotation; the class of its tables, None for a plain section
    if typing.get_origin(section) is not Mapping:
        return None
    return typing.get_args(section)[1]


def _from_file(file: Path, sections: Mapping[str, type]) -> dict[str, tuple[object, Origin]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"The configuration file {file} does not exist.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration file {file} cannot be read: {error}") from error
    origin = Origin(text=str(file))
    found: dict[str, tuple[object, Origin]] = {}
    for section, table in document.items():
        if section not in sections or not isinstance(table, dict):
            raise ConfigError(f"{file}: [{section}] is not a section{suggest(section, sections)}")
        row_class = _row_class(sections[section])
        if row_class is None:
            found.update(_from_table(table, section, sections[section], origin))
            continue
        for row, keys in table.items():
            if not isinstance(keys, dict):
                raise ConfigError(f"{file}: {section}.{row} is not a table; write [{section}.{row!r}].")
            found.update(_from_table(keys, f"{section}.{row}", row_class, origin))
    return found


def _from_table(
    table: Mapping[str, object], place: str, kind: type, origin: Origin
) -> dict[str, tuple[object, Origin]]:
    keys = typing.get_type_hints(kind)
    for key in table:
        if key not in keys:
            raise ConfigError(f"{origin.text}: {place}.{key} is not a setting{suggest(key, keys)}")
    return {f"{place}.{key}": (value, origin) for key, value in table.items()}


def _from_environment(environment: Mapping[str, str], sections: Mapping[str, type]) -> dict[str, tuple[object, Origin]]:
    names = {
        f"{ENVIRONMENT_PREFIX}{section}_{key}".upper(): f"{section}.{key}"
        for section, part in sections.items()
        if _row_class(part) is None
        for key in typing.get_type_hints(part)
    }
    own_parts = [name.removeprefix(ENVIRONMENT_PREFIX) for name in names]
    found: dict[str, tuple[object, Origin]] = {}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        if variable not in names:
            # Without the prefix, which would make any two names alike.
            close = suggest(variable.removeprefix(ENVIRONMENT_PREFIX), own_parts, prefix=ENVIRONMENT_PREFIX)
            raise ConfigError(f"environment: {variable} is not a setting{close}")
        found[names[variable]] = (value, Origin(text=f"environment {variable}"))
    return found


def _convert(value: object, kind: Any, name: str, origin: Origin) -> object:  # Any: a typing annotation
    wanted = _without_none(kind)
    try:
        if wanted is ByteSize:
            return ByteSize.parse(value)
        if wanted is Path:
            return Path(str(value)).expanduser()
        if wanted is Secret:
            return Secret(value)
        if isinstance(value, str) and typing.get_origin(wanted) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    except (msgspec.ValidationError, ValueError) as error:
        shown = "***" if wanted is Secret else repr(value)
        reason = str(error)[:1].lower() + str(error)[1:]
        if typing.get_origin(wanted) is typing.Literal:
            reason = f"expected one of {', '.join(map(str, typing.get_args(wanted)))}"
        raise ConfigError(f"{origin.text}: {name} = {shown} is not valid: {reason}.") from error


def _without_none(kind: Any) -> Any:  # Any: a typing annotation
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return inner[0] if len(inner) == 1 else kind
    return kind


def suggest(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of a sentence about an unknown word: `; did you mean X?` where a known one is close, else a full stop.

    Args:
        word: what was written.
        known: the words that are taken; as `word`, without the prefix.
        prefix: written before the suggestion.
    """
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "."
