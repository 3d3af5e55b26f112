"""A real browser for the pages: Chromium, which must be installed, driven through Playwright's library.

Apart from the other tests, since Playwright's synchronous interface keeps an event loop running in the main thread:
`make test-ui`. Every page is watched. An error in its console, which a breach of its content security policy is too,
fails the test, and so does a request to another server.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from seekd.testing import ScriptedServer

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_LIMIT_MS = 20_000
SCREENSHOTS = "UI_SCREENSHOTS"
"""Names a folder that pictures of the views are written to, for people to look at."""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("in a browser (Debian, Ubuntu: apt-get install chromium)")
    expect.set_options(timeout=WAIT_LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(WAIT_LIMIT_MS)
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[OpenPage]:
    """Open a page of a server: `open_page(server)`. What must not happen on any page is checked at the end."""
    wrong: list[str] = []

    def opened(server: ScriptedServer, path: str = "/", *, allowed: str = "") -> Page:
        def complain(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not (allowed and allowed in message.text):
                wrong.append(f"console: {message.text}")

        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: wrong.append(f"page: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((server.url, "blob:", "data:"))
                else wrong.append(f"request to {request.url}")
            ),
        )
        page.goto(server.url + path)
        return page

    yield opened
    assert wrong == []


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Write a picture of a page where pictures are asked for: `picture(page, "chat")`."""

    def write(page: Page, name: str) -> None:
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return write
