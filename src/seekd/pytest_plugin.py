"""pytest fixtures for programs that use seekd; loaded by the `pytest11` entry point."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seekd.testing.server import ScriptedServer


@pytest.fixture
def seekd_server(tmp_path: Path) -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers that end with the test: `seekd_server(say("Hello"))`; see `seekd.testing.serve_script`."""
    # Imported here: pytest loads this module in every project, also where no test asks for the fixture.
    from seekd.testing.server import serve_script

    with contextlib.ExitStack() as stack:

        def start(script: Any, **options: Any) -> ScriptedServer:  # as serve_script takes them
            data_dir = options.pop("data_dir", tmp_path / "seekd")
            return stack.enter_context(serve_script(script, data_dir=data_dir, **options))

        yield start
