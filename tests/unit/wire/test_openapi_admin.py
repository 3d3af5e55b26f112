import json

import jsonschema
import pytest

from seekd.accounts.types import NO_LIMITS, AccountView, KeyView
from seekd.wire.admin import account_json, key_json
from seekd.wire.openapi import openapi_document
from seekd.wire.openapi_admin import ADMIN_SCHEMAS
from seekd.wire.openapi_schemas import SCHEMAS

DOCUMENT = openapi_document(version="1")


def _check(value: object, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", ADMIN_SCHEMAS)
def test_each_is_a_json_schema_with_a_name_of_its_own(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(ADMIN_SCHEMAS[name])
    assert name not in SCHEMAS


def test_references_lead_to_other_schemas() -> None:
    for reference in json.dumps(dict(ADMIN_SCHEMAS)).split('"$ref": "')[1:]:
        assert reference.partition('"')[0].removeprefix("#/components/schemas/") in ADMIN_SCHEMAS


def test_accounts_and_keys_are_written_as_described() -> None:
    account = AccountView(id="a", name="n", created_at_ms=0, limits=NO_LIMITS)
    _check(account_json(account), "Account")
    key = KeyView(
        id="k",
        account_id="a",
        name="n",
        prefix="sk-1",
        tail="wxyz",
        created_at_ms=0,
        expires_at_ms=None,
        revoked_at_ms=None,
        limits=NO_LIMITS,
        allowed_models=None,
    )
    _check(key_json(key), "Key")


def test_bodies_are_described_by_their_own_types() -> None:
    _check({"name": "n", "limits": {"max_concurrency": 5}}, "NewAccountBody")
    with pytest.raises(jsonschema.ValidationError):
        _check({"amount": "5", "currency": "EUR"}, "CreditBody")
