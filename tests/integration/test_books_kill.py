"""`kill -9` in a loop while load runs: every answered request has exactly one charge, and the ledger verifies."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from seekd.accounts.books import open_books
from seekd.accounts.registry import Registry
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.verify import verify_ledger
from tests.integration.books_load import settings

NUM_ROUNDS = 5
BALANCE = 100_000_000


def run_until_killed(data_dir: Path, key: str, num_answers: int) -> list[str]:
    """Start the load, kill it after some answers, and give back all that it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.books_load", str(data_dir), key], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        lines = [process.stdout.readline() for _ in range(num_answers)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.wait() == -9
    return [line for line in lines if line.endswith("\n")]  # the kill may cut the last line short


async def test_killing_the_server_loses_no_charge_and_makes_none_twice(tmp_path: Path) -> None:
    connection = open_connection(settings(), tmp_path)
    registry = Registry(connection)
    account = registry.create_account("load")
    key = registry.create_key(account.id).secret
    registry.top_up(account.id, currency="USD", micros=BALANCE)

    randomness = random.Random(6)
    answered: dict[str, int] = {}
    for _ in range(NUM_ROUNDS):
        for line in run_until_killed(tmp_path, key, randomness.randint(1, 150)):
            word, request_id, cost = line.split()
            assert word == "answered"
            assert request_id not in answered
            answered[request_id] = int(cost)

    books = open_books(settings(), tmp_path, allows_open=False)  # recovers
    await books.start()
    try:
        balance = await books.balance(account.id)
    finally:
        await books.close()
    assert verify_ledger(connection).problems == ()
    usage = connection.rows(statement("SELECT request_id, cost_micros, outcome FROM usage"))
    charges = Counter(request_id for request_id, _, _ in usage)
    costs = {request_id: cost for request_id, cost, _ in usage}
    assert all(charges[request_id] == 1 and costs[request_id] == cost for request_id, cost in answered.items())
    # What was settled, but whose answer the kill cut off, and what a recovery ended: nothing else.
    assert {outcome for _, _, outcome in usage} <= {"stop", "recovered"}
    assert balance.currencies[0].total_micros == BALANCE - sum(costs.values())
    assert balance.currencies[0].held_micros == 0
    connection.close()
