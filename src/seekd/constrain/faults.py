"""Where in a schema the part is that cannot be enforced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llguidance import LLMatcher

from seekd.constrain.keywords import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMA_SINGLE
from seekd.constrain.reasons import in_plain_words
from seekd.constrain.references import document

MAX_LOOKS = 32
"""Most parts that are tried: each is compiled. Beyond it the place is that of the last one that was refused."""

_DEFINITIONS = frozenset({"$defs", "$def", "definitions"})
_IMPOSSIBLE = "Unsatisfiable schema"


def fault_of(schema: object) -> str | None:
    """Why JSON of a checked schema cannot be enforced, behind the place in it; None when it can."""
    message = _message_of(schema)
    return None if message is None else _Search(root=schema).fault(schema, message)


def error_of(schema: object) -> str | None:
    """Why JSON of a checked schema cannot be enforced; None when it can."""
    message = _message_of(schema)
    return None if message is None else in_plain_words(message)


def _message_of(schema: object) -> str | None:
    body = schema if isinstance(schema, Mapping) else {"allOf": [schema]}
    is_error, messages = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_json_schema(dict(body)))
    return messages[0].strip().splitlines()[0] if is_error else None


@dataclass(slots=True)
class _Search:
    root: object
    num_left: int = MAX_LOOKS

    def fault(self, schema: object, message: str) -> str:
        path: tuple[str, ...] = ()
        while found := self.refused_part(schema, message):
            inner, schema, message = found
            path += inner
        return ": ".join(filter(None, (".".join(path), in_plain_words(message))))

    def refused_part(self, schema: object, message: str) -> tuple[tuple[str, ...], object, str] | None:
        is_impossible = message.startswith(_IMPOSSIBLE)
        for path, part in _parts(schema, needed_only=is_impossible):
            self.num_left -= 1
            if self.num_left < 0:
                return None
            found = _message_of(document(part, self.root))
            # A part that no value fits is a fault only where it is needed.
            if found is not None and found.startswith(_IMPOSSIBLE) == is_impossible:
                return path, part, found
        return None


def _parts(schema: object, *, needed_only: bool) -> Iterator[tuple[tuple[str, ...], object]]:
    if not isinstance(schema, Mapping):
        return
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    for keyword, value in schema.items():
        if keyword in SCHEMA_MAPS - _DEFINITIONS and isinstance(value, Mapping):
            for name, part in value.items():
                if not needed_only or name in needed:
                    yield (keyword, name), part
        elif keyword in SCHEMA_LISTS and isinstance(value, list):
            for index, part in enumerate(value):
                yield (keyword, str(index)), part
        elif keyword in SCHEMA_SINGLE:
            yield (keyword,), value
