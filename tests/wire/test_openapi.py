"""The OpenAPI document says what the server has, and the server answers as the document says."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import httpx
import jsonschema
import pytest
from starlette.routing import Route

from seekd.api.admin import AdminApi
from seekd.api.routes import Api
from seekd.engine.scripted import say
from seekd.testing.server import serve_script
from seekd.wire.openapi import OPERATIONS, openapi_document
from tests.wire.driving import HELLO, Json

DOCUMENT = openapi_document(version="1")
CHAT: Json = {"model": "deepseek-chat", "messages": HELLO}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serve_script(say("Hello"), data_dir=tmp_path_factory.mktemp("openapi")) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        yield client


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def _check(value: object, name: str) -> None:
    jsonschema.validate(value, _schema(name), cls=jsonschema.Draft202012Validator)


def test_every_route_is_in_the_document_and_the_other_way_round() -> None:
    none = cast("Any", None)  # only the table of routes is looked at
    admin = AdminApi(**{field.name: none for field in fields(AdminApi)})
    api = Api(**{**{field.name: none for field in fields(Api)}, "admin": admin, "pages": ()})
    served = {
        (method.lower(), route.path.replace(":path}", "}"))
        for route in api.as_asgi().routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    documented = {
        (operation.method, base.rstrip("/") + operation.path) for operation in OPERATIONS for base in operation.bases
    }
    assert documented == served


def test_the_document_is_served_as_data_and_as_a_page(http: httpx.Client) -> None:
    served = http.get("/openapi.json").json()
    assert served["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))
    page = http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for operation in OPERATIONS:
        assert operation.path in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in json.dumps(DOCUMENT).split('"$ref": "')[1:]:
        assert reference.split('"')[0].removeprefix("#/components/schemas/") in schemas


@pytest.mark.parametrize(
    ("method", "path", "body", "request_schema", "response_schema"),
    [
        ("POST", "/chat/completions", CHAT, "ChatRequest", "ChatCompletion"),
        ("POST", "/v1/chat/completions", {**CHAT, "model": "deepseek-reasoner"}, "ChatRequest", "ChatCompletion"),
        (
            "POST",
            "/beta/completions",
            {"model": "deepseek-chat", "prompt": "a", "suffix": "b"},
            "CompletionRequest",
            "TextCompletion",
        ),
        ("POST", "/anthropic/v1/messages", {**CHAT, "max_tokens": 50}, "MessagesRequest", "Message"),
        ("POST", "/anthropic/v1/messages/count_tokens", CHAT, "MessagesRequest", "MessageCount"),
        ("POST", "/responses", {"model": "deepseek-chat", "input": "Hi"}, "ResponsesRequest", "Response"),
        ("POST", "/tokenize", {"text": "a"}, "TokenizeRequest", "TokenCount"),
        ("GET", "/models", None, None, "ModelList"),
        ("GET", "/user/balance", None, None, "Balance"),
        ("GET", "/user/usage", None, None, "UsageReport"),
        ("GET", "/healthz", None, None, "Health"),
        ("GET", "/livez", None, None, "Health"),
    ],
)
def test_good_requests_and_answers_have_the_documented_shapes(
    http: httpx.Client, method: str, path: str, body: Json | None, request_schema: str | None, response_schema: str
) -> None:
    if request_schema is not None:
        _check(body, request_schema)
    response = http.request(method, path, json=body)
    assert response.status_code == 200, response.text
    _check(response.json(), response_schema)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/chat/completions", b"{", 400),
        ("POST", "/v1/completions", b"{}", 400),
        ("GET", "/models/nope", None, 404),
        ("GET", "/nope", None, 404),
        ("GET", "/chat/completions", None, 405),
    ],
)
def test_refusals_have_the_documented_shape(
    http: httpx.Client, method: str, path: str, content: bytes | None, status: int
) -> None:
    response = http.request(method, path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    _check(response.json(), "Error")


def test_a_body_of_another_type_is_refused_as_documented(http: httpx.Client) -> None:
    response = http.post("/chat/completions", content=b"x", headers={"content-type": "text/plain"})
    assert response.status_code == 415
    _check(response.json(), "Error")
