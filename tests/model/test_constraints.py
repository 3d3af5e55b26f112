"""A random-weight model at temperature 1.5, which wanders where a trained one does not, keeps to its constraint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import jsonschema
import pytest

from seekd.constrain.grammars import constraint_for
from seekd.constrain.matcher import ConstraintCompiler
from seekd.engine.cache.prefix_cache import NullPrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.llama.runtime import open_runtime
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.settings import EngineSettings
from seekd.engine.types import ConstraintSpec, EngineRequest, EngineUpdate, FinishReason, Sampling
from seekd.output_rule import OfferedTool, OutputRule
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture
from tests.unit.constrain.calls import read_answer

PROFILE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "plan": {"enum": ["free", "paid"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    },
    "required": ["name", "age", "plan", "tags"],
    "additionalProperties": False,
}
TOOLS = (OfferedTool(name="save", parameters=PROFILE), OfferedTool(name="now"))
JSON = OutputRule(kind="json_schema", schema=json.dumps(PROFILE))
CALL = OutputRule(kind="tools", tools=TOOLS, tool_choice="required", max_calls=2)


class Engine:
    """An engine core over a real model, driven by hand."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        limits = SchedulerLimits(max_sequences=4, num_cells=runtime.num_cells, context_length=1024, batch_tokens=128)
        self.core = EngineCore(
            scheduler=Scheduler(limits, NullPrefixCache()),
            cache=NullPrefixCache(),
            memory=runtime.memory,
            model=runtime.model,
            vocabulary=runtime.vocabulary,
            build_constraint=ConstraintCompiler(),
            clock=time.monotonic,
        )

    def generate(self, *requests: EngineRequest) -> list[list[EngineUpdate]]:
        updates: dict[str, list[EngineUpdate]] = {request.request_id: [] for request in requests}
        for request in requests:
            self.core.add(request, self.core.compile_constraint(request))
        while self.core.has_work:
            for update in self.core.step():
                updates[update.request_id].append(update)
        return list(updates.values())

    def text(self, updates: list[EngineUpdate]) -> str | None:
        """What was generated; None when it was cut."""
        assert updates[-1].finish_reason in (FinishReason.STOP, FinishReason.LENGTH), updates[-1].error
        if updates[-1].finish_reason is FinishReason.LENGTH:
            return None
        token_ids = [token_id for update in updates for token_id in update.token_ids]
        return b"".join(map(self.runtime.vocabulary.token_bytes, token_ids)).decode()


@pytest.fixture(scope="module")
def engine(model_file: ModelFiles) -> Iterator[Engine]:
    settings = EngineSettings(context_length=1024, max_sequences=4, batch_tokens=128)
    with open_runtime(model_file(Architecture.LLAMA), settings) as runtime:
        yield Engine(runtime)


def request(
    rule: OutputRule, seed: int, *, thinking: bool = False, call_syntax: str = "deepseek-v4.1"
) -> EngineRequest:
    compiled = constraint_for(rule, call_syntax=call_syntax, starts_in_reasoning=thinking)
    return EngineRequest(
        request_id=f"{seed}",
        prompt_token_ids=[50 + seed, 60, 70],
        max_tokens=600,
        sampling=Sampling(temperature=1.5, seed=seed),
        constraint=ConstraintSpec(grammar=compiled.grammar),
    )


def test_every_finished_answer_fits_its_schema(engine: Engine) -> None:
    texts = [engine.text(updates) for updates in engine.generate(*(request(JSON, seed) for seed in range(8)))]
    finished = [text for text in texts if text is not None]
    assert len(finished) >= 6
    for text in finished:
        jsonschema.validate(json.loads(text), PROFILE)


@pytest.mark.parametrize("call_syntax", ["deepseek-v4.1", "deepseek-v4"])
def test_every_finished_call_names_a_tool_and_fits_its_schema(engine: Engine, call_syntax: str) -> None:
    requests = [request(CALL, seed, call_syntax=call_syntax) for seed in range(8)]
    texts = [engine.text(updates) for updates in engine.generate(*requests)]
    finished = [text for text in texts if text is not None]
    assert len(finished) >= 4
    for text in finished:
        calls = read_answer(text, opened=True).calls
        assert 1 <= len(calls) <= 2
        for name, arguments in calls:
            assert name in ("save", "now")
            jsonschema.validate(arguments, PROFILE if name == "save" else {"const": {}})


def test_forced_tokens_are_not_sampled_and_change_nothing_that_is(engine: Engine) -> None:
    """With log-probabilities each token is sampled; at temperature 0 both ways must say the same."""
    plain = replace(request(JSON, 1), sampling=Sampling(temperature=0), max_tokens=120)
    before = engine.core.stats().num_forced_tokens
    [forced] = engine.generate(plain)
    num_forced = engine.core.stats().num_forced_tokens - before
    [sampled] = engine.generate(replace(plain, sampling=Sampling(temperature=0, num_top_logprobs=2)))
    assert num_forced > 20
    assert engine.core.stats().num_forced_tokens - before == num_forced
    left, right = ([token for update in updates for token in update.token_ids] for updates in (forced, sampled))
    assert left[:20] == right[:20]
    assert all(update.logprobs is None or len(update.logprobs) == len(update.token_ids) for update in sampled)


def test_a_seed_repeats_an_answer_under_penalties(engine: Engine) -> None:
    sampling = Sampling(temperature=1.5, seed=3, presence_penalty=1.0, frequency_penalty=0.5)
    one = replace(request(JSON, 3), sampling=sampling)
    assert engine.text(engine.generate(one)[0]) == engine.text(engine.generate(one)[0])


def test_an_answer_cannot_end_inside_the_reasoning(engine: Engine) -> None:
    for updates in engine.generate(*(replace(request(JSON, seed, thinking=True), max_tokens=250) for seed in range(4))):
        text = engine.text(updates)
        if text is not None:
            jsonschema.validate(json.loads(text.partition("</think>")[2]), PROFILE)
