"""A process whose disk is full for a while: `python -m tests.integration.books_full DATA_DIR KEY`.

A limit on the size of its files stands for the full disk, since both end a write with an error. Prints what happened.
"""

import asyncio
import resource
import sys
from dataclasses import replace
from pathlib import Path

from seekd.accounts.books import open_books
from seekd.accounts.types import Usage
from seekd.errors import StoreError
from tests.integration.books_load import MOST, PROMPT, settings

USED = Usage(num_hit_tokens=0, num_miss_tokens=PROMPT, num_completion_tokens=10)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


async def main(data_dir: Path, key: str) -> None:
    books = open_books(replace(settings(), store_timeout_s=0.3, busy_timeout_s=0.1), data_dir, allows_open=False)
    await books.start()
    caller = await books.authenticate(key)

    async def reserve(request_id: str):  # type: ignore[no-untyped-def]
        return await books.reserve(
            caller, request_id=request_id, model="m", num_prompt_tokens=PROMPT, max_completion_tokens=MOST
        )

    running = await reserve("running")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((data_dir / "books.sqlite3-wal").stat().st_size, hard))
    try:
        await reserve("while full")
        say("served for free")
    except StoreError:
        say("refused")
    charge = await books.settle(running, USED)
    say(f"settled {charge.cost_micros}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while True:
        try:
            await books.settle(await reserve("after"), USED)
            break
        except StoreError:
            await asyncio.sleep(0.05)
    say("back")
    await books.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
