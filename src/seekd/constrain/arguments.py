"""In which of the two spellings of the call format a value of a schema may be written.

A parameter is either `string="true"`, raw text without quotes or escapes, or `string="false"`, JSON.
A schema that allows both strings and others offers both, and each spelling stands for one half of its values:

    {"type": ["string", "null"], "maxLength": 5}  ->  raw text of at most 5 characters  |  JSON of {"type": "null"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seekd.constrain import lark
from seekd.constrain.keywords import TYPES
from seekd.constrain.schema_check import resolve

MAX_DIVISIONS = 200
"""Most schemas looked at for one parameter; references can make a short schema unfold without end."""

_STRING_KEYWORDS = frozenset({"pattern", "minLength", "maxLength"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawText:
    """A set of raw texts.

    Attributes:
        literals: the only texts; None for all that the other attributes allow.
        pattern: an expression that must be found in the text.
        min_length: in characters.
        max_length: in characters; None for no limit.
    """

    literals: tuple[str, ...] | None = None
    pattern: str | None = None
    min_length: int = 0
    max_length: int | None = None

    @property
    def is_free(self) -> bool:
        """Whether every text is allowed."""
        return self == RawText()

    def terminal(self, *, forbidden: str) -> str:
        """The grammar of the texts in which `forbidden` does not occur, as an expression of terminals."""
        if self.literals is not None:
            return " | ".join(lark.literal(text) for text in self.literals if forbidden not in text)
        conditions = [lark.without(forbidden)]
        if self.pattern is not None:
            expression = lark.found_in_text(self.pattern)
            assert expression is not None, "the caller has looked"
            conditions.append(lark.regex(expression))
        if self.min_length or self.max_length is not None:
            limit = "" if self.max_length is None else self.max_length
            conditions.append(lark.regex(f"(?s:.{{{self.min_length},{limit}}})"))
        return " & ".join(conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """The two halves of a schema's values.

    Attributes:
        raw: the strings, as a union; empty when no string is allowed, or strings are left to `json`.
        json: the schema of what is written as JSON; None when nothing is.
    """

    raw: tuple[RawText, ...] = ()
    json: object | None = None


def spellings_of(schema: object, root: object) -> Spellings:
    """Divide a checked schema.

    Where strings cannot be told from the rest (`allOf`, a pattern with an anchor inside), all values are JSON, strings
    in quotes, which the parser of the calls reads equally.

    Args:
        schema: of one parameter.
        root: the document that references lead into.
    """
    return _Divider(root=root).divide(schema)


@dataclass(slots=True)
class _Divider:
    root: object
    references: set[str] = field(default_factory=set)
    num_left: int = MAX_DIVISIONS

    def divide(self, schema: object) -> Spellings:
        self.num_left -= 1
        if self.num_left < 0:
            return Spellings(json=schema)
        if not isinstance(schema, Mapping):
            return self.by_type({}) if schema is True else Spellings(json=schema)
        keywords = schema.keys() - {"$defs", "$def", "definitions"}
        if keywords == {"$ref"}:
            return self.reference(schema)
        for keyword in ("anyOf", "oneOf"):
            if keywords == {keyword}:
                return self.branches(keyword, schema[keyword])
        if keywords & {"enum", "const"}:
            return self.values(schema) if keywords <= {"enum", "const", "type"} else Spellings(json=schema)
        if keywords & {"$ref", "anyOf", "oneOf", "allOf"}:
            return Spellings(json=schema)
        return self.by_type(schema)

    def reference(self, schema: Mapping[str, object]) -> Spellings:
        reference = str(schema["$ref"])
        if reference in self.references:
            return Spellings(json=schema)
        self.references.add(reference)
        found = self.divide(resolve(self.root, reference))
        self.references.discard(reference)
        # What is left to JSON keeps its name, so that a recursive schema stays one rule of the grammar.
        return found if found.raw else Spellings(json=schema)

    def branches(self, keyword: str, branches: object) -> Spellings:
        assert isinstance(branches, list)
        divided = [self.divide(branch) for branch in branches]
        raw = tuple(text for part in divided for text in part.raw)
        if keyword == "oneOf" and len(raw) > 1:
            return Spellings(json={"oneOf": branches})
        rest = [part.json for part in divided if part.json is not None]
        if not raw:
            return Spellings(json={keyword: branches})
        return Spellings(raw=raw, json={keyword: rest} if len(rest) > 1 else (rest[0] if rest else None))

    def values(self, schema: Mapping[str, object]) -> Spellings:
        values = schema.get("enum", [schema.get("const")])
        assert isinstance(values, list)
        if "const" in schema and "enum" in schema:
            return Spellings(json=schema)
        types = _types(schema)
        texts = tuple(value for value in values if isinstance(value, str)) if "string" in types else ()
        others = [value for value in values if not isinstance(value, str)]
        kept = {"type": schema["type"]} if "type" in schema else {}
        return Spellings(
            raw=(RawText(literals=texts),) if texts else (),
            json={**kept, "enum": others} if others else None if texts else schema,
        )

    def by_type(self, schema: Mapping[str, object]) -> Spellings:
        types = _types(schema)
        pattern = schema.get("pattern")
        if "string" not in types or (isinstance(pattern, str) and lark.found_in_text(pattern) is None):
            return Spellings(json=schema)
        max_length, min_length = schema.get("maxLength"), schema.get("minLength", 0)
        raw = RawText(
            pattern=pattern if isinstance(pattern, str) else None,
            min_length=min_length if isinstance(min_length, int) else 0,
            max_length=max_length if isinstance(max_length, int) else None,
        )
        rest = {keyword: value for keyword, value in schema.items() if keyword not in _STRING_KEYWORDS}
        others = [name for name in types if name != "string"]
        return Spellings(raw=(raw,), json={**rest, "type": others} if others else None)


def _types(schema: Mapping[str, object]) -> list[str]:
    types = schema.get("type", list(TYPES))
    return [str(name) for name in types] if isinstance(types, list) else [str(types)]
