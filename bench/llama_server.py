"""Decoding speed of seekd against llama-server, both by HTTP, as whole programs in turn on one machine.

    python bench/llama_server.py SHAPE.gguf --llama-server PATH [--threads 2] [--rounds 5] [--tokens 32]

The llama-server must be of the same llama.cpp commit and compiled with the same flags as the installed
llama-cpp-python; the one that links its libraries is best. It runs as it runs by default, with 8 slots and one memory
for all; where seekd keeps llama.cpp from the AMX unit, which fails there, it gets `--no-repack`, which does the same.

SHAPE.gguf is of bench/model_shapes.py: each of its tokens is a word, so no two arrive in one frame.
A rate counts while all streams run, from the last one's first token to the first one's last: a server that begins them
one after the other ends them so too, and the time with fewer is nobody's rate of eight. Each round has prompts of its
own, since a cached one begins at once. Bars: one stream at least 0.97 of llama-server's tokens per second, eight
streams at least 1.0, medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from seekd.engine.llama.binding import has_amx

NUM_STREAMS = 8
START_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: where it completes texts, and what a request says beside the prompt."""

    url: str
    body: dict[str, object]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, health: str) -> Iterator[None]:
    """Start a server, wait until it is healthy, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_LIMIT_S
        while not is_healthy(url + health):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{command[0]} did not start: {' '.join(command)}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def seekd(model: Path, threads: int | None) -> Iterator[Server]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with tempfile.TemporaryDirectory() as data_dir:
        command = [sys.executable, "-m", "seekd", "serve", "--model", str(model), "--port", str(port)]
        command += ["--data-dir", data_dir, "--max-sequences", str(NUM_STREAMS), "--context-length", "2048"]
        command += ["--threads", str(threads)] if threads else []
        with running(command, url, "/models"):
            yield Server(url=f"{url}/beta/completions", body={"model": "deepseek-chat"})


@contextmanager
def llama_server(program: Path, model: Path, threads: int | None) -> Iterator[Server]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(program), "-m", str(model), "--port", str(port), "-np", str(NUM_STREAMS), "-kvu", "-c", "8192"]
    command += ["--no-repack"] if has_amx() else []
    command += ["-t", str(threads)] if threads else []
    with running(command, url, "/health"):
        yield Server(url=f"{url}/v1/completions", body={"ignore_eos": True})


async def rate(server: Server, num_streams: int, num_tokens: int, *, round_number: int) -> float:
    """Tokens per second of all streams together, while all of them run."""
    async with httpx.AsyncClient(timeout=600) as client:
        streams = await asyncio.gather(
            *(token_times(client, server, 10 * round_number + i, num_tokens) for i in range(num_streams))
        )
    started_s, ended_s = max(times[0] for times in streams), min(times[-1] for times in streams)
    num_between = sum(started_s < token_s <= ended_s for times in streams for token_s in times)
    return num_between / (ended_s - started_s)


async def token_times(client: httpx.AsyncClient, server: Server, index: int, num_tokens: int) -> list[float]:
    """When the tokens of a completion came."""
    prompt = " ".join(f"word{100 * index + i}" for i in range(8))
    body = server.body | {"prompt": prompt, "max_tokens": num_tokens, "temperature": 0, "stream": True}
    async with client.stream("POST", server.url, json=body) as response:
        response.raise_for_status()
        times = [time.perf_counter() async for line in response.aiter_lines() if has_token(line)]
    assert len(times) == num_tokens, f"{len(times)} tokens of {num_tokens} came from {server.url}"
    return times


def has_token(line: str) -> bool:
    """Whether a line of a stream brings text, which is a token where each token is a word."""
    if not line.startswith("data: {"):
        return False
    choices = json.loads(line.removeprefix("data: ")).get("choices")
    return bool(choices and choices[0].get("text"))


def main() -> int:
    """Run the rounds and print a line for each number of streams; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-server", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    status = 0
    with (
        seekd(options.model, options.threads) as ours,
        llama_server(options.llama_server, options.model, options.threads) as peer,
    ):
        for num_streams, bar in ((1, 0.97), (NUM_STREAMS, 1.0)):
            rounds = [
                [asyncio.run(rate(server, num_streams, options.tokens, round_number=number)) for server in (ours, peer)]
                for number in range(options.rounds)
            ]
            ratio = statistics.median(mine / its for mine, its in rounds)
            mine, its = (statistics.median(column) for column in zip(*rounds, strict=True))
            verdict = "PASS" if ratio >= bar else "FAIL"
            status |= verdict == "FAIL"
            print(
                f"decode, {num_streams} streams: seekd / llama-server   {mine:.1f} / {its:.1f} tokens/s, {ratio:.3f}"
                f"   bar >= {bar}   {verdict}",
                flush=True,
            )
    return status


if __name__ == "__main__":
    sys.exit(main())
