"""Cost of constraints at a vocabulary of 150,000 entries: masks, forced tokens, compilation.

No model: a random choice among the allowed tokens drives the matchers, every other time among those that close
something, so that walks pass through the whole grammar. The vocabulary is made up, with the shape of a trained one:
every byte, words with and without a space in front, numbers, punctuation, CJK. Times are the thread's own CPU time:
what else runs on the machine does not count, and the matchers use no other thread.

    python bench/constrain_masks.py [--entries 150000] [--masks 12000]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seekd.constrain.grammars import constraint_for
from seekd.constrain.matcher import ConstraintCompiler, GrammarMatcher
from seekd.output_rule import OfferedTool, OutputRule

END, THINK_END, DSML = 256, 257, 258
LETTERS = "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrrddddlllluuucccmmmwwffggyyppbbvkjxqz"


class SyntheticVocabulary:
    """Made-up entries; encodes by the longest match."""

    def __init__(self, num_entries: int, *, seed: int = 0) -> None:
        chance = random.Random(seed)
        entries: dict[bytes, None] = dict.fromkeys(bytes([byte]) for byte in range(256))
        entries |= dict.fromkeys(text.encode() for text in ("<end>", "</think>", "｜DSML｜"))
        marks = "\"{}[]:,.()<>=/\\-_;!?\n\t '"
        entries |= dict.fromkeys(str(number).encode() for number in range(1000))
        while len(entries) < num_entries:
            kind = chance.random()
            if kind < 0.72:
                word = "".join(chance.choice(LETTERS) for _ in range(min(14, 2 + int(chance.expovariate(0.25)))))
                word = word.capitalize() if chance.random() < 0.2 else word
                text = " " + word if chance.random() < 0.6 else word
            elif kind < 0.9:
                text = "".join(chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(chance.choice((1, 2, 2, 3, 4))))
            elif kind < 0.95:
                text = "".join(chance.choice(marks) for _ in range(chance.randint(2, 5)))
            else:
                text = " " * chance.randint(0, 3) + "".join(chr(chance.randint(0xC0, 0x4FF)) for _ in range(3))
            entries[text.encode()] = None
        self._entries = list(entries)
        self._ids = {entry: token_id for token_id, entry in enumerate(self._entries)}

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def end_token_ids(self) -> frozenset[int]:
        return frozenset({END})

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return {"<end>": END, "</think>": THINK_END, "｜DSML｜": DSML}

    def kind(self, token_id: int) -> str:
        return {END: "control", THINK_END: "user_defined", DSML: "user_defined"}.get(token_id, "normal")

    def token_bytes(self, token_id: int) -> bytes:
        return self._entries[token_id]

    def tokenize(self, text: str) -> list[int]:
        data, token_ids = text.encode(), []
        while data:
            length = next(n for n in range(min(len(data), 48), 0, -1) if data[:n] in self._ids)
            token_ids.append(self._ids[data[:length]])
            data = data[length:]
        return token_ids


class Walk:
    """Walks one grammar again and again, and takes the times."""

    def __init__(self, compiler: ConstraintCompiler, vocabulary: SyntheticVocabulary, *, seed: int) -> None:
        self._compiler = compiler
        self._vocabulary = vocabulary
        self._chance = random.Random(seed)
        entries = [(token_id, vocabulary.token_bytes(token_id)) for token_id in range(vocabulary.size)]
        self._closing = np.array([token_id for token_id, entry in entries if entry[0] in b'",}]<'])
        self.mask_us: list[float] = []
        self.forced_us: list[float] = []
        self.num_forced = 0
        self.num_sampled = 0

    def run(self, grammar: str, *, num_masks: int, max_steps: int = 300) -> None:
        while num_masks > 0:
            matcher = self._compiler(grammar, self._vocabulary)
            for _ in range(max_steps):
                self._accept_forced(matcher)
                if matcher.is_complete():
                    break
                started = time.thread_time()
                mask = matcher.allowed()
                self.mask_us.append((time.thread_time() - started) * 1e6)
                num_masks -= 1
                token_id = self._choose(mask)
                if token_id == END:
                    break
                matcher.accept(token_id)
                self.num_sampled += 1

    def _choose(self, mask: npt.NDArray[np.bool_]) -> int:
        if self._chance.random() < 0.5:
            closing = np.flatnonzero(mask[self._closing])
            if len(closing):
                return int(self._closing[self._chance.choice(closing)])
        return int(self._chance.choice(np.flatnonzero(mask)))

    def _accept_forced(self, matcher: GrammarMatcher) -> None:
        started = time.thread_time()
        forced = matcher.forced_token_ids()
        self.forced_us.append((time.thread_time() - started) * 1e6)
        for token_id in forced:
            matcher.accept(token_id)
        self.num_forced += len(forced)


def rules() -> dict[str, OutputRule]:
    schema = Path(__file__).with_name("profile30.schema.json").read_text()
    nested = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "author": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
            "score": {"type": "number"},
            "extra": {},
        },
        "required": ["title", "tags", "author"],
    }
    tools = (
        OfferedTool(name="search", parameters=nested),
        OfferedTool(name="profile", parameters=json.loads(schema)),
    )
    return {
        "json_object": OutputRule(kind="json_object"),
        "profile30": OutputRule(kind="json_schema", schema=schema),
        "nested": OutputRule(kind="json_schema", schema=json.dumps(nested)),
        "tools required": OutputRule(kind="tools", tools=tools, tool_choice="required"),
        "tools auto": OutputRule(kind="tools", tools=tools),
    }


def row(name: str, values: list[float]) -> str:
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return f"{name:28} n={len(values):6}  p50 {p50:8.1f}  p95 {p95:8.1f}  p99 {p99:8.1f}  max {max(values):8.1f}"


def _sums(written_ms: list[float], compiled_ms: list[float]) -> list[float]:
    return [written + compiled for written, compiled in zip(written_ms, compiled_ms, strict=True)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--entries", type=int, default=150_000)
    arguments.add_argument("--masks", type=int, default=12_000)
    options = arguments.parse_args()

    vocabulary = SyntheticVocabulary(options.entries)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    compiler = ConstraintCompiler()
    started = time.thread_time()
    compiler.prepare(vocabulary)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    print(f"tables of {vocabulary.size} entries: {time.thread_time() - started:.2f} s, {grown_mib:.0f} MiB\n")

    written_ms: list[float] = []
    compiled_ms: list[float] = []
    first_us: list[float] = []
    grammars: dict[str, str] = {}
    for name, rule in rules().items():
        for _ in range(40):
            started = time.thread_time()
            grammars[name] = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar
            written_ms.append((time.thread_time() - started) * 1e3)
            started = time.thread_time()
            matcher = compiler(grammars[name] + f"\n// {len(compiled_ms)}\n", vocabulary)  # never kept
            compiled_ms.append((time.thread_time() - started) * 1e3)
            started = time.thread_time()
            matcher.forced_token_ids()
            matcher.allowed()
            first_us.append((time.thread_time() - started) * 1e6)
        print(row(f"{name}: both stages, ms", _sums(written_ms[-40:], compiled_ms[-40:])))
    print(row("rule to grammar, ms", written_ms))
    print(row("grammar to matcher, ms", compiled_ms))
    print(row("both stages, ms", _sums(written_ms, compiled_ms)), " bar: p95 20")
    print(row("first forced + mask, us", first_us))
    print()

    json_us: list[float] = []
    for name, grammar in grammars.items():
        walk = Walk(compiler, vocabulary, seed=1)
        walk.run(grammar, num_masks=options.masks // 3)
        share = walk.num_forced / max(1, walk.num_forced + walk.num_sampled)
        print(row(f"{name}: mask, us", walk.mask_us) + f"  forced {share:.0%}")
        print(row(f"{name}: forced, us", walk.forced_us))
        if not name.startswith("tools"):
            json_us += walk.mask_us
    print()
    print(row("all JSON masks, us", json_us), " bar: p50 100, p99 1000")


if __name__ == "__main__":
    main()
