"""Answers by schema from a real model: how many complete, whether they are valid, and how fast they are.

    python bench/constrain_runs.py MODEL.gguf [--runs 1000] [--temperature 1.5] [--rounds 5] [--threads 1 --cpu-time]

The schema is profile30.schema.json. Speed is completion tokens per second of one stream behind its first token, the
median of the rounds' ratios; each round has an answer by the schema, and free text of the same model, temperature and
number of tokens. With --cpu-time the seconds are the process's own CPU seconds, for machines that others use too; that
needs --threads 1. The runs are --streams at once; each answer that ended by itself is judged by jsonschema.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema

from engine import Endless
from seekd.constrain.grammars import constraint_for
from seekd.constrain.matcher import ConstraintCompiler
from seekd.engine.cache.prefix_cache import NullPrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.llama.runtime import open_runtime
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.settings import EngineSettings
from seekd.engine.types import ConstraintSpec, EngineRequest, FinishReason, Sampling
from seekd.output_rule import OutputRule
from seekd.vocabulary import Vocabulary

SCHEMA = Path(__file__).with_name("profile30.schema.json")


@dataclass(slots=True)
class Answer:
    """What one request gave, and when."""

    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    error: str | None = None
    first_s: float = 0.0
    last_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        return (len(self.token_ids) - 1) / (self.last_s - self.first_s)


class Served:
    """An engine core driven by hand."""

    def __init__(
        self,
        runtime: Runtime,
        vocabulary: Vocabulary,
        compiler: ConstraintCompiler,
        clock: Callable[[], float],
        *,
        num_streams: int = 1,
    ) -> None:
        self._clock = clock
        limits = SchedulerLimits(
            max_sequences=num_streams,
            num_cells=runtime.num_cells,
            context_length=runtime.info.context_length,
            batch_tokens=256,
        )
        self.core = EngineCore(
            scheduler=Scheduler(limits, NullPrefixCache()),
            cache=NullPrefixCache(),
            memory=runtime.memory,
            model=runtime.model,
            vocabulary=vocabulary,
            build_constraint=compiler,
            clock=time.perf_counter,
        )
        self.answers: dict[str, Answer] = {}

    def add(self, request: EngineRequest) -> None:
        self.core.add(request, self.core.compile_constraint(request))
        self.answers[request.request_id] = Answer()

    def step(self) -> None:
        updates = self.core.step()
        now_s = self._clock()
        for update in updates:
            answer = self.answers[update.request_id]
            answer.first_s = answer.first_s or now_s
            answer.token_ids += update.token_ids
            answer.last_s = now_s
            if update.finish_reason is not None:
                answer.finish_reason, answer.error = update.finish_reason, update.error

    def run(self, request: EngineRequest) -> Answer:
        self.add(request)
        while self.core.has_work:
            self.step()
        return self.answers[request.request_id]


def make_request(name: str, seed: int, temperature: float, max_tokens: int, grammar: str | None) -> EngineRequest:
    return EngineRequest(
        request_id=name,
        prompt_token_ids=[40 + seed % 50, 60, 61, 62],
        max_tokens=max_tokens,
        sampling=Sampling(temperature=temperature, seed=seed),
        constraint=None if grammar is None else ConstraintSpec(grammar=grammar),
    )


def speed(runtime: Runtime, compiler: ConstraintCompiler, grammar: str, options: argparse.Namespace) -> None:
    clock = time.process_time if options.cpu_time else time.perf_counter
    constrained, free, forced = [], [], []
    endless: Vocabulary = Endless(runtime.vocabulary)  # type: ignore[assignment]  # it hands on what it has
    for seed in range(options.rounds):
        served = Served(runtime, runtime.vocabulary, compiler, clock)
        answer = served.run(make_request("schema", seed, options.temperature, options.max_tokens, grammar))
        constrained.append(answer.tokens_per_s)
        num_tokens = len(answer.token_ids)
        forced.append(served.core.stats().num_forced_tokens / num_tokens)
        served = Served(runtime, endless, compiler, clock)
        free.append(served.run(make_request("free", seed, options.temperature, num_tokens, None)).tokens_per_s)
        print(f"{num_tokens} tokens: schema {constrained[-1]:.1f} tokens/s, free {free[-1]:.1f}", flush=True)
    ratios = [one / other for one, other in zip(constrained, free, strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (bar 1.3), from {min(ratios):.2f} to {max(ratios):.2f}", end="")
    print(f", forced {statistics.median(forced):.0%} of the tokens", flush=True)


def runs(runtime: Runtime, compiler: ConstraintCompiler, grammar: str, options: argparse.Namespace) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    served = Served(runtime, runtime.vocabulary, compiler, time.perf_counter, num_streams=options.streams)
    outcomes: Counter[str] = Counter()
    num_added = 0
    running: set[str] = set()
    while num_added < options.runs or running:
        while len(running) < options.streams and num_added < options.runs:
            name = f"{num_added}"
            served.add(make_request(name, num_added, options.temperature, options.max_tokens, grammar))
            running.add(name)
            num_added += 1
        served.step()
        for name in [name for name in running if served.answers[name].finish_reason is not None]:
            running.discard(name)
            outcomes[judge(name, served.answers[name], runtime.vocabulary, validator)] += 1
            if outcomes.total() % 100 == 0:
                print(f"after {outcomes.total()} runs: {dict(outcomes)}", flush=True)
    num_tokens = [len(answer.token_ids) for answer in served.answers.values()]
    print(f"{options.runs} runs at temperature {options.temperature}: {dict(outcomes)} (bar: 90 % valid, 0 invalid)")
    print(f"tokens a run: median {statistics.median(num_tokens):.0f}, most {max(num_tokens)}")


def judge(name: str, answer: Answer, vocabulary: Vocabulary, validator: jsonschema.Draft202012Validator) -> str:
    """`valid`, `length`, or what went wrong, which is printed."""
    text = b"".join(map(vocabulary.token_bytes, answer.token_ids))
    outcome = f"{answer.finish_reason} {answer.error or ''}".strip()
    if answer.finish_reason is FinishReason.STOP:
        outcome = "valid" if is_valid(validator, text) else "INVALID"
    if outcome not in ("valid", str(FinishReason.LENGTH)):
        print(f"run {name}: {outcome}: {text!r}", flush=True)
    return outcome


def is_valid(validator: jsonschema.Draft202012Validator, text: bytes) -> bool:
    try:
        return bool(validator.is_valid(json.loads(text)))
    except ValueError:  # no JSON, or no UTF-8
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--max-tokens", type=int, default=1500)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    rule = OutputRule(kind="json_schema", schema=SCHEMA.read_text())
    grammar = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar
    compiler = ConstraintCompiler()
    settings = EngineSettings(
        context_length=2048, max_sequences=options.streams, batch_tokens=256, threads=options.threads
    )
    with open_runtime(options.model, settings) as runtime:
        if options.rounds:
            speed(runtime, compiler, grammar, options)
        if options.runs:
            runs(runtime, compiler, grammar, options)


if __name__ == "__main__":
    main()
