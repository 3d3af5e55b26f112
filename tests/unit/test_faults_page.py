"""The page of faults and the tests that prove its rows are the same list."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "faults.md"


def test_every_fault_of_the_page_has_a_test_and_every_test_a_row() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    marked = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r'pytest\.mark\.fault\("([^"]+)"\)', file.read_text(encoding="utf-8"))
    }
    assert len(rows) == len(set(rows)), "a fault has two rows"
    assert set(rows) == marked
