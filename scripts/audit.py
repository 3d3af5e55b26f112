"""Judge what seekd installs: known vulnerabilities, licences, and a list of it all.

    python scripts/audit.py                 check vulnerabilities, and write docs/reference/licences.md
    python scripts/audit.py --check         check both; status 1 if something is wrong or the page is out of date
    python scripts/audit.py --sbom FILE     write a bill of materials (CycloneDX 1.6, JSON)

Works without a network, on what is installed beside it: everything is read from packages' own metadata.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "licences.md"
EXTRAS = ("openvino", "otel", "postgres", "redis")
"""Of the optional packages those that a server may need in production."""

ALLOWED = frozenset(
    ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Zlib"]
)
EXCEPTIONS: Mapping[str, str] = {
    "psycopg": "used as it is, and only with PostgreSQL",
    "psycopg-binary": "used as it is, and only with PostgreSQL",
    "python-stdnum": "used as it is, as a library",
}
"""Packages under the LGPL, with the reason why that is no matter."""

_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "LGPL": "LGPL-2.1-or-later",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


@dataclass(frozen=True)
class Package:
    """An installed package; `licence` is an SPDX expression, as far as its metadata says one."""

    name: str
    version: str
    licence: str
    homepage: str


def main() -> int:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what is wrong")
    parser.add_argument("--sbom", type=Path, metavar="FILE", help="write a bill of materials and nothing else")
    arguments = parser.parse_args()
    packages = installed()
    if arguments.sbom:
        arguments.sbom.write_text(json.dumps(bill_of_materials(packages), indent=1) + "\n", encoding="utf-8")
        return 0
    advisories = tomllib.loads((ROOT / "scripts" / "advisories.toml").read_text(encoding="utf-8"))["advisory"]
    problems = [*vulnerable(advisories, declared(), pinned()), *foreign_licences(packages)]
    page = licences_page(packages, advisories)
    if arguments.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
            problems.append("docs/reference/licences.md is out of date: run python scripts/audit.py")
    else:
        PAGE.write_text(page, encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def installed() -> list[Package]:
    """What an installation of seekd brings, itself left out, by name.

    Begins with what `pyproject.toml` says: the installed seekd says what it said when it was installed.
    """
    found: dict[str, Package] = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = (text for extra in EXTRAS for text in project["optional-dependencies"][extra])
    waiting = list(_needed((*project["dependencies"], *optional), ()))
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        key = canonicalize_name(name)
        if (key, tuple(extras)) in seen:
            continue
        seen.add((key, tuple(extras)))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform or Python
        found[key] = Package(
            name=key,
            version=distribution.version,
            licence=_licence(distribution.metadata),
            homepage=_homepage(distribution.metadata),
        )
        waiting += _needed(distribution.requires or (), extras)
    return [found[name] for name in sorted(found)]


def _needed(requirements: Sequence[str], extras: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement.name, tuple(sorted(requirement.extras))


def _licence(metadata: Any) -> str:
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classified = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or () if "License ::" in text]
    named = classified or [str(metadata.get("License") or "unknown").splitlines()[0]]
    named = ["LGPL" if "LGPL" in name else name for name in named]
    return " OR ".join(sorted({_NAMES.get(name, name) for name in named}))


def _homepage(metadata: Any) -> str:
    urls = dict(text.split(", ", 1) for text in metadata.get_all("Project-URL") or () if ", " in text)
    by_name = {name.lower(): url for name, url in urls.items()}
    known = (by_name.get(name) for name in ("homepage", "source", "repository", "source code"))
    return str(metadata.get("Home-page") or next((url for url in known if url), ""))


def declared() -> Mapping[str, Requirement]:
    """What pyproject.toml asks for, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        texts += extra
    return {canonicalize_name(one.name): one for one in map(Requirement, texts)}


def pinned() -> Mapping[str, Version]:
    """The tested versions, by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (re.fullmatch(r"([\w.-]+)==(\S+)", line.partition(";")[0].strip()) for line in lines)
    return {canonicalize_name(pin[1]): Version(pin[2]) for pin in pins if pin}


def vulnerable(
    advisories: Sequence[Mapping[str, str]], wanted: Mapping[str, Requirement], pins: Mapping[str, Version]
) -> list[str]:
    """A sentence for each vulnerable version that could be installed."""
    problems = []
    for advisory in advisories:
        name, fixed = canonicalize_name(advisory["package"]), advisory.get("fixed")
        if fixed is None:
            if not advisory.get("accepted"):
                problems.append(f"{name}: {advisory['id']} has no fix and no reason why it is accepted")
            continue
        if name in pins and pins[name] < Version(fixed):
            problems.append(f"constraints.txt: {name} {pins[name]} has {advisory['id']}, fixed in {fixed}")
        if name in wanted and not _excludes(wanted[name], Version(fixed)):
            problems.append(f"pyproject.toml: {wanted[name]} allows versions with {advisory['id']}, fixed in {fixed}")
    return problems


def _excludes(requirement: Requirement, fixed: Version) -> bool:
    """Whether a requirement takes no version below the fixed one: its own lower bound says so."""
    bounds = [Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~=")]
    return any(bound >= fixed for bound in bounds)


def foreign_licences(packages: Sequence[Package]) -> list[str]:
    """A sentence for each package under a licence that nobody has looked at."""
    problems = []
    for package in packages:
        parts = set(re.split(r" AND | OR ", package.licence.replace("(", "").replace(")", "")))
        if not parts <= ALLOWED and package.name not in EXCEPTIONS:
            problems.append(f"{package.name} {package.version} is under {package.licence}; see scripts/audit.py")
    return problems


def licences_page(packages: Sequence[Package], advisories: Sequence[Mapping[str, str]]) -> str:
    """The page of all licences, without versions, which change more often."""
    rows = [f"| {one.name} | {one.licence} | {EXCEPTIONS.get(one.name, '')} |" for one in packages]
    accepted = [
        f"- {one['package']}, {one['id']}: {one['what']}. Accepted: {one['accepted']}."
        for one in advisories
        if "accepted" in one
    ]
    return "\n".join(
        [
            "# Licences\n",
            "<!-- Written by scripts/audit.py from the installed packages. -->",
            "seekd is under the MIT licence. An installation on Linux with PostgreSQL and Redis brings these packages,",
            "each under the licence that it names. `make dist` writes the same list with versions as a bill of",
            "materials (CycloneDX). What the pages bring along is listed in `NOTICE`.\n",
            "| package | licence | note |\n|---|---|---|",
            *rows,
            "\n## Known vulnerabilities\n",
            "`scripts/advisories.toml` lists those that versions in use must not have; a test keeps them out.",
            "`make audit` asks the public databases. Without a fix, and without effect here:\n",
            *accepted,
            "",
        ]
    )


def bill_of_materials(packages: Sequence[Package]) -> dict[str, Any]:
    """CycloneDX 1.6, without a time and a serial number, so that equal installations have equal ones."""
    version = importlib.metadata.version("seekd")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": _component(Package(name="seekd", version=version, licence="MIT", homepage=""), "application")
        },
        "components": [_component(package, "library") for package in packages],
    }


def _component(package: Package, kind: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    component: dict[str, Any] = {
        "type": kind,
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "licenses": [{"expression": package.licence}],
    }
    if package.homepage:
        component["externalReferences"] = [{"type": "website", "url": package.homepage}]
    return component


if __name__ == "__main__":
    sys.exit(main())
