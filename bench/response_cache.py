"""What a hit of the response cache costs, against a bare Starlette echo under the same server.

    python bench/response_cache.py [--seconds 5]

The server of `overhead.py` with its scripted engine, asked the same again and again over one connection, by turns with
the echo. Bar: a hit, whole or as a stream of 50 chunks, p50 <= 2 ms above the echo.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json

import uvloop

from overhead import NUM_CHUNKS, STREAM, WHOLE, cpu_s, free_port, load, quantile, running, wait_for

PROMPT_CHARACTERS = 5_000
LONG = {**WHOLE, "messages": [{"role": "user", "content": "word " * (PROMPT_CHARACTERS // 5)}], "max_tokens": 8}


def cache_result(port: int, body: object) -> str | None:
    """What `X-Seekd-Cache` says to one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.getheader("x-seekd-cache")


async def _main(seconds: float) -> None:
    ports = {"seekd": free_port(), "echo": free_port()}
    with running(ports, "--cached") as processes:
        for role, process in processes.items():
            await wait_for(ports[role], process)
        for name, body in (
            ("whole answer", WHOLE),
            (f"stream of {NUM_CHUNKS} chunks", STREAM),
            (f"whole answer, prompt of {PROMPT_CHARACTERS} characters (no bar)", LONG),
        ):
            repeat = {**body, "temperature": 0}
            said = [await asyncio.to_thread(cache_result, ports["seekd"], repeat) for _ in range(2)]
            if said != ["miss", "hit"]:
                raise RuntimeError(f"the cache said {said}")
            before_s = cpu_s(processes["seekd"].pid)
            own: list[float] = []
            bare: list[float] = []
            for _ in range(5):  # by turns: the machine's mood changes
                own += await load(ports["seekd"], repeat, num_connections=1, seconds=seconds / 5)
                bare += await load(ports["echo"], repeat, num_connections=1, seconds=seconds / 5)
            cpu_ms = (cpu_s(processes["seekd"].pid) - before_s) / len(own) * 1000
            for share_name, share in (("p50", 0.5), ("p99", 0.99)):
                hit_ms, echo_ms = quantile(own, share), quantile(bare, share)
                print(f"{name}, {share_name}: hit {hit_ms:.2f} ms, echo {echo_ms:.2f} ms, {hit_ms - echo_ms:+.2f} ms")
            print(f"{name}: {cpu_ms:.2f} ms of CPU each")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    uvloop.run(_main(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
