"""What the pages show can be done: settings load, commands exist, links lead somewhere, limits are as told."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from seekd.accounts.types import Outcome
from seekd.cli.main import app
from seekd.config import load
from seekd.engine.scripted import say
from seekd.settings import Settings
from seekd.testing.kit import Kit
from seekd.testing.script_file import apply_rules
from seekd.testing.server import serve_script

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted(page for page in (ROOT / "docs" / "decisions").glob("*.md") if page.stem != "README")


BLOCK = re.compile(r"(?<!<!-- script -->\n)^ *```toml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SCRIPT = re.compile(r"^<!-- script -->\n```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, text in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
    if "[project." not in text  # an extension's own pyproject.toml
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_navigation_of_the_site(page: Path) -> None:
    name = "index.md" if page == ROOT / "README.md" else page.relative_to(ROOT)
    assert f'"{name}"' in (ROOT / "zensical.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_every_decision_is_in_the_list_of_decisions(page: Path) -> None:
    assert f"({page.name})" in (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", SETTINGS)
def test_every_settings_file_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "seekd.toml"
    file.write_text(text, encoding="utf-8")
    load(Settings, environment={}, file=file)


def test_every_script_for_tests_makes_its_rules() -> None:
    scripts = [text for page in PAGES for text in SCRIPT.findall(page.read_text(encoding="utf-8"))]
    assert scripts
    for text in scripts:
        apply_rules(tomllib.loads(text), Kit())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|sql|md|gguf))`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists() or (ROOT / "src" / "seekd" / name).exists(), name


CITED = re.compile(r"docs/reference/([\w-]+\.md)((?:[\s,]*(?:and|to)?\s*§[\d.]*\d)*)")


def _sections(page: str) -> set[str]:
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", text, re.MULTILINE))


def test_every_section_that_the_code_cites_exists() -> None:
    sections = {page: _sections(page) for page in ("wire.md", "formats.md")}
    cited: set[str] = set()
    for file in (*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("tests/wire/golden/*.json")):
        for page, numbers in CITED.findall(file.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / "reference" / page).exists(), f"{file} cites {page}"
            missing = set(re.findall(r"§([\d.]*\d)", numbers)) - sections.get(page, set())
            assert not missing, f"{file} cites {page} {missing}"
            cited.add(page)
    assert sections.keys() <= cited


@pytest.mark.parametrize("page", ["wire.md", "formats.md"])
def test_every_section_that_a_page_cites_of_itself_exists(page: str) -> None:
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert set(re.findall(r"§([\d.]*\d)", text)) <= _sections(page)


def test_every_example_of_the_classic_api_has_its_test() -> None:
    page = (ROOT / "docs" / "reference" / "classic-api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {
        name
        for file in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= there


def _commands() -> Iterator[str]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        yield from re.findall(r"^ *\$ (?:\w+=\S+ )*(seekd .+)$", text, re.MULTILINE)
        yield from re.findall(r"`(seekd (?!is ready)[a-z][^`\n]*)`", text)


@pytest.mark.parametrize("line", sorted(set(_commands())))
def test_every_command_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)  # typer vendors click; its classes are not public
    words = shlex.split(line, comments=True)[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("--"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_every_decision_has_its_status_and_its_dates(page: Path) -> None:
    title, empty, status = page.read_text(encoding="utf-8").splitlines()[:3]
    assert title.startswith("# ")
    assert empty == ""
    assert re.fullmatch(r"Status: (accepted|replaced by \S+), 20\d\d-\d\d-\d\d(; changed 20\d\d-\d\d-\d\d)?\.", status)


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
FILE = {"role": "user", "content": [{"type": "file", "file_id": "file-api-1"}]}


def test_what_is_not_supported_is_answered_as_the_page_says(tmp_path: Path) -> None:
    chat: dict[str, Any] = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
    refused: list[dict[str, Any]] = [
        {"messages": [IMAGE]},
        {"messages": [FILE]},
        {"tools": [{"type": "deepseek_web_search"}]},
        {"n": 2},
        {"safety_check": {"level": "high"}},
    ]
    ignored: list[dict[str, Any]] = [{"safety_check": {"level": "low"}}, {"title": {"enabled": True}}]
    routes = ["files", "tools/ocr", "tools/search", "tools/fetch", "tools/tts", "tools/asr", "embeddings", "batches"]
    with (
        serve_script(say("Hello"), data_dir=tmp_path) as server,
        httpx.Client(base_url=f"{server.url}/v1") as client,
    ):
        assert [client.post("/chat/completions", json=chat | body).status_code for body in refused] == [400] * 5
        assert [client.post("/chat/completions", json=chat | body).status_code for body in ignored] == [200] * 2
        assert {client.post(f"/{route}", json={}).status_code for route in routes} == {404}


def test_the_page_on_monitoring_names_each_way_to_end_a_request() -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text(encoding="utf-8")
    table = page.partition("## How a request ended")[2]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert named == [outcome.value for outcome in Outcome if outcome is not Outcome.RUNNING]
