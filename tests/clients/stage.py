"""The server that the clients meet: real HTTP, keys, limits and prices, and a script in place of a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import Limits
from seekd.engine.scripted import EmitText, Fail, ScriptedVocabulary, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.errors import EngineError, Overloaded
from seekd.testing.server import ScriptedServer, serve_script
from seekd.wire.model_names import OFFICIAL_MODELS

GREETING = "Hello! I am well, thank you."
REASONING = "Let me think."
FORECAST = "It is sunny in New York."

LIMITED_MODEL = "deepseek-v4-pro"
"""One request a minute uses its limit up."""

UNPAID_MODEL = "deepseek-v4-flash-vision-exp"
"""It has a price, and no account here has a balance."""

ACCOUNTS = AccountsSettings(
    model_limits={LIMITED_MODEL: Limits(requests_per_minute=1)},
    prices=tuple(
        PriceSetting(model=name, currency="USD", hit="0", miss="0", output="1" if name == UNPAID_MODEL else "0")
        for name in OFFICIAL_MODELS
    ),
    synchronous="normal",
)

NOTE = "The harness read this line."
NOTE_READ = "The note was read."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running scripted server, and a key that it takes."""

    server: ScriptedServer
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client's script reads."""
        return {"SEEKD_URL": self.server.url, "SEEKD_KEY": self.key}


def play(request: EngineRequest) -> Iterable[ScriptStep]:
    """Answer what the last user message asks for; the clients' scripts and this function know each other."""
    vocabulary = ScriptedVocabulary()
    prompt = b"".join(map(vocabulary.token_bytes, request.prompt_token_ids)).decode()
    last = prompt.rpartition("<｜User｜>")[2]
    if prompt.endswith("<think>"):
        yield EmitText(text=f"{REASONING}</think>")
    if "fail at once" in last:
        yield Fail(error=Overloaded())
    elif "fail later" in last:
        yield EmitText(text="Hel")
        yield Fail(error=EngineError())
    elif "<tool_result>" in last:
        yield EmitText(text=NOTE_READ if NOTE in last else FORECAST)
    elif "weather" in last and '"get_weather"' in prompt:
        yield EmitText(text=_call("get_weather", location="New York"))
    elif "Read note.txt" in last and '"read"' in prompt:
        yield EmitText(text=_call("read", file_path="note.txt"))
    elif "JSON" in last:
        yield EmitText(text='{"name": "John Doe", "age": 41}')
    elif "<｜fim▁hole｜>" in prompt:
        yield EmitText(text="    return a + b")
    else:
        yield EmitText(text=GREETING)


def _call(name: str, **arguments: str) -> str:
    parameters = "".join(
        f'<｜DSML｜ parameter name="{key}" string="true">{value}</｜DSML｜ parameter>\n'
        for key, value in arguments.items()
    )
    return f'\n\n<｜DSML｜ calls>\n<｜DSML｜ invoke name="{name}">\n{parameters}</｜DSML｜ invoke>\n</｜DSML｜ calls>'


@contextlib.contextmanager
def open_stage(data_dir: Path) -> Iterator[Stage]:
    """Serve until the block ends."""
    with serve_script(play, data_dir=data_dir, accounts=ACCOUNTS, context_length=200_000) as server:
        connection = open_connection(ACCOUNTS, data_dir)
        try:
            registry = Registry(connection)
            key = registry.create_key(registry.create_account("clients").id).secret
        finally:
            connection.close()
        yield Stage(server=server, key=key)
