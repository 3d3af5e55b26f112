"""JSON mode, schemas and expressions as grammar.

The root of a JSON answer is always an object: the answer's parser reads its text
as JSON only from the first `{` on, and takes a `</think>` out of any other text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from seekd.constrain import lark
from seekd.constrain.costs import MAX_EXPRESSION_CHARS, MAX_REPETITIONS, num_repetitions
from seekd.constrain.faults import fault_of
from seekd.constrain.schema_check import check_schema, resolve
from seekd.errors import InvalidParameter

THINK_END = "</think>"


def any_object() -> str:
    """A rule body for one JSON object of any content."""
    return lark.json_value({"type": "object"})


def schema_object(schema_text: str) -> str:
    """A rule body for JSON of a schema whose root is an object.

    Raises:
        InvalidParameter: the schema, or a part of it, cannot be enforced.
    """
    return lark.json_value(_read(schema_text))


def refuse_faulty(schema_text: str) -> None:
    """Say where the fault of a schema is that could not be compiled, if it has one by itself.

    Raises:
        InvalidParameter: it has.
    """
    if fault := fault_of(_read(schema_text)):
        raise InvalidParameter(f"The response schema cannot be enforced: {fault}.")


def _read(schema_text: str) -> dict[str, object]:
    try:
        schema = json.loads(schema_text)
    except ValueError as error:
        raise InvalidParameter("The response schema is not valid JSON.") from error
    checked = check_schema(schema, name="The response schema")
    if checked.findings:
        reasons = "; ".join(map(str, checked.findings[:5]))
        raise InvalidParameter(f"The response schema cannot be enforced: {reasons}.")
    return _object_at_root(checked.schema)


def expression(pattern: str) -> str:
    """A terminal for a text that the whole expression matches.

    The parser of the answer drops leading newlines and any `</think>`, so neither may occur.

    Raises:
        InvalidParameter: the expression is too long, or has an anchor inside.
    """
    if len(pattern) > MAX_EXPRESSION_CHARS:
        raise InvalidParameter(f"The regular expression is too long: at most {MAX_EXPRESSION_CHARS} characters.")
    if num_repetitions(pattern) > MAX_REPETITIONS:
        raise InvalidParameter(f"The regular expression repeats a piece more than {MAX_REPETITIONS} times.")
    whole = lark.whole_text(pattern)
    if whole is None:
        raise InvalidParameter("The regular expression cannot be enforced: it has a ^ or $ inside.")
    return f"{lark.regex(whole)} & ~/\\n(?s:.*)/ & {lark.without(THINK_END)}"


def _object_at_root(schema: dict[str, object]) -> dict[str, object]:
    """Narrow the schema to objects, which its caller may have left unsaid."""
    if _allows_only_objects(schema, schema, frozenset()):
        return schema
    types = schema.get("type", "object")
    if types != "object" and not (isinstance(types, list) and "object" in types):
        raise InvalidParameter("The root of the response schema must be an object.")
    return {**schema, "type": "object"}


def _allows_only_objects(schema: object, root: object, seen: frozenset[str]) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") in ("object", ["object"]):
        return True
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        return _allows_only_objects(resolve(root, reference), root, seen | {reference})
    for keyword, quantifier in (("anyOf", all), ("oneOf", all), ("allOf", any)):
        branches = schema.get(keyword)
        if isinstance(branches, list):
            return quantifier(_allows_only_objects(branch, root, seen) for branch in branches)
    return False
