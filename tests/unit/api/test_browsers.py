import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from seekd.api.answering import MODEL_HEADER
from seekd.api.browsers import for_browsers
from seekd.api.caching import CACHE_HEADER
from seekd.api.screening import MODERATION_HEADER, REDACTED_HEADER
from seekd.wire.context import CONTEXT_HEADER

PAGE = "https://app.example"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request, and knows no OPTIONS."""
    status = 405 if Request(scope).method == "OPTIONS" else 200
    await Response("answer", status_code=status)(scope, receive, send)


async def ask(method: str, origin: str, *, allowed: tuple[str, ...], **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(for_browsers(answer, allowed_origins=allowed))
    async with httpx.AsyncClient(transport=transport, base_url="http://seekd") as client:
        return await client.request(method, "/v1/models", headers={"origin": origin, **headers})


async def test_a_page_of_an_allowed_origin_may_ask_and_read() -> None:
    preflight = await ask("OPTIONS", PAGE, allowed=(PAGE,), **PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    response = await ask("POST", PAGE, allowed=(PAGE,))
    assert response.headers["access-control-allow-origin"] == PAGE
    readable = response.headers["access-control-expose-headers"]
    for name in ("x-request-id", CACHE_HEADER, CONTEXT_HEADER, MODEL_HEADER, MODERATION_HEADER, REDACTED_HEADER):
        assert name in readable  # what was done to a request is never silent, for a page neither
    assert "access-control-allow-credentials" not in response.headers


async def test_a_page_of_another_origin_may_not() -> None:
    assert (await ask("OPTIONS", "https://other.example", allowed=(PAGE,), **PREFLIGHT)).status_code == 400
    response = await ask("POST", "https://other.example", allowed=(PAGE,))
    assert "access-control-allow-origin" not in response.headers


async def test_without_allowed_origins_nothing_is_added() -> None:
    assert for_browsers(answer, allowed_origins=()) is answer
