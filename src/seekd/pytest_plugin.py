"""pytest fixtures for programs that use seekd; loaded by the `pytest11` entry point.

Every process of pytest-xdist has servers of its own, on free ports and in folders of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seekd.testing.kit import Kit
    from seekd.testing.server import ScriptedServer

# What the fixtures need of seekd is imported in them: pytest loads this module in every project, also where no test
# asks for one.


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of the fixture `seekd`."""
    parser.addini("seekd_scope", "how long a server of the fixture seekd lives: session or test", default="session")


def pytest_configure(config: pytest.Config) -> None:
    """The marker of the fixture `seekd`."""
    config.addinivalue_line(
        "markers", "seekd(**options): options of the fixture seekd, those of seekd.testing.open_kit"
    )
    scope = config.getini("seekd_scope")
    if scope not in ("session", "test"):
        raise pytest.UsageError(f"seekd_scope is session or test, not {scope!r}")


@dataclass(slots=True)
class _Kits:
    # The servers of a session, one for each set of options.
    resources: contextlib.ExitStack
    kits: dict[str, Kit] = field(default_factory=dict)

    def get(self, options: dict[str, Any]) -> Kit:
        from seekd.testing.open_kit import open_kit

        key = repr(sorted(options.items()))
        if key not in self.kits:
            self.kits[key] = self.resources.enter_context(open_kit(**options))
        return self.kits[key]


@pytest.fixture(scope="session")
def _seekd_kits() -> Iterator[_Kits]:
    with contextlib.ExitStack() as stack:
        yield _Kits(stack)


@pytest.fixture
def seekd(request: pytest.FixtureRequest, _seekd_kits: _Kits) -> Iterator[Kit]:
    """A server of the DeepSeek API whose model says what the test tells it to; see `seekd.testing.Kit`.

    One server serves a session and forgets rules and requests between tests; `seekd_scope = test` starts one for each.
    `@pytest.mark.seekd(dialect="hosted")` and the like give it options. The test fails if a request found no rule.
    """
    from seekd.testing.open_kit import open_kit

    marker = request.node.get_closest_marker("seekd")
    options = {} if marker is None else dict(marker.kwargs)
    if request.config.getini("seekd_scope") == "test":
        with open_kit(**options) as kit:
            yield kit
            kit.verify()
        return
    kit = _seekd_kits.get(options)
    kit.reset()
    yield kit
    kit.verify()


@pytest.fixture
def seekd_server(tmp_path: Path) -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers that end with the test: `seekd_server(say("Hello"))`; see `seekd.testing.serve_script`."""
    from seekd.testing.server import serve_script

    with contextlib.ExitStack() as stack:

        def start(script: Any, **options: Any) -> ScriptedServer:  # as serve_script takes them
            data_dir = options.pop("data_dir", tmp_path / "seekd")
            return stack.enter_context(serve_script(script, data_dir=data_dir, **options))

        yield start
