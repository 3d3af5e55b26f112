"""A process that answers requests until it is killed: `python -m tests.integration.books_load DATA_DIR KEY [URL]`.

It prints a line for each answer after its settlement, as a server sends the last byte of an answer after it.
"""

import asyncio
import itertools
import os
import random
import sys
from pathlib import Path

from seekd.accounts.books import Books, open_books
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.types import Usage
from seekd.config import Secret
from seekd.errors import InsufficientBalance

NUM_WORKERS = 16
PROMPT, MOST = 50, 50


def settings(url: str | None = None) -> AccountsSettings:
    """One micro-unit a token, notes at every step."""
    price = PriceSetting(model="m", currency="USD", hit="1", miss="1", output="1")
    return AccountsSettings(
        prices=(price,),
        progress_interval_s=0.0,
        hold_wait_s=0.2,
        lease_s=2.0,
        database_url=None if url is None else Secret(url),
    )


async def answer(books: Books, key: str, request_id: str, randomness: random.Random) -> None:
    """One request; every second one notes its usage before the end."""
    caller = await books.authenticate(key)
    try:
        reservation = await books.reserve(
            caller, request_id=request_id, model="m", num_prompt_tokens=PROMPT, max_completion_tokens=MOST
        )
    except InsufficientBalance:
        os.write(1, f"refused {request_id}\n".encode())
        return
    if randomness.random() < 0.5:
        books.note(reservation, Usage(num_hit_tokens=0, num_miss_tokens=PROMPT, num_completion_tokens=1))
        await asyncio.sleep(0)
    num_completion = randomness.randint(0, MOST)
    usage = Usage(num_hit_tokens=0, num_miss_tokens=PROMPT, num_completion_tokens=num_completion, latency_ms=1.0)
    charge = await books.settle(reservation, usage)
    os.write(1, f"answered {request_id} {charge.cost_micros}\n".encode())


async def main(data_dir: Path, key: str, url: str | None) -> None:
    """Answer until killed, or until the balance is gone for everybody."""
    books = open_books(settings(url), data_dir, allows_open=False)
    await books.start()
    numbers = itertools.count()

    async def work(worker: int) -> None:
        randomness = random.Random(worker)
        while True:
            await answer(books, key, f"{os.getpid()}-{next(numbers)}", randomness)

    await asyncio.gather(*(work(worker) for worker in range(NUM_WORKERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
