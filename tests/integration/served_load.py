"""A real `seekd serve` whose processes are killed while clients of every kind ask it, and the audit of its books.

`python -m tests.integration.served_load --rounds 50 [--postgres URL]` runs many rounds; `test_serve_kill` runs few.

    plain account       whole answers, streams, clients that leave in the middle of a stream
    free account        the same with a model that costs nothing
    retrying account    requests with an Idempotency-Key, asked again (also twice at once) until they are answered

A round ends with SIGKILL of the API process, or of the engine process alone, at a random moment. What the audit says
holds for every moment, so no round depends on timing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import Price, format_exact, parse_amount
from seekd.accounts.verify import verify_ledger
from seekd.config import Secret
from seekd.wire.sse import KEEP_ALIVE_FRAME
from tests.integration.conftest import ServerProcess

PRICE = Price(hit_micros=1_000_000, miss_micros=3_000_000, output_micros=7_000_000)
TOP_UP = "900000.00"
MAX_TOKENS = 20
FREE_MODEL = "deepseek-reasoner"
NUM_PLAIN = {"whole": 2, "streamed": 2, "leaving": 2}
NUM_FREE = {"whole": 2, "streamed": 1, "leaving": 1}
NUM_RETRYING = 3
LIMIT_S = 60.0  # of one wait for answers; only a hang reaches it
LEASE_S = 1.0
# Long enough for a block of the prefix cache, so that hit tokens are charged too.
SYSTEM = "You are a careful assistant. " * 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What an answer said that it used."""

    num_hit_tokens: int
    num_miss_tokens: int
    num_completion_tokens: int

    @property
    def cost_micros(self) -> int:
        return PRICE.cost_micros(
            num_hit_tokens=self.num_hit_tokens,
            num_miss_tokens=self.num_miss_tokens,
            num_completion_tokens=self.num_completion_tokens,
        )


@dataclass(slots=True, kw_only=True)
class Keyed:
    """A request with an idempotency key, and the one answer that it may have."""

    body: dict[str, Any]
    answer: bytes | None = None
    reported: Reported | None = None
    is_taken: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether somebody has to ask it again."""
        return self.answer is None and not self.is_taken


@dataclass(slots=True)
class Load:
    """What all clients saw, over all rounds.

    Attributes:
        answered: of plain and free requests, by the request id of a whole answer.
        left: requests whose client left or whose answer was cut off or failed, by request id.
        keyed: by idempotency key.
        num_answers: whole answers so far, of every kind.
    """

    answered: dict[str, Reported] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    keyed: dict[str, Keyed] = field(default_factory=dict)
    num_answers: int = 0
    is_stopping: bool = False

    async def wait_for_answers(self, number: int) -> None:
        wanted = self.num_answers + number
        async with asyncio.timeout(LIMIT_S):
            while self.num_answers < wanted:
                await asyncio.sleep(0.01)


class Client:
    """Asks one request after the other until it is told to stop or the server is dead."""

    def __init__(
        self, load: Load, http: httpx.AsyncClient, randomness: random.Random, *, model: str = "deepseek-chat"
    ) -> None:
        self.load = load
        self.model = model
        self.http = http
        self.randomness = randomness

    async def run(self, kind: str) -> None:
        try:
            while not self.load.is_stopping:
                await getattr(self, f"ask_{kind}")()
        except httpx.TransportError:
            pass  # the server was killed

    async def ask_whole(self) -> None:
        async with self.http.stream("POST", "/v1/chat/completions", json=self.body(stream=False)) as response:
            await self.take(response, await response.aread())

    async def ask_streamed(self) -> None:
        async with self.http.stream("POST", "/v1/chat/completions", json=self.body(stream=True)) as response:
            self.load.left.add(response.headers["x-request-id"])
            await self.take(response, await response.aread())

    async def ask_leaving(self) -> None:
        async with self.http.stream("POST", "/v1/chat/completions", json=self.body(stream=True)) as response:
            self.load.left.add(response.headers["x-request-id"])
            lines = response.aiter_lines()
            for _ in range(self.randomness.randint(1, 12)):
                await anext(lines, None)

    async def ask_retrying(self) -> None:
        """Ask an unanswered request of an earlier round again, or a new one; then the same again, or twice at once."""
        load = self.load
        key = next((key for key, keyed in load.keyed.items() if keyed.is_waiting), f"key {len(load.keyed)}")
        keyed = load.keyed.setdefault(key, Keyed(body=self.body(stream=self.randomness.random() < 0.5)))
        keyed.is_taken = True
        try:
            while keyed.answer is None and not load.is_stopping:
                await asyncio.gather(*(self.ask_keyed(key) for _ in range(self.randomness.randint(1, 2))))
            if self.randomness.random() < 0.5 and not load.is_stopping:
                await self.ask_keyed(key)
        finally:
            keyed.is_taken = False

    async def ask_keyed(self, key: str) -> None:
        keyed = self.load.keyed[key]
        response = await self.http.post("/v1/chat/completions", json=keyed.body, headers={"Idempotency-Key": key})
        reported = reported_usage(response, response.content)
        if reported is None:
            return
        answer = response.content.replace(KEEP_ALIVE_FRAME, b"")  # on a busy machine; never kept with an answer
        assert keyed.answer in (None, answer), (keyed.answer, answer)
        if keyed.answer is None:
            keyed.answer, keyed.reported = answer, reported
            self.load.num_answers += 1

    async def take(self, response: httpx.Response, content: bytes) -> None:
        request_id = response.headers["x-request-id"]
        reported = reported_usage(response, content)
        if reported is None:
            self.load.left.add(request_id)
            return
        assert request_id not in self.load.answered
        self.load.left.discard(request_id)
        self.load.answered[request_id] = reported
        self.load.num_answers += 1

    def body(self, *, stream: bool) -> dict[str, Any]:
        options = {"stream_options": {"include_usage": True}} if stream else {}
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Count from {self.randomness.randint(0, 999)}."},
            ],
            "max_tokens": self.randomness.randint(1, MAX_TOKENS),
            "stream": stream,
            **options,
        }


def reported_usage(response: httpx.Response, content: bytes) -> Reported | None:
    """What an answer reports; None when the engine died under it."""
    if response.headers["content-type"].startswith("text/event-stream"):
        data = [line.removeprefix(b"data: ") for line in content.splitlines() if line.startswith(b"data: ")]
        if data[-1:] != [b"[DONE]"]:
            assert b'"error"' in data[-1], content
            return None
        usage = json.loads(data[-2])["usage"]
    elif response.status_code == 200:
        usage = json.loads(content)["usage"]
    else:
        assert response.status_code in (500, 503), (response.status_code, content)
        return None
    return Reported(
        num_hit_tokens=usage["prompt_cache_hit_tokens"],
        num_miss_tokens=usage["prompt_cache_miss_tokens"],
        num_completion_tokens=usage["completion_tokens"],
    )


class Shop:
    """A data directory with a configuration, its accounts, and a server that is killed."""

    def __init__(self, directory: Path, *, database_url: str | None = None, seed: int = 6) -> None:
        self.load = Load()
        self._randomness = random.Random(seed)
        self._data_dir = directory / "data"
        self._config = directory / "seekd.toml"
        self._config.write_text(_configuration(database_url))
        self._accounts_settings = AccountsSettings(database_url=None if database_url is None else Secret(database_url))
        self._lease_s = 0.0 if database_url is None else LEASE_S
        self._plain = self._new_account("plain")
        self._free = self._new_account("free")
        self._retrying = self._new_account("retrying")
        self._server: ServerProcess | None = None

    def run(self, num_rounds: int) -> None:
        """Rounds in which the API process, and every third time the engine process, is killed; then the audit."""
        try:
            for number in range(num_rounds):
                asyncio.run(self._round(kills_engine=number % 3 == 2))
            asyncio.run(self._finish())
        finally:
            if self._server is not None:
                self._server.stop()
        self._audit(num_rounds)

    def soak(self, beside: Callable[[ServerProcess, str], Awaitable[None]]) -> None:
        """One long round without a kill, for as long as what runs beside it; then the audit.

        Args:
            beside: gets the server, and the key of an account that nobody else uses.
        """
        account = self._new_account("beside")
        server = self._started()

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                self._start_clients(group, server.url)
                await beside(server, account[1])
                self.load.is_stopping = True
            await self._finish()

        try:
            asyncio.run(run())
        finally:
            server.stop()
            self._server = None
        self._audit(num_rounds=0)

    @property
    def data_dir(self) -> Path:
        """Where the server keeps everything."""
        return self._data_dir

    async def _round(self, *, kills_engine: bool) -> None:
        server = self._started()
        async with asyncio.TaskGroup() as group:
            self._start_clients(group, server.url)
            await self.load.wait_for_answers(self._randomness.randint(1, 30))
            await asyncio.sleep(self._randomness.random() * 0.1)
            if kills_engine:
                os.kill(engine_pid(server), signal.SIGKILL)
                await self.load.wait_for_answers(10)  # it comes back by itself
                self.load.is_stopping = True
            else:
                server.process.kill()
        if not kills_engine:
            server.stop()
            self._server = None

    async def _finish(self) -> None:
        """A last server gets load without a kill, answers every retry that is still open, then stops by itself."""
        server = self._started()
        async with asyncio.TaskGroup() as group:
            self._start_clients(group, server.url)
            await self.load.wait_for_answers(10)
            await asyncio.sleep(2 * self._lease_s)  # until the dead servers' holds have ended, too
            self.load.is_stopping = True
        self.load.is_stopping = False
        async with self._http(server.url, self._retrying) as http:
            client = Client(self.load, http, self._randomness)
            while any(keyed.is_waiting for keyed in self.load.keyed.values()):
                await client.ask_retrying()
        assert server.stop() == 0
        self._server = None

    def _start_clients(self, group: asyncio.TaskGroup, url: str) -> None:
        self.load.is_stopping = False
        kinds = [(kind, self._plain, "deepseek-chat") for kind, number in NUM_PLAIN.items() for _ in range(number)]
        kinds += [(kind, self._free, FREE_MODEL) for kind, number in NUM_FREE.items() for _ in range(number)]
        kinds += [("retrying", self._retrying, "deepseek-chat")] * NUM_RETRYING

        async def run(kind: str, account: tuple[str, str], model: str, seed: int) -> None:
            async with self._http(url, account) as http:
                await Client(self.load, http, random.Random(seed), model=model).run(kind)

        for kind, account, model in kinds:
            group.create_task(run(kind, account, model, self._randomness.getrandbits(32)))

    def _http(self, url: str, account: tuple[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {account[1]}"}, timeout=httpx.Timeout(LIMIT_S)
        )

    def _started(self) -> ServerProcess:
        if self._server is None:
            arguments = ["--port", "0", "--data-dir", str(self._data_dir), "--config", str(self._config)]
            self._server = ServerProcess(arguments).start().wait_until_ready()
        return self._server

    def _new_account(self, name: str) -> tuple[str, str]:
        """The account's id and its key."""
        connection = open_connection(self._accounts_settings, self._data_dir)
        try:
            registry = Registry(connection)
            account_id = registry.create_account(name).id
            registry.top_up(account_id, currency="USD", micros=parse_amount(TOP_UP))
            return account_id, registry.create_key(account_id).secret
        finally:
            connection.close()

    def _command(self, *arguments: str) -> Any:
        place = ["--data-dir", str(self._data_dir), "--config", str(self._config), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "seekd", *arguments, *place], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    # --- the audit

    def _audit(self, num_rounds: int) -> None:
        assert self._command("ledger", "verify")["is_valid"]
        connection = open_connection(self._accounts_settings, self._data_dir)
        try:
            assert verify_ledger(connection).problems == ()
            assert connection.rows(statement("SELECT request_id FROM holds")) == []
            rows = connection.rows(_USAGE)
            claims: dict[str, str] = dict(connection.rows(_CLAIMS))
        finally:
            connection.close()
        charged = {row[0]: row for row in rows}
        assert len(charged) == len(rows)
        self._audit_answered(charged)
        self._audit_others(charged, num_rounds)
        self._audit_retried(charged, claims)
        for account_id, _ in (self._plain, self._free, self._retrying):
            cost = sum(row[6] for row in rows if row[1] == account_id)
            [balance] = self._command("accounts", "show", account_id)["balances"]
            assert balance["held_balance"] == "0.00"
            assert balance["total_balance"] == format_exact(parse_amount(TOP_UP) - cost)

    def _audit_answered(self, charged: dict[str, Any]) -> None:
        """Each answer that a client saw the end of has its one row in the books, free or not."""
        for request_id, reported in self.load.answered.items():
            _, account_id, outcome, *counts, cost = charged[request_id]
            assert outcome in ("stop", "length"), outcome
            assert tuple(counts) == (reported.num_hit_tokens, reported.num_miss_tokens, reported.num_completion_tokens)
            assert (account_id, cost) in ((self._plain[0], reported.cost_micros), (self._free[0], 0))

    def _audit_others(self, charged: dict[str, Any], num_rounds: int) -> None:
        """What else is in the books was cut off, and is no more than its worst case."""
        accounts = (self._plain[0], self._free[0])
        others = [row for row in charged.values() if row[1] in accounts and row[0] not in self.load.answered]
        unseen = [row for row in others if row[0] not in self.load.left]  # killed before their headers were sent
        assert len(unseen) <= num_rounds * (sum(NUM_PLAIN.values()) + sum(NUM_FREE.values()))
        for _, account_id, outcome, hit, miss, completion, cost in others:
            assert outcome in ("stop", "length", "disconnect", "interrupted", "error", "recovered"), outcome
            assert completion <= MAX_TOKENS
            used = Reported(num_hit_tokens=hit, num_miss_tokens=miss, num_completion_tokens=completion)
            assert cost == (used.cost_micros if account_id == self._plain[0] else 0)

    def _audit_retried(self, charged: dict[str, Any], claims: dict[str, str]) -> None:
        """Each idempotency key was charged once, for the answer that all who asked have got."""
        for key, keyed in self.load.keyed.items():
            assert keyed.reported is not None, key
            assert charged[claims[key]][6] == keyed.reported.cost_micros
        paid = Counter(row[0] for row in charged.values() if row[1] == self._retrying[0] and row[6])
        assert paid == Counter(claims[key] for key in self.load.keyed)


_USAGE = statement("""
    SELECT request_id, account_id, outcome, num_hit_tokens, num_miss_tokens, num_completion_tokens, cost_micros
    FROM usage
""")
_CLAIMS = statement("SELECT idempotency_key, request_id FROM idempotency")


def engine_pid(server: ServerProcess) -> int:
    """The one child of the API process that computes."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [engine] = [int(child) for child in children if b"seekd.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return engine


def _configuration(database_url: str | None) -> str:
    database = "" if database_url is None else f'database_url = "{database_url}"\nlease_s = {LEASE_S}\n'
    return f"""
[accounts]
progress_interval_s = 0.02
idempotency_lifetime_s = 86400
{database}
[[accounts.prices]]
model = "deepseek-chat"
currency = "USD"
hit = "{PRICE.hit_micros // 1_000_000}"
miss = "{PRICE.miss_micros // 1_000_000}"
output = "{PRICE.output_micros // 1_000_000}"

[[accounts.prices]]
model = "{FREE_MODEL}"
currency = "USD"
hit = "0"
miss = "0"
output = "0"

[engine]
threads = 1
cache_ram = "16MiB"
cache_disk = "16MiB"

[log]
level = "warning"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--postgres", metavar="URL", help="of an empty database")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        shop = Shop(Path(directory), database_url=arguments.postgres, seed=arguments.seed)
        shop.run(arguments.rounds)
    load = shop.load
    sys.stdout.write(
        f"{arguments.rounds} kills, {load.num_answers} answers charged exactly once ({len(load.keyed)} of them under "
        f"idempotency keys), {len(load.left)} cut off and settled, in {time.monotonic() - started_s:.0f} s\n"
    )


if __name__ == "__main__":
    main()
