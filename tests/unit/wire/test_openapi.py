import pytest

from seekd.wire.openapi import OPERATIONS, openapi_body, openapi_document
from seekd.wire.openapi_operation import Operation

DOCUMENT = openapi_document(version="1.2")


def test_the_document_says_its_version_and_whose_it_is() -> None:
    assert DOCUMENT["info"]["version"] == "1.2"
    assert "independent of DeepSeek" in DOCUMENT["info"]["description"]
    assert openapi_body(version="1.2").startswith(b'{"openapi":"3.1.0"')


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_is_described_whole(operation: Operation) -> None:
    path = DOCUMENT["paths"][operation.path]
    described = path[operation.method]
    assert [server["url"] for server in path["servers"]] == list(operation.bases)
    assert ("requestBody" in described) is (operation.request is not None)
    assert set(described["responses"]) == {"200", *map(str, operation.refusals)}
    expected: dict[str | None, object] = {"key": None, None: [], "admin_token": [{"admin_token": []}]}
    assert described.get("security") == expected[operation.security]
    assert len(described.get("parameters", [])) == operation.path.count("{") + len(operation.query)


def test_operations_have_names_of_their_own() -> None:
    names = [
        item[method]["operationId"] for item in DOCUMENT["paths"].values() for method in item if method != "servers"
    ]
    assert len(set(names)) == len(names) == len(OPERATIONS)
