"""Count what a request and a dollar pass on their way: functions, files and forms of data.

    .venv/bin/python scripts/walk.py [--show]

One streamed chat and one priced chat are sent through the whole application, with a scripted engine in the place of a
model, and every call of a function of `seekd` is written down:

- in: from the ASGI application to the engine;
- out: from the engine's update to the bytes of its frame, for an update in the middle of a stream;
- a dollar: what runs in `accounts` and `service/billing.py` from the reservation to the settlement, in any thread, also
  what ran before it for something else.

In and out are what runs in the event loop's thread, where every request of this size is: in the books' thread the end
of another request may still be written. A function counts once however often it runs. Constructors count where they are
written out, and coroutines that only go on count as well. Accessors do not: properties, and functions of one statement,
that call nothing of `seekd`. Nor do comprehensions and lambdas, nor what stands in for a model here.

A form is a class of data (a dataclass or a msgspec struct) of which the way makes an instance, settings aside.
`docs/architecture.md` quotes the numbers; the bars stand beside them.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import dataclasses
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

import seekd
from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.app import Application, open_server_books
from seekd.models.settings import ModelSettings
from seekd.service.metrics import Metrics
from seekd.service.model_pool import single_model
from seekd.service.served_model import ServedModel
from seekd.settings import Settings
from seekd.testing import Emit, Finish, ScriptedEngine

SOURCE = Path(seekd.__file__).parent
BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello"}], "stream": True, "max_tokens": 9}
LETTERS = "abcdef"
RESERVATION = ("service/billing.py", "Billing.reserve")
"""Where a dollar's way begins."""
DOLLAR_MODULES = ("seekd.accounts.", "seekd.service.billing")
MIDDLE = "d"
"""The token whose way out is counted: nothing happens for the first or the last time with it."""


@dataclass
class Walk:
    """What was passed, in the order of the first time.

    Attributes:
        begin: the place where it will begin; None when it has.
        thread_id: the one thread that is watched; None for all.
    """

    begin: tuple[str, str] | None = None
    thread_id: int | None = None
    functions: dict[tuple[str, str], None] = field(default_factory=dict)
    forms: dict[str, None] = field(default_factory=dict)
    callers: set[tuple[str, str]] = field(default_factory=set)

    def without_accessors(self) -> Walk:
        """The same way without functions of one statement that call nothing of `seekd`."""
        kept = {place: None for place in self.functions if place in self.callers or place not in accessors(place[0])}
        return replace(self, functions=kept)

    @property
    def files(self) -> set[str]:
        """The files of the functions."""
        return {file for file, _ in self.functions}


@cache
def accessors(file: str) -> frozenset[tuple[str, str]]:
    """The properties of a file, and its functions whose body is one statement, a docstring aside."""
    found: set[tuple[str, str]] = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = child.body[1:] if ast.get_docstring(child) is not None else child.body
                names = {name.id for name in child.decorator_list if isinstance(name, ast.Name)}
                if len(body) <= 1 or names & {"property", "cached_property"}:
                    found.add((file, prefix + child.name))
                visit(child, f"{prefix}{child.name}.<locals>.")

    visit(ast.parse((SOURCE / file).read_text(encoding="utf-8")), "")
    return frozenset(found)


class Recorder:
    """Writes the calls of `seekd`'s functions into one of its walks while one is open."""

    def __init__(self) -> None:
        self.walk: Walk | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Record until the block ends, in this thread and in those that are started in it."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]  # None is what ends it

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        walk = self.walk
        if event != "call" or walk is None or walk.thread_id not in (None, threading.get_ident()):
            return
        if frame.f_code.co_name == "__init__":
            self._note_form(walk, type(frame.f_locals.get("self")))
        place = _place(frame)
        if place is None or place[0] == "engine/scripted.py":
            return
        if place == walk.begin:
            walk.begin = None  # it goes on more often than once
            walk.functions.clear()
            walk.forms.clear()
        walk.functions[place] = None
        caller = frame.f_back
        while caller is not None and (caller_place := _place(caller)) is None:
            caller = caller.f_back
        if caller is not None and caller_place is not None:
            walk.callers.add(caller_place)

    def _note_form(self, walk: Walk, kind: type) -> None:
        is_data = dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)
        if is_data and kind.__module__.startswith("seekd.") and not kind.__name__.endswith("Settings"):
            walk.forms[f"{kind.__module__}.{kind.__qualname__}"] = None


def _place(frame: FrameType) -> tuple[str, str] | None:
    """File and name of a function of `seekd`; None for others and for comprehensions."""
    code = frame.f_code
    if not code.co_filename.startswith(str(SOURCE)) or code.co_name.startswith("<"):
        return None
    return str(Path(code.co_filename).relative_to(SOURCE)), code.co_qualname


class WatchedEngine(ScriptedEngine):
    """Ends the way in where a request reaches the engine, and begins the way out with the middle token."""

    recorder: Recorder
    way_out: Walk | None
    """None where everything goes into one walk."""

    async def generate(self, *arguments: Any) -> Any:
        """As the scripted engine, with the recorder switched at the border."""
        if self.way_out is not None:
            self.recorder.walk = None
        async for update in super().generate(*arguments):
            if self.way_out is not None:
                self.recorder.walk = self.way_out if list(update.token_ids) == [ord(MIDDLE)] else None
            yield update


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--show", action="store_true", help="list what is counted")
    show = parser.parse_args().show
    walks = asyncio.run(measured())
    print("| way | functions | files | forms |\n|---|---|---|---|")
    for name, walk in walks.items():
        print(f"| {name} | {len(walk.functions)} | {len(walk.files)} | {len(walk.forms)} |")
    if show:
        for name, walk in walks.items():
            print(f"\n{name}")
            for file, function in walk.functions:
                print(f"  {file}: {function}")
            for form in walk.forms:
                print(f"  form {form}")
    return 0


async def measured() -> dict[str, Walk]:
    """The three walks."""
    thread_id = threading.get_ident()
    way_in, way_out, everything = Walk(thread_id=thread_id), Walk(thread_id=thread_id), Walk(begin=RESERVATION)
    with tempfile.TemporaryDirectory() as folder:
        await _send(Path(folder) / "free", way_in=way_in, way_out=way_out)
        await _send(Path(folder) / "priced", way_in=everything, way_out=None, is_priced=True)
    of_money = [place for place in everything.functions if place[0].startswith(("accounts/", "service/billing"))]
    dollar = replace(
        everything,
        functions=dict.fromkeys(of_money),
        forms={name: None for name in everything.forms if name.startswith(DOLLAR_MODULES)},
    )
    ways = {"in": way_in, "out": way_out, "a dollar": dollar}
    return {name: walk.without_accessors() for name, walk in ways.items()}


async def _send(data_dir: Path, *, way_in: Walk, way_out: Walk | None, is_priced: bool = False) -> None:
    recorder = Recorder()
    application = _application(data_dir, recorder, way_out, is_priced=is_priced)
    with recorder.running():
        await application.start()
        await _ask(application)  # the first request fills caches
        recorder.walk = way_in
        frames = await _ask(application)  # a charge is committed before the last frame
        recorder.walk = None
        await application.close()
    assert frames.endswith(b"[DONE]\n\n"), frames


def _application(data_dir: Path, recorder: Recorder, way_out: Walk | None, *, is_priced: bool) -> Application:
    data_dir.mkdir(mode=0o700)
    price = PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1", output="1")
    settings = Settings(
        accounts=AccountsSettings(prices=(price,) if is_priced else ()),
        model=ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none"),
    )
    settings = replace(settings, server=replace(settings.server, data_dir=data_dir))
    if is_priced:
        with contextlib.closing(open_connection(settings.accounts, data_dir)) as connection:
            Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=10**9)
    script = [*(Emit(token_ids=(ord(letter),)) for letter in LETTERS), Finish()]
    engine = WatchedEngine(lambda _: script)
    engine.recorder, engine.way_out = recorder, way_out
    model = ServedModel(
        engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=settings.model
    )
    return Application(
        settings, models=single_model(model), books=open_server_books(settings), metrics=Metrics(engines={})
    )


async def _ask(application: Application) -> bytes:
    body = json.dumps(BODY).encode()
    sent = bytearray()
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(messages, None)
        if message is not None:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await application.asgi(scope, receive, send)
    return bytes(sent)


if __name__ == "__main__":
    sys.exit(main())
