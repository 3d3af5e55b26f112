"""Whether the API process keeps its size: its resident memory over many requests, without a model.

    python bench/memory.py [--requests 100000] [--keys]

The server of `overhead.py` with its scripted engine; one connection in eight streams, and with `--keys` every request
carries an `Idempotency-Key` of its own. Prints the memory of the API process and of the engine process every tenth.

Bar: the API process gains at most 1 % in the second half. Before that SQLite fills its page cache, 8 MiB (measured:
2.3 MiB in every 10,000 requests up to 40,000, then nothing).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from pathlib import Path

import uvloop

from overhead import STREAM, WHOLE, Client, free_port, running, wait_for

NUM_CONNECTIONS = 16
MOST_GROWTH = 0.01


def _rss_mib(process_id: int) -> float:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _child(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()[0])


async def _main(num_requests: int, *, has_keys: bool) -> bool:
    port = free_port()
    with running({"seekd": port}) as processes:
        process = processes["seekd"]
        await wait_for(port, process)
        # Of every eight connections one streams, so that none of them is ever idle.
        bodies = [STREAM if number % 8 == 0 else WHOLE for number in range(NUM_CONNECTIONS)]
        clients = [await Client.open(port, body) for body in bodies]
        numbers = itertools.count()
        sizes: list[float] = []

        async def ask(client: Client, last: int) -> None:
            while (number := next(numbers)) < last:
                await client.ask(headers=f"idempotency-key: k{number}\r\n" if has_keys else "")

        for tenth in range(1, 11):
            last = num_requests * tenth // 10
            await asyncio.gather(*(ask(client, last) for client in clients))
            numbers = itertools.count(last)
            sizes.append(_rss_mib(process.pid))
            print(
                f"{last:>8} requests: API {sizes[-1]:.1f} MiB, engine {_rss_mib(_child(process.pid)):.1f} MiB",
                flush=True,
            )
    for first in (1, 4):
        growth = sizes[-1] / sizes[first] - 1
        print(f"growth of the API process from {num_requests * (first + 1) // 10} requests to the end: {growth:+.1%}")
    return growth <= MOST_GROWTH


def main() -> None:
    """Run and print; exit status 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--keys", action="store_true", help="give every request an Idempotency-Key")
    options = parser.parse_args()
    sys.exit(0 if uvloop.run(_main(options.requests, has_keys=options.keys)) else 1)


if __name__ == "__main__":
    main()
