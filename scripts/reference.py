"""Write the reference pages that follow from the code: settings, dialects, errors, commands, routes, faults.

    python scripts/reference.py            write them to docs/reference
    python scripts/reference.py --check    say which ones are out of date; status 1 if any is

The docstrings are the only place where these facts are written down; a test runs --check.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import typing
from pathlib import Path
from typing import Any

import typer.main

from seekd.cli.main import app
from seekd.config import ByteSize
from seekd.engine.settings import EngineSettings
from seekd.errors import SeekdError
from seekd.models.settings import ModelSettings
from seekd.settings import Settings
from seekd.testing.faults import FAULTS
from seekd.wire.dialect import CLASSIC, DIFFERENCES, HOSTED, Dialect
from seekd.wire.failures import failure_response
from seekd.wire.openapi import OPERATIONS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py from the code; change the docstrings there. -->\n"


def main() -> int:
    """Write or check every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    check = parser.parse_args().check
    pages = {
        "settings": settings_page(),
        "dialects": dialects_page(),
        "errors": errors_page(),
        "commands": commands_page(),
        "routes": routes_page(),
        "client-faults": client_faults_page(),
    }
    stale = []
    for name, text in pages.items():
        file = FOLDER / f"{name}.md"
        if check and (not file.exists() or file.read_text(encoding="utf-8") != text):
            stale.append(str(file.relative_to(FOLDER.parent.parent)))
        elif not check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if stale:
        print(f"Out of date: {', '.join(stale)}. Run python scripts/reference.py", file=sys.stderr)
    return 1 if stale else 0


def client_faults_page() -> str:
    """Every fault that a test can ask for."""
    rows = [
        f"| `{name}` | {kind.what} | {kind.reveals} | {', '.join(map(_issue, kind.reports)) or '–'} |"
        for name, kind in FAULTS.items()
    ]
    return "\n".join(
        [
            "# Faults for clients\n",
            NOTE,
            "What the [test kit](../how-to/testing.md) can let go wrong between a service and its client, and the",
            "mistake of a client that each reveals; the last column has public reports of it. A fault is asked for by",
            'a rule (`fail("stall", after=3)`), by chance (`chaos`), or by the header `X-Seekd-Fault: stall; after=3`.',
            "The answer is made first and then damaged. Faults of whole chunks are for Chat Completions; pauses, cut",
            "connections and missing ends are for every protocol. [What eight clients do](client-matrix.md).\n",
            "| fault | what happens | what it reveals in a client | reports |\n|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _issue(report: str) -> str:
    repository, _, number = report.partition("#")
    return f"[{report}](https://github.com/{repository}/issues/{number})"


def settings_page() -> str:
    """Every setting with its default and its docstring."""
    parts = [
        "# Settings\n",
        NOTE,
        "A flag wins over the environment, the environment over the settings file, the file over the default.",
        "Key `port` of section `server` is `[server]` `port` in the file and `SEEKD_SERVER_PORT` in the environment.",
        "An unknown key or a bad value stops the start and says where it stands. `seekd config` prints what holds.\n",
    ]
    for section, kind in typing.get_type_hints(Settings).items():
        if typing.get_args(kind):  # a mapping: one table a name, in the file only
            kind = typing.get_args(kind)[1]
            section = f'{section}."NAME"'
        parts.append(f"## [{section}]\n")
        parts.append(_first_line(kind) + "\n")
        parts.append("| key | default | meaning |\n|---|---|---|")
        about = _overridden() | _attributes(kind) if section.startswith("models") else _attributes(kind)
        parts += [f"| `{field.name}` | {_default(field)} | {about[field.name]} |" for field in dataclasses.fields(kind)]
        parts.append("")
    return "\n".join(parts)


def dialects_page() -> str:
    """Every difference between the two dialects."""
    about = _attributes(Dialect)
    rows = [
        f"| `{row.field}` | {about[row.field]} | {_value(row.classic)} | {_value(row.hosted)} |" for row in DIFFERENCES
    ]
    return "\n".join(
        [
            "# Dialects\n",
            NOTE,
            "`classic` is the [classic API](classic-api.md) with every newer feature on top; `hosted` is what the",
            "[service](wire.md) sends today. `[server] dialect` chooses the default, the header `X-Seekd-Dialect`",
            "one request's. Any other value of the header is a 400.\n",
            "| difference | meaning | classic | hosted |\n|---|---|---|---|",
            *rows,
            "",
        ]
    )


def errors_page() -> str:
    """Every error with its status and body in both dialects."""
    rows = []
    for error_class in sorted(_subclasses(SeekdError), key=lambda found: found.__name__):
        error = _example(error_class)
        cells = []
        for dialect in (CLASSIC, HOSTED):
            failure = failure_response(error, dialect)
            cells.append(f"{failure.status} `{failure.body.decode()}`".replace("|", "\\|"))
        rows.append(f"| `{error_class.__name__}` | {cells[0]} | {cells[1]} |")
    return "\n".join(
        [
            "# Errors\n",
            NOTE,
            "One example of each; the facts in it (names, numbers) are made up. A failure after the first byte of a",
            "stream arrives as a last `data:` line with the same object, and no `[DONE]` follows.\n",
            "| error | classic | hosted |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def commands_page() -> str:
    """Every command with its options."""
    parts = ["# Commands\n", NOTE]
    _describe(typer.main.get_command(app), "seekd", parts)
    return "\n".join(parts)


def routes_page() -> str:
    """Every route, from the operations of the OpenAPI document."""
    parts = [
        "# Routes\n",
        NOTE,
        "Each is under every base of its line. `/openapi.json` is the same for programs, with all bodies and answers;",
        "`/docs` shows it. A key goes into `Authorization: Bearer`, or `x-api-key`; while the server is open none is",
        "needed. The admin token is explained in [the admin API](admin.md).\n",
        "| route | bases | what it does | asks for |\n|---|---|---|---|",
    ]
    asks = {"key": "key", "admin_token": "admin token", None: "nothing"}
    for operation in OPERATIONS:
        bases = ", ".join(f"`{base or '/'}`" for base in operation.bases)
        route = f"`{operation.method.upper()} {operation.path}`"
        parts.append(f"| {route} | {bases} | {operation.summary} | {asks[operation.security]} |")
    return "\n".join([*parts, ""])


def _describe(command: Any, name: str, parts: list[str]) -> None:  # typer vendors click; its classes are not public
    context = command.context_class(command, info_name=name)
    if hasattr(command, "commands"):
        for child_name, child in command.commands.items():
            _describe(child, f"{name} {child_name}", parts)
        if not command.invoke_without_command or name == "seekd":
            return
    text = inspect.cleandoc(command.help or "").replace("\x0c", "")
    parts.append(f"## {name}\n\n{text}\n")
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            rows.append(_row(record[0], record[1]))
        elif record is None:
            usage = parameter.make_metavar(context) if hasattr(parameter, "make_metavar") else parameter.name
            rows.append(_row(str(usage), getattr(parameter, "help", None) or ""))
    if rows:
        parts.append("| option | meaning |\n|---|---|")
        parts += rows
        parts.append("")


def _row(left: str, right: str) -> str:
    cells = (f"`{left.strip()}`", right.strip())
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _attributes(kind: type) -> dict[str, str]:
    """What the `Attributes:` sections of the docstrings of a class and its bases say of each field."""
    about: dict[str, str] = {}
    for described in reversed(kind.__mro__):
        section = inspect.cleandoc(described.__doc__ or "").partition("Attributes:\n")[2]
        for names, meaning in re.findall(r"^    ([a-z_0-9, ]+): (.*(?:\n        .*)*)", section, re.MULTILINE):
            for name in names.split(", "):
                about[name] = re.sub(r"\s+", " ", meaning).replace("|", "\\|")
    return about


def _overridden() -> dict[str, str]:
    """What is said of the keys of a model's table that override others."""
    parts = {"model": ModelSettings, "engine": EngineSettings}
    return {
        field.name: f"as in `[{section}]`." for section, kind in parts.items() for field in dataclasses.fields(kind)
    }


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0]


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return _value(field.default)
    if field.default_factory is dataclasses.MISSING:
        return "needed"
    if field.name == "data_dir":
        return "`~/.local/share/seekd`"
    return _value(field.default_factory())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, ByteSize) or not hasattr(value, "__dataclass_fields__"):
        return f"`{value}`"
    return "none"


def _subclasses(kind: type[SeekdError]) -> list[type[SeekdError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_subclasses(child))]


def _example(kind: type[SeekdError]) -> SeekdError:
    examples: dict[str, dict[str, object]] = {
        "ContextTooLong": {"context_length": 8192, "num_prompt_tokens": 9000, "num_requested_tokens": 100},
        "Unauthenticated": {"key_tail": "0000"},
        "BodyTooLarge": {"limit_bytes": 33554432},
        "BodyTimeout": {"limit_s": 60},
        "LimitExceeded": {"what": "messages", "value": 300, "limit": 200, "setting": "guard.max_messages"},
        "RateLimited": {"retry_after_s": 3.0},
        "UnpricedModel": {"model": "my-model"},
    }
    if kind.__name__ == "UnknownModel":
        return kind("gpt-x", known_models=("deepseek-chat", "deepseek-reasoner"))  # type: ignore[call-arg]
    return kind(**examples.get(kind.__name__, {}))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
