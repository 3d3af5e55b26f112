"""Time from process start to the first streamed token, and the memory of both processes.

    python bench/startup.py [--runs 5] [--model bundled]

Bars: first token within 3 s with the bundled model on a warm install; API process at most 150 MB (280 MB with a
vocabulary of 150,000 entries).
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}], "stream": True, "max_tokens": 8}


def _rss_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _one_run(model: str) -> tuple[float, float, float, float]:
    with tempfile.TemporaryDirectory() as data_dir:
        command = [sys.executable, "-m", "seekd", "serve", "--port", "0", "--data-dir", data_dir, "--model", model]
        started = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            url = next(found[1] for line in process.stderr if (found := re.search(r"ready at (http\S+?)[\s,]", line)))
            ready_s = time.perf_counter() - started
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY, timeout=60) as response:
                for line in response.iter_lines():
                    if '"content":"' in line and '"content":""' not in line:
                        break
                first_token_s = time.perf_counter() - started
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return ready_s, first_token_s, _rss_mb(process.pid), sum(_rss_mb(int(child)) for child in children)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="bundled")
    options = parser.parse_args()
    runs = [_one_run(options.model) for _ in range(options.runs)]
    names = ("ready", "first streamed token", "API process", "engine process")
    for name, unit, values in zip(names, ("s", "s", "MB", "MB"), zip(*runs, strict=True), strict=True):
        print(f"{name:22} median {statistics.median(values):7.2f} {unit}   max {max(values):7.2f} {unit}")


if __name__ == "__main__":
    main()
