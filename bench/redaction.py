"""How fast sensitive data is found and put back.

    python bench/redaction.py

Prints one line a bar, PASS or FAIL, measured in this run: prompt text of mixed prose, code and tables with a hit in
about every two kilobytes, all built-in rules on; streamed chunks of an answer that repeats the placeholders; and texts
that were made to cost much, which any caller may send. Times are those of the processor: one thread does all of it.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from seekd.guard.finding import RuleBook
from seekd.guard.placeholders import Placeholders
from seekd.guard.settings import RULES, GuardSettings
from seekd.prompt.answer.unbroken import UnbrokenTexts
from seekd.wire.restoring import AnswerRestorer

MIN_MB_PER_S = 20.0
MIN_WORST_MB_PER_S = 1.0
MAX_CHUNK_MS = 0.1
NUM_CHARS = 4_000_000
NUM_RUNS = 5
ROOT = Path(__file__).resolve().parent.parent

HITS = (
    "Please write to anna.schmidt{n}@example.com before Friday.",
    "My number is +49 30 90{n:06d}, or call (415) 555-26{m:02d} in the office.",
    "The card 4111 1111 1111 1111 expires in May.",
    "Transfer it to DE89 3704 0044 0532 0130 00 today.",
    "The server answers at 10.20.{m}.17 and at 2001:db8::{m:x}:7.",
    "export API_KEY=sk-3f9a0c{n:026x}",
    "Authorization: Bearer 8d7f6a5b4c3d2e1f{n:08d}",
)
TABLE = (
    "| 2026-05-{m:02d} | v1.{m}.3 | {n} units | 1,2{m:02d}.50 EUR | a3f5c9d{n:x} | "
    "550e8400-e29b-41d4-a716-4466554{n:05d} |"
)


def mixed_text() -> str:
    """The repository's own pages and modules, a table line in every two kilobytes and a hit as well."""
    chosen = random.Random(1)
    files = sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "src" / "seekd").rglob("*.py"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines(keepends=True)]
    parts: list[str] = []
    size, next_hit, count = 0, 2000, 0
    while size < NUM_CHARS:
        start = chosen.randrange(len(lines))
        for line in lines[start : start + 40]:
            parts.append(line)
            size += len(line)
            if size > next_hit:
                next_hit = size + 2000
                count += 1
                values = {"n": count % 100_000, "m": 10 + count % 18}
                parts.append(chosen.choice(HITS).format(**values) + "\n")
                if count % 2:
                    parts.append(TABLE.format(**values) + "\n")
    return "".join(parts)[:NUM_CHARS]


def best_s(work: Callable[[], object], num_runs: int = NUM_RUNS) -> float:
    """The fastest run: what else the machine does only adds to it."""
    times = []
    for _ in range(num_runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def redact(rules: RuleBook, text: str) -> Placeholders:
    """Find and replace, as a request does."""
    placeholders = Placeholders((text,))
    placeholders.hide(text, rules.find(text, RULES))
    return placeholders


def chunk_times_ms() -> list[float]:
    """What each chunk of an answer costs: kept in one piece before the parser, restored after it."""
    placeholders = Placeholders()
    rules = RuleBook(GuardSettings())
    text = " ".join(hit.format(n=n, m=n + 10) for n in range(8) for hit in HITS)
    answer = placeholders.hide(text, rules.find(text, RULES)) * 20
    pieces = [answer[start : start + 5] for start in range(0, len(answer), 5)]
    unbroken = UnbrokenTexts(tuple(placeholders.values))
    restorer = AnswerRestorer(placeholders.restore, json_answer=False)
    times = []
    for piece in pieces:
        start = time.process_time()
        whole = unbroken.push(piece)
        # Made by the protocol package in any case, so not a cost of this.
        middle = time.process_time()
        chunk = {"id": "x", "choices": [{"index": 0, "delta": {"content": whole}}]}
        again = time.process_time()
        restorer(chunk)
        times.append((middle - start + time.process_time() - again) * 1000)
    return times


def bar(name: str, value: float, limit: float, unit: str, *, at_least: bool) -> bool:
    """Print one line."""
    passed = value >= limit if at_least else value <= limit
    print(f"{name:58s} {value:9.4f} {unit}  bar {'>=' if at_least else '<='} {limit:g}  {'PASS' if passed else 'FAIL'}")
    return passed


def main() -> int:
    """Measure, print, and leave with 1 where a bar is missed."""
    rules = RuleBook(GuardSettings())
    text = mixed_text()
    num_bytes = len(text.encode())
    found = len(rules.find(text, RULES))
    rate = num_bytes / 1e6 / best_s(lambda: redact(rules, text))
    print(f"prompt text: {num_bytes / 1e6:.1f} MB, {found} findings, one in {num_bytes / max(1, found):.0f} bytes")
    passed = bar("redaction of prompt text, all built-in rules", rate, MIN_MB_PER_S, "MB/s", at_least=True)
    times = sorted(chunk_times_ms())
    passed &= bar("streamed chunk, 99th of 100", times[len(times) * 99 // 100], MAX_CHUNK_MS, "ms", at_least=False)
    print(f"streamed chunk, median {statistics.median(times):.4f} ms, largest {times[-1]:.4f} ms")
    for name, line in (
        ("nothing but telephone numbers", "+49 30 901234, (415) 555-2671\n"),
        ("digits in groups as telephones have them", "315 202 4471, 818 334 1092, "),
        ("nothing but card numbers", "4111 1111 1111 1111\n"),
        ("beginnings of card numbers", "4111 "),
        ("nothing but account numbers", "DE89 3704 0044 0532 0130 00\n"),
        ("account numbers with a wrong check digit", "DE89 3704 0044 0532 0130 01\n"),
        ("beginnings of account numbers", "AB12 DE12 "),
        ("nothing but e-mail addresses", "ann@example.com\n"),
        ("the shortest e-mail addresses", "@a.bc"),
        ("digits in groups that are nothing", "1234 5678 9012 3456 7890 "),
        ("log lines with times and addresses", "2026-05-11 10:30:00,123 10.20.30.40 GET /x 200 5123\n"),
        ("dates and times", "2026-05-11 10:30:00 "),
        ("IPv6 addresses", "2001:db8::1f:7 "),
        ("at signs", "a@a"),
        ("colons", "a1b::"),
        ("numbers between colons", "1:2:3:4:5:6:7:8:9:"),
        ("one long word", "x"),
        ("Chinese prose", "今天天气很好，我们去公园散步吧。"),
    ):
        bad = line * (400_000 // len(line))
        rate = len(bad.encode()) / 1e6 / best_s(lambda bad=bad: redact(rules, bad), 2)
        passed &= bar(name, rate, MIN_WORST_MB_PER_S, "MB/s", at_least=True)
    values = ["location", "km/h", "abc1", "1"] * 25_000
    rate = sum(map(len, values)) / 1e6 / best_s(lambda: [rules.find(value, RULES) for value in values], 2)
    passed &= bar("a hundred thousand short values", rate, MIN_WORST_MB_PER_S, "MB/s", at_least=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
