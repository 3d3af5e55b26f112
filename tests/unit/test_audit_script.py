"""What is installed has no known vulnerability and no foreign licence, and the checks would find one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> Any:  # a script, no package
    spec = importlib.util.spec_from_file_location("audit_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_nothing_vulnerable_can_be_installed_and_the_licences_are_listed() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wanted", "pin", "num_problems"),
    [("x>=2", "2.1", 0), ("x==2", "2", 0), ("x>=1", "2", 1), ("x", "2", 1), ("x>=2", "1.9", 1), ("x<3", "1", 2)],
)
def test_a_vulnerable_version_is_found_where_it_is_allowed(
    audit: Any, wanted: str, pin: str, num_problems: int
) -> None:
    advisories = [{"package": "X", "fixed": "2", "id": "CVE-1", "what": "bad"}]
    problems = audit.vulnerable(advisories, {"x": Requirement(wanted)}, {"x": Version(pin)})
    assert len(problems) == num_problems
    assert all("CVE-1" in problem for problem in problems)


def test_an_advisory_without_a_fix_needs_a_reason(audit: Any) -> None:
    advisory = {"package": "x", "id": "CVE-1", "what": "bad"}
    assert audit.vulnerable([advisory], {}, {}) == ["x: CVE-1 has no fix and no reason why it is accepted"]
    assert audit.vulnerable([{**advisory, "accepted": "unused"}], {}, {}) == []


@pytest.mark.parametrize(("licence", "is_foreign"), [("MIT", False), ("MIT OR GPL-3.0", True), ("unknown", True)])
def test_a_licence_that_nobody_has_looked_at_is_named(audit: Any, licence: str, is_foreign: bool) -> None:
    package = audit.Package(name="x", version="1", licence=licence, homepage="")
    assert bool(audit.foreign_licences([package])) == is_foreign


def test_the_bill_of_materials_names_every_package_once(audit: Any, tmp_path: Path) -> None:
    file = tmp_path / "bom.json"
    subprocess.run([sys.executable, SCRIPT, "--sbom", file], check=True, timeout=120)
    bill = json.loads(file.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references)) == len(audit.installed())
    assert all(component["licenses"][0]["expression"] for component in bill["components"])
    names = {component["name"] for component in bill["components"]}
    assert {"starlette", "jinja2", "psycopg"} <= names
    assert not names & {"pytest", "mypy", "schemathesis", "seekd"}
