"""A package with extensions, as pip would install it: modules and the metadata that names their entry points."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, module: str, code: str, entry_points: Mapping[str, str]
) -> None:
    """Install one module for the rest of a test.

    Args:
        folder: for the package.
        module: its name, unique among the tests.
        code: of the module.
        entry_points: group to `name = module:callable`.
    """
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    lines = "".join(f"[{group}]\n{line}\n" for group, line in entry_points.items())
    (metadata / "entry_points.txt").write_text(lines, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)


def example(module: str) -> str:
    """The code of an example of the page about extensions."""
    page = Path(__file__).parent.parent / "docs" / "how-to" / "extend.md"
    return page.read_text(encoding="utf-8").split(f"```python\n# {module}.py\n")[1].split("```")[0]
