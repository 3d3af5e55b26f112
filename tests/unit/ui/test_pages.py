"""How the pages are served."""

import gzip
import re

import httpx
import pytest
from starlette.applications import Starlette

from seekd.ui.pages import CONTENT_SECURITY_POLICY, PAGES, Pages

PAGES_SERVED = Pages()


async def ask(path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
    app = Starlette(routes=PAGES_SERVED.routes())
    app.router.redirect_slashes = False
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://seekd") as client:
        client.headers.clear()
        return await client.request(method, path, headers=headers)


async def addresses(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/ui/[^"]+)"', (await ask(page)).text)


@pytest.mark.parametrize("page", PAGES)
async def test_everything_that_a_page_names_is_there_and_kept_for_ever(page: str) -> None:
    assert await addresses(page)
    for address in await addresses(page):
        response = await ask(address)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_asked_for_again_and_sent_again_only_when_it_changed(page: str) -> None:
    first = await ask(page)
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    again = await ask(page, **{"if-none-match": f'W/"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert (await ask(page, **{"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("playground/main.js", "text/javascript; charset=utf-8"),
        ("vendor/katex/fonts/KaTeX_Main-Regular.woff2", "font/woff2"),
        ("vendor/manifest.json", "application/json"),
        ("icon.svg", "image/svg+xml"),
    ],
)
async def test_each_file_has_the_type_that_a_browser_wants(path: str, media_type: str) -> None:
    response = await ask(f"/ui/{PAGES_SERVED.digest}/{path}")
    assert response.headers["content-type"] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_nothing_inline_and_nothing_from_elsewhere_is_allowed() -> None:
    assert (await ask("/")).headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


async def test_a_file_is_sent_packed_where_that_is_understood_and_of_use() -> None:
    address = f"/ui/{PAGES_SERVED.digest}/vendor/marked.js"
    plain = await ask(address)
    assert "content-encoding" not in plain.headers
    packed = await ask(address, **{"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, mtime=0))
    font = f"/ui/{PAGES_SERVED.digest}/vendor/katex/fonts/KaTeX_Main-Regular.woff2"
    assert "content-encoding" not in (await ask(font, **{"accept-encoding": "gzip"})).headers


@pytest.mark.parametrize("path", ["nothing.js", "", "../pages.py", "..%2fpages.py", "playground"])
async def test_what_is_not_there_is_not_found(path: str) -> None:
    assert (await ask(f"/ui/{PAGES_SERVED.digest}/{path}")).status_code == 404


async def test_files_of_another_version_are_not_found() -> None:
    assert (await ask("/ui/0123456789abcdef/style.css")).status_code == 404


async def test_a_program_that_asks_the_root_for_json_is_told_what_this_is() -> None:
    response = await ask("/", accept="application/json")
    assert response.json()["docs"] == "/docs"
    browser = await ask("/", accept="text/html,application/xhtml+xml,application/json;q=0.9")
    assert browser.headers["content-type"].startswith("text/html")


async def test_a_page_answers_head_and_no_post() -> None:
    assert (await ask("/", method="HEAD")).status_code == 200
    assert (await ask("/", method="POST")).status_code == 405
