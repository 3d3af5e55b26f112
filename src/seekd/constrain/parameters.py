"""The parameters schema of a tool as lists of named parameters.

The call format writes one element a parameter, so the root of the schema becomes
elements instead of JSON: its properties, taken together over `$ref`, `allOf` and each branch of `anyOf`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from seekd.constrain.schema_check import Finding, resolve

MAX_ALTERNATIVES = 16
"""Most sets of parameters that the branches of one schema may multiply to."""
MAX_BRANCHES = 200
"""Most branches looked at; references can make a short schema unfold without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSet:
    """One way to give the arguments of a call.

    Attributes:
        schemas: name to schema, in the order in which they are written.
        required: names that must be there.
        needs_one: at least one parameter must be there.
        others: schema of parameters of any further name; None for no further ones.
        limits: names that a part of the schema lists, and the schema to which it holds every other one.
    """

    schemas: Mapping[str, object] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    needs_one: bool = False
    others: object | None = None
    limits: tuple[tuple[frozenset[str], object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolParameters:
    """The alternatives of one tool, at least one, and what of the schema's root they do not enforce."""

    alternatives: tuple[ParameterSet, ...]
    findings: tuple[Finding, ...] = ()


def parameters_of(schema: Mapping[str, object]) -> ToolParameters:
    """Read the root of a checked schema."""
    reader = _Reader(root=schema)
    alternatives = reader.read(schema, (), frozenset())
    if len(alternatives) > MAX_ALTERNATIVES or reader.num_left < 0:
        reader.report((), "its branches make too many different sets of parameters")
        alternatives = [reader.own_set(schema, ())]
    if not alternatives:
        reader.report((), "no parameters fit it")
        alternatives = [ParameterSet()]
    writable = tuple(reader.without_unwritable(reader.limited(alternative)) for alternative in alternatives)
    return ToolParameters(alternatives=writable, findings=tuple(dict.fromkeys(reader.findings)))


@dataclass(slots=True)
class _Reader:
    root: Mapping[str, object]
    findings: list[Finding] = field(default_factory=list)
    num_left: int = MAX_BRANCHES

    def report(self, path: tuple[str, ...], reason: str) -> None:
        self.findings.append(Finding(path=".".join(path), reason=reason))

    def read(self, schema: object, path: tuple[str, ...], references: frozenset[str]) -> list[ParameterSet]:
        """Every way to satisfy `schema`; the product of the ways to satisfy each of its keywords."""
        self.num_left -= 1
        if schema is False or (isinstance(schema, Mapping) and not _allows_objects(schema)):
            return []
        if self.num_left < 0 or not isinstance(schema, Mapping):
            return [ParameterSet()]
        factors: list[list[ParameterSet]] = [[self.own_set(schema, path)]]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in references:
            factors.append(self.read(resolve(self.root, reference), (*path, "$ref"), references | {reference}))
        for index, branch in enumerate(_branches(schema, "allOf")):
            factors.append(self.read(branch, (*path, "allOf", str(index)), references))
        for keyword in ("anyOf", "oneOf"):
            branches = _branches(schema, keyword)
            ways = [
                way
                for index, branch in enumerate(branches)
                for way in self.read(branch, (*path, keyword, str(index)), references)
            ]
            if keyword == "oneOf" and len(ways) > 1:
                self.report((*path, keyword), "that only one branch holds is not enforced for parameters")
            if branches:
                factors.append(ways[: MAX_ALTERNATIVES + 1])
        product = itertools.islice(itertools.product(*factors), MAX_ALTERNATIVES + 1)
        return [_merged(ways) for ways in product]

    def own_set(self, schema: Mapping[str, object], path: tuple[str, ...]) -> ParameterSet:
        """What the keywords of this level say themselves."""
        for keyword in ("enum", "const", "patternProperties"):
            if keyword in schema:
                self.report((*path, keyword), "it is not enforced for the parameters as a whole")
        properties = schema.get("properties")
        properties = dict(properties) if isinstance(properties, Mapping) else {}
        names = schema.get("required")
        required = list(names) if isinstance(names, list) else []
        needs_one = "minProperties" in schema  # more than one the check has dropped
        others = schema.get("additionalProperties", True if needs_one else None)
        for name in required:  # a name that only `required` has: what it may be, `additionalProperties` says
            properties.setdefault(name, True if others is None else others)
        maximum = schema.get("maxProperties")
        if isinstance(maximum, int) and maximum < len(properties):
            self.report((*path, "maxProperties"), "it is not enforced for parameters")
        is_limit = "additionalProperties" in schema and "patternProperties" not in schema
        return ParameterSet(
            schemas=properties,
            required=frozenset(required),
            needs_one=needs_one,
            limits=((frozenset(properties), others),) if is_limit else (),
            # Beside named parameters further ones are allowed by most schemas and meant by few: they are left out.
            others=None if properties or others in (None, False) else others,
        )

    def limited(self, parameters: ParameterSet) -> ParameterSet:
        """Hold each parameter to what the parts of the schema that do not list it say of others."""
        schemas = dict(parameters.schemas)
        for names, others in parameters.limits:
            for name in schemas.keys() - names:
                if others is not False or name not in parameters.required:
                    schemas[name] = _both(schemas[name], others)
                else:  # nothing fits; the parameter is more likely meant than its absence
                    self.report(("properties", name), "it is required, and forbidden by additionalProperties elsewhere")
        return replace(parameters, schemas=schemas)

    def without_unwritable(self, parameters: ParameterSet) -> ParameterSet:
        """Leave out parameters that can never be given, or whose name the call format cannot carry."""
        kept = {name: schema for name, schema in parameters.schemas.items() if is_writable_name(name)}
        for name in parameters.schemas.keys() - kept.keys():
            self.report(("properties", name), "the name cannot be written in the call format")
        kept = {name: schema for name, schema in kept.items() if schema is not False or name in parameters.required}
        if parameters.needs_one and not kept and parameters.others is None:
            self.report(("minProperties",), "no parameter can be given")
        return replace(parameters, schemas=kept, required=parameters.required & kept.keys())


def is_writable_name(name: str) -> bool:
    """Whether the parser of the calls reads this parameter name as it is written: it ends a name at a space."""
    return bool(name) and " " not in name and "｜DSML｜" not in name


def written_name(name: str) -> str:
    """The name as it stands in the element: the parser copies it into JSON as it is, so it is escaped already."""
    return json.dumps(name, ensure_ascii=False)[1:-1]


def _branches(schema: Mapping[str, object], keyword: str) -> list[object]:
    branches = schema.get(keyword)
    return branches if isinstance(branches, list) else []


def _allows_objects(schema: Mapping[str, object]) -> bool:
    types = schema.get("type", "object")
    return "object" in types if isinstance(types, list) else types == "object"


def _both(one: object, other: object) -> object:
    if one is False or other is False:
        return False
    return other if one is True else one if other is True else {"allOf": [one, other]}


def _merged(ways: tuple[ParameterSet, ...]) -> ParameterSet:
    schemas: dict[str, object] = {}
    for way in ways:
        for name, schema in way.schemas.items():
            schemas[name] = _both(schemas.get(name, True), schema)
    others = [way.others for way in ways if way.others is not None]
    return ParameterSet(
        schemas=schemas,
        required=frozenset().union(*(way.required for way in ways)),
        needs_one=any(way.needs_one for way in ways),
        others=others[0] if others and not schemas else None,
        limits=tuple(limit for way in ways for limit in way.limits),
    )
