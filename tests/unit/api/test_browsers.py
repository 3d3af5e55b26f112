from collections.abc import Mapping
from types import MappingProxyType

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seekd.api.answering import MODEL_HEADER
from seekd.api.browsers import for_browsers
from seekd.api.caching import CACHE_HEADER
from seekd.api.edge import Edge
from seekd.api.screening import MODERATION_HEADER, REDACTED_HEADER
from seekd.wire.context import CONTEXT_HEADER
from seekd.wire.openapi import OPERATIONS

PAGE = "https://app.example"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
NOTHING: Mapping[str, str] = MappingProxyType({})
ROUTES = [
    (operation.method.upper(), f"{base.rstrip('/')}{operation.path}", operation.security)
    for operation in OPERATIONS
    for base in operation.bases
]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request, and knows no OPTIONS."""
    status = 405 if Request(scope).method == "OPTIONS" else 200
    await Response("answer", status_code=status)(scope, receive, send)


async def ask(
    method: str,
    origin: str,
    *,
    allowed: tuple[str, ...],
    path: str = "/v1/models",
    app: ASGIApp = answer,
    headers: Mapping[str, str] = NOTHING,
) -> httpx.Response:
    transport = httpx.ASGITransport(for_browsers(app, allowed_origins=allowed))
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, f"http://seekd{path}", headers={"origin": origin, **headers})


async def test_a_page_of_an_allowed_origin_may_ask_and_read() -> None:
    preflight = await ask("OPTIONS", PAGE, allowed=(PAGE,), headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    response = await ask("POST", PAGE, allowed=(PAGE,))
    assert response.headers["access-control-allow-origin"] == PAGE
    readable = response.headers["access-control-expose-headers"]
    for name in ("x-request-id", CACHE_HEADER, CONTEXT_HEADER, MODEL_HEADER, MODERATION_HEADER, REDACTED_HEADER):
        assert name in readable  # what was done to a request is never silent, for a page neither
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_method_of_a_public_route_may_be_asked_for(method: str) -> None:
    asked = {**PREFLIGHT, "access-control-request-method": method}
    assert (await ask("OPTIONS", PAGE, allowed=(PAGE,), headers=asked)).status_code == 200


@pytest.mark.parametrize("page", ["http://localhost:3000", "http://127.0.0.1:3000"])
async def test_localhost_and_its_address_are_one(page: str) -> None:
    allowed = ("http://localhost:3000",)
    assert (await ask("POST", page, allowed=allowed)).headers["access-control-allow-origin"] == page
    other_port = await ask("POST", page.replace("3000", "3001"), allowed=allowed)
    assert "access-control-allow-origin" not in other_port.headers


async def test_a_page_of_another_origin_may_not() -> None:
    assert (await ask("OPTIONS", "https://other.example", allowed=(PAGE,), headers=PREFLIGHT)).status_code == 400
    response = await ask("POST", "https://other.example", allowed=(PAGE,))
    assert "access-control-allow-origin" not in response.headers


async def test_without_allowed_origins_nothing_is_added() -> None:
    assert for_browsers(answer, allowed_origins=()) is answer


@pytest.mark.parametrize("origin", [PAGE, "null", "file://"])
async def test_where_every_origin_is_allowed_its_name_is_echoed(origin: str) -> None:
    for method in ("OPTIONS", "POST"):
        response = await ask(method, origin, allowed=("*",), headers=PREFLIGHT)
        assert response.headers["access-control-allow-origin"] == origin


async def test_a_page_that_was_opened_as_a_file_is_null() -> None:
    assert (await ask("POST", "null", allowed=("null",))).headers["access-control-allow-origin"] == "null"
    assert "access-control-allow-origin" not in (await ask("POST", "null", allowed=(PAGE,))).headers


async def test_a_page_of_the_internet_may_ask_a_server_of_the_local_network() -> None:
    asked = {**PREFLIGHT, "access-control-request-private-network": "true"}
    preflight = await ask("OPTIONS", PAGE, allowed=(PAGE,), headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-private-network"]) == (200, "true")


@pytest.mark.parametrize(("method", "path", "security"), ROUTES)
async def test_pages_may_ask_each_route_but_those_of_the_admin_token(
    method: str, path: str, security: str | None
) -> None:
    asked = {**PREFLIGHT, "access-control-request-method": method}
    preflight = await ask("OPTIONS", PAGE, path=path, allowed=(PAGE,), headers=asked)
    response = await ask(method, PAGE, path=path, allowed=(PAGE,))
    is_public = security != "admin_token"
    assert preflight.is_success == is_public
    for answered in (preflight, response):
        assert ("access-control-allow-origin" in answered.headers) == is_public


@pytest.mark.parametrize("path", ["/", "/ui/x.js", "/console", "/console/api/keys", "/admin/keys", "//v1/models"])
async def test_what_is_for_people_and_the_admin_never_has_cors(path: str) -> None:
    for method in ("OPTIONS", "GET"):
        response = await ask(method, PAGE, path=path, allowed=("*",), headers=PREFLIGHT)
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_the_errors_of_the_outermost_layer_can_be_read_too() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    edge = Edge(broken, internal_error=b"", failed=lambda *_: answer)
    response = await ask("POST", PAGE, allowed=(PAGE,), app=edge)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (500, PAGE)
