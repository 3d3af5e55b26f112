import json

import jsonschema
import pytest

from seekd.wire.openapi_schemas import SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_references_lead_to_other_schemas() -> None:
    for reference in json.dumps(dict(SCHEMAS)).split('"$ref": "')[1:]:
        assert reference.partition('"')[0].removeprefix("#/components/schemas/") in SCHEMAS
