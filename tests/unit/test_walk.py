"""A chat's and a dollar's way through the code does not grow beyond what the map says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_ROW = re.compile(r"^\| (in|out|a dollar) \| (\d+) \| (\d+) \| (\d+) \|", re.MULTILINE)


def _counts(text: str) -> dict[str, tuple[int, ...]]:
    """Of each way its functions, files and forms."""
    return {way: tuple(int(count) for count in counts) for way, *counts in _ROW.findall(text)}


@pytest.fixture(scope="module")
def walked() -> str:
    script = ROOT / "scripts" / "walk.py"
    return subprocess.run([sys.executable, script, "--show"], check=True, capture_output=True, text=True).stdout


def test_no_way_is_longer_than_the_map_says(walked: str) -> None:
    counted = _counts(walked)
    written = _counts((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert counted.keys() == written.keys() == {"in", "out", "a dollar"}
    longer = {
        way: (counted[way], written[way])
        for way in counted
        if any(now > before for now, before in zip(counted[way], written[way], strict=True))
    }
    assert not longer, "shorten the way (`scripts/walk.py --show`), or say in docs/architecture.md why it is longer"


@pytest.mark.parametrize(
    "place",
    [
        "wire/chat.py: parse_chat",
        "service/opening.py: GenerationService.open",
        "service/generation.py: Generation._take",
        "accounts/transaction.py: run_batch",  # in the books' own thread
        "accounts/operations.py: Settle.apply",
    ],
)
def test_the_ways_are_followed_from_end_to_end(walked: str, place: str) -> None:
    assert f"  {place}\n" in walked
