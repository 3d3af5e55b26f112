"""What the files at the root promise of each other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_pre_commit_calls_the_tools_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    tools = {line.removesuffix(" .") for line in re.findall(r"^\t@(.+)$", rules, re.MULTILINE)}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE)) == tools
