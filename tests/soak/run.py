"""A long mixed load on a real server: does anything grow, is anything lost, is anything charged twice? `make soak`.

python -m tests.soak.run [--minutes 60] [--report .soak/report.html] [--postgres URL]

    whole, streamed, leaving, retrying    by HTTP, as `served_load` asks; every answer is compared with the books
    OpenAI, Anthropic                     the official clients: chat, tools, JSON, thinking, embedded in one account

At the end nothing may run or wait, every key is answered once, and `seekd ledger verify` finds nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai

from tests.integration.conftest import ServerProcess
from tests.integration.served_load import Shop, engine_pid
from tests.soak.samples import Sample, report, sample, verdicts

NUM_SAMPLES = 400
LEAST_MINUTES_TO_JUDGE = 45.0
"""In less time caches still fill: SQLite's grows with the books to 8 MiB on each of two connections, which is about
20,000 requests; with a cache of 256 KiB the process was seen not to grow beyond 0.1 MB in 3,000."""

TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


class Soak:
    """One run."""

    def __init__(self, shop: Shop, *, duration_s: float) -> None:
        self._shop = shop
        self._duration_s = duration_s
        self._answers: Counter[str] = Counter()
        self._started_s = time.monotonic()
        self.samples: list[Sample] = []
        self.facts: list[str] = []

    async def beside(self, server: ServerProcess, key: str) -> None:
        """Ask by official clients and take samples until the time is up; then the server must be idle."""
        self._started_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_by_openai(server.url, key))
            group.create_task(self._ask_by_anthropic(server.url, key))
            pids = {"api_pid": server.process.pid, "engine_pid": engine_pid(server)}
            while not self._is_over:
                at_s = time.monotonic() - self._started_s
                cache_dir = self._shop.data_dir / "cache"
                self.samples.append(await asyncio.to_thread(sample, at_s, **pids, cache_dir=cache_dir))
                await asyncio.sleep(self._duration_s / NUM_SAMPLES)
        self._shop.load.is_stopping = True
        await self._wait_until_idle(server.url, key)

    @property
    def _is_over(self) -> bool:
        return time.monotonic() - self._started_s >= self._duration_s

    async def _ask_by_openai(self, url: str, key: str) -> None:
        ways: tuple[dict[str, Any], ...] = (
            {},
            {"tools": TOOLS},
            {"response_format": {"type": "json_object"}},
            {"extra_body": {"thinking": {"type": "enabled"}}},
            {"logprobs": True, "top_logprobs": 3},
        )
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, timeout=120) as client:
            number = 0
            while not self._is_over:
                way = ways[number % len(ways)]
                messages: Any = [{"role": "user", "content": f"Answer in JSON, number {number}."}]
                stream = await client.chat.completions.create(
                    model="deepseek-chat", messages=messages, max_tokens=24, stream=True, **way
                )
                async for chunk in stream:
                    if chunk.choices[0].finish_reason:
                        self._answers["OpenAI"] += 1
                number += 1

    async def _ask_by_anthropic(self, url: str, key: str) -> None:
        async with anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=key, timeout=120) as client:
            while not self._is_over:
                async with client.messages.stream(
                    model="deepseek-chat", max_tokens=24, messages=[{"role": "user", "content": "Hello"}]
                ) as stream:
                    await stream.get_final_message()
                self._answers["Anthropic"] += 1

    async def _wait_until_idle(self, url: str, key: str) -> None:
        """Nothing runs and nothing waits once nobody asks. Raises `TimeoutError` where a sequence is stuck."""
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            async with asyncio.timeout(60):
                while True:
                    metrics = (await client.get("/metrics")).text
                    names = "num_requests_running|num_requests_waiting"
                    busy = [
                        float(value) for value in re.findall(rf"^seekd_(?:{names})\S* (\S+)$", metrics, re.MULTILINE)
                    ]
                    if busy and not any(busy):
                        break
                    await asyncio.sleep(0.1)
        used = _values("kv_cache_usage_ratio", metrics)
        assert not any(used), f"nothing runs, and {used} of the KV cells are in use"
        self.facts.append("idle at the end: no sequence, no KV cell in use")

    def tell(self) -> None:
        """Add what was asked and answered to the facts."""
        load = self._shop.load
        self.facts += [
            f"{self._duration_s / 60:.1f} minutes, {len(self.samples)} samples",
            f"{load.num_answers} answers by HTTP, each charged exactly once ({len(load.keyed)} with idempotency keys)",
            f"{len(load.left)} clients that left, settled",
            *(f"{number} answers by {client}" for client, number in self._answers.items()),
            "seekd ledger verify: valid; no hold is left",
        ]


def _values(name: str, metrics: str) -> list[float]:
    """What a metric shows, for each model."""
    return [float(value) for value in re.findall(rf"^seekd_{name}\S* (\S+)$", metrics, re.MULTILINE)]


def soak(folder: Path, *, duration_s: float, database_url: str | None = None) -> Soak:
    """Run, and audit the books. Raises `AssertionError` where they are wrong."""
    shop = Shop(folder, database_url=database_url)
    run = Soak(shop, duration_s=duration_s)
    shop.soak(run.beside)
    run.tell()
    return run


def main() -> int:
    """Run, write the report, and judge; 1 where a budget was exceeded."""
    parser = argparse.ArgumentParser(description="Load a server for long and look for what grows.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--report", type=Path, default=Path(".soak/report.html"))
    parser.add_argument("--postgres", metavar="URL", help="of an empty database")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seekd-soak-") as folder:
        run = soak(Path(folder), duration_s=arguments.minutes * 60, database_url=arguments.postgres)
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(report(run.samples, run.facts), encoding="utf-8")
    for fact in run.facts:
        sys.stdout.write(f"{fact}\n")
    for one in verdicts(run.samples):
        growth = f"{one.first:9.1f} {one.last:9.1f} {one.budget.unit:3} {one.growth:+8.2%} an hour"
        sys.stdout.write(f"{one.budget.name:26} {growth}  {'kept' if one.is_kept else 'exceeded'}\n")
    sys.stdout.write(f"report: {arguments.report}\n")
    if arguments.minutes < LEAST_MINUTES_TO_JUDGE:
        sys.stdout.write(f"in less than {LEAST_MINUTES_TO_JUDGE:g} minutes growth is shown and not judged\n")
        return 0
    return 0 if all(one.is_kept for one in verdicts(run.samples)) else 1


if __name__ == "__main__":
    sys.exit(main())
