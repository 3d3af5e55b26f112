from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from seekd.constrain.compiler import RuleCompiler
from seekd.constrain.grammars import CompiledRule
from seekd.errors import InvalidParameter
from seekd.prompt.types import OfferedTool, OutputRule

JSON = OutputRule(kind="json_object")


class CountingExecutor(Executor):
    """Runs everything in one thread, behind a gate, and counts."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(1)
        self.gate = threading.Event()
        self.gate.set()
        self.num_submitted = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def run() -> Any:
            self.gate.wait()
            return fn(*args, **kwargs)

        self.num_submitted += 1
        return self.threads.submit(run)


@pytest.fixture
def executor() -> Iterator[CountingExecutor]:
    executor = CountingExecutor()
    yield executor
    executor.gate.set()
    executor.threads.shutdown()


async def compile_rule(compiler: RuleCompiler, rule: OutputRule = JSON, *, thinking: bool = False) -> CompiledRule:
    return await compiler.compile(rule, prompt_format="deepseek-v4.1", starts_in_reasoning=thinking)


async def test_a_rule_is_compiled_in_the_executor_and_kept(executor: CountingExecutor) -> None:
    compiler = RuleCompiler(executor)
    first = await compile_rule(compiler)
    assert "%json" in first.grammar
    assert await compile_rule(compiler) is first
    assert executor.num_submitted == 1


async def test_whatever_changes_the_grammar_is_another_rule(executor: CountingExecutor) -> None:
    def tools(**parameters: Any) -> tuple[OfferedTool, ...]:
        return (OfferedTool(name="f", parameters={"type": "object", "properties": parameters}),)

    string, integer = {"type": "string"}, {"type": "integer"}
    rules = [
        JSON,
        OutputRule(kind="json_schema", schema='{"properties": {"a": {}}}'),
        OutputRule(kind="tools", tools=tools(a=string, b=integer)),
        OutputRule(kind="tools", tools=tools(b=integer, a=string)),
        OutputRule(kind="tools", tools=tools(a=string, b=integer), tool_choice="required"),
        OutputRule(kind="tools", tools=tools(a=string, b=integer), max_calls=1),
        OutputRule(kind="tools", tools=tools(a=string, b=integer), json_or_tools=True),
    ]
    compiler = RuleCompiler(executor)
    compiled = [await compile_rule(compiler, rule, thinking=thinking) for rule in rules for thinking in (False, True)]
    assert len({one.grammar for one in compiled}) == len(compiled)


async def test_equal_rules_at_once_are_compiled_once(executor: CountingExecutor) -> None:
    executor.gate.clear()
    compiler = RuleCompiler(executor)
    waiting = [asyncio.create_task(compile_rule(compiler)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    executor.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({id(result) for result in results[1:]}) == 1
    assert executor.num_submitted == 1


async def test_a_rule_that_takes_too_long_is_refused(executor: CountingExecutor) -> None:
    executor.gate.clear()
    compiler = RuleCompiler(executor, timeout_s=0.01)
    with pytest.raises(InvalidParameter, match="takes too long"):
        await compile_rule(compiler)
    executor.gate.set()


async def test_a_refusal_reaches_the_caller_and_is_not_kept(executor: CountingExecutor) -> None:
    compiler = RuleCompiler(executor)
    for _ in range(2):
        with pytest.raises(InvalidParameter, match="not"):
            await compile_rule(compiler, OutputRule(kind="json_schema", schema='{"type": "object", "not": {}}'))
    assert executor.num_submitted == 2


async def test_kept_rules_are_bounded(executor: CountingExecutor) -> None:
    compiler = RuleCompiler(executor, num_kept_rules=2)
    for number in range(4):
        await compile_rule(compiler, OutputRule(kind="regex", schema=f"a{{{number}}}"))
    assert len(compiler._kept) == 2
    await compile_rule(compiler, OutputRule(kind="regex", schema="a{3}"))
    assert executor.num_submitted == 4
