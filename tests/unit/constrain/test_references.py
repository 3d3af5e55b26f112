from __future__ import annotations

from seekd.constrain.references import document

ROOT = {"type": "object", "$defs": {"x": {"items": {"$ref": "#"}}}}


def test_a_part_without_references_is_a_document_as_it_is() -> None:
    for part in (True, {"type": "string"}, {"enum": [{"$ref": "#/$defs/x"}]}):
        assert document(part, ROOT) is part


def test_a_part_carries_what_its_references_lead_to() -> None:
    part = {"anyOf": [{"$ref": "#/$defs/x"}, {"properties": {"a": {"items": {"$ref": "#"}}}}, True]}
    assert document(part, ROOT) == {
        "anyOf": [{"$ref": "#/$defs/root/$defs/x"}, {"properties": {"a": {"items": {"$ref": "#/$defs/root"}}}}, True],
        "$defs": {"root": {"type": "object", "$defs": {"x": {"items": {"$ref": "#/$defs/root"}}}}},
    }
