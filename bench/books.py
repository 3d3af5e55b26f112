"""What keeping the books costs a request: authenticate, reserve, settle.

    python bench/books.py                       SQLite, one process: CPU time a request
    python bench/books.py --postgres URL        PostgreSQL, four processes: pairs a second, and that none overspends

Bars: SQLite <= 0.5 ms of CPU a request (p50 over rounds); PostgreSQL >= 1,000 reserve + settle pairs a second.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seekd.accounts.books import Books, open_books
from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import Caller, Usage
from seekd.accounts.verify import verify_ledger
from seekd.config import Secret
from seekd.errors import InsufficientBalance

USED = Usage(num_hit_tokens=0, num_miss_tokens=60, num_completion_tokens=40, latency_ms=5.0)
COST = 100
NUM_PROCESSES = 4


def settings(url: str | None) -> AccountsSettings:
    price = PriceSetting(model="m", currency="USD", hit="1", miss="1", output="1")
    return AccountsSettings(prices=(price,), database_url=None if url is None else Secret(url))


async def pair(books: Books, caller: Caller, request_id: str) -> bool:
    try:
        reservation = await books.reserve(
            caller, request_id=request_id, model="m", num_prompt_tokens=60, max_completion_tokens=40
        )
    except InsufficientBalance:
        return False
    await books.settle(reservation, USED)
    return True


async def sqlite_rounds(data_dir: Path, key: str, num_rounds: int, concurrency: int) -> list[tuple[float, float]]:
    """CPU and wall milliseconds a request, of each round."""
    books = open_books(settings(None), data_dir, allows_open=False)
    await books.start()
    rounds = []

    async def work(name: str, num: int) -> None:
        for number in range(num):
            caller = await books.authenticate(key)
            await pair(books, caller, f"{name}-{number}")

    for round_number in range(num_rounds):
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work(f"{concurrency}-{round_number}-{worker}", 20) for worker in range(concurrency)))
        num = concurrency * 20
        rounds.append(((time.process_time() - cpu_s) / num * 1000, (time.perf_counter() - wall_s) / num * 1000))
    await books.close()
    return rounds


def bench_sqlite() -> None:
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        registry = Registry(open_connection(settings(None), data_dir))
        account = registry.create_account("bench")
        key = registry.create_key(account.id).secret
        registry.top_up(account.id, currency="USD", micros=10**12)
        for concurrency in (1, 16, 64):
            rounds = asyncio.run(sqlite_rounds(data_dir, key, num_rounds=15, concurrency=concurrency))
            cpu_ms = statistics.median(cpu for cpu, _ in rounds)
            wall_ms = statistics.median(wall for _, wall in rounds)
            print(
                f"SQLite, {concurrency:2} requests at once: {cpu_ms:.3f} ms CPU, {wall_ms:.3f} ms wall a request (p50)"
            )


async def gateway(url: str, key: str, name: str, num: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        books = open_books(settings(url), Path(directory), allows_open=False)
        await books.start()
        caller = await books.authenticate(key)
        print("ready", flush=True)
        sys.stdin.readline()
        started_s, cpu_s = time.perf_counter(), time.process_time()

        async def work(worker: int) -> int:
            return sum([await pair(books, caller, f"{name}-{worker}-{number}") for number in range(num // 64)])

        answered = sum(await asyncio.gather(*(work(worker) for worker in range(64))))
        print(answered, time.perf_counter() - started_s, time.process_time() - cpu_s, flush=True)
        await books.close()


def bench_postgres(url: str, num: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        connection = open_connection(settings(url), Path(directory))
        registry = Registry(connection)
        account = registry.create_account(f"bench {time.time()}")
        key = registry.create_key(account.id).secret
        num_paid = NUM_PROCESSES * num * 9 // 10  # the last tenth must be refused
        registry.top_up(account.id, currency="USD", micros=num_paid * COST)
        command = [sys.executable, __file__, "--postgres", url, "--key", key, "--requests", str(num), "--name"]
        processes = [
            subprocess.Popen(
                [*command, f"g{number}-{time.time()}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for number in range(NUM_PROCESSES)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [process.communicate()[0].split() for process in processes]
        answered = sum(int(result[0]) for result in results)
        slowest_s = max(float(result[1]) for result in results)
        cpu_s = sum(float(result[2]) for result in results)
        print(
            f"PostgreSQL, {NUM_PROCESSES} processes: {answered / slowest_s:.0f} pairs/s, {answered} answered of "
            f"{num_paid} paid for, {slowest_s:.1f} s; CPU of the gateways {cpu_s / answered * 1000:.3f} ms a pair, "
            f"{answered / cpu_s:.0f} pairs a second of it"
        )
        problems = verify_ledger(connection).problems
        print(f"overspend: {max(0, answered - num_paid)}; ledger: {problems or 'verifies'}")
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--requests", type=int, default=1600, help="of each process")
    parser.add_argument("--key", help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.key:
        asyncio.run(gateway(arguments.postgres, arguments.key, arguments.name, arguments.requests))
    elif arguments.postgres:
        bench_postgres(arguments.postgres, arguments.requests)
    else:
        bench_sqlite()


if __name__ == "__main__":
    main()
