import asyncio
import threading

import pytest

from seekd.constrain.grammars import CompiledRule
from seekd.errors import InvalidParameter
from seekd.prompt.types import AnswerStart, OutputRule
from seekd.service.constraints import NUM_KEPT, RuleCompiler
from tests.formats import V41

JSON = OutputRule(kind="json_object")


class Compile:
    """Counts its calls and waits for permission."""

    def __init__(self) -> None:
        self.num_calls = 0
        self.go_on = threading.Event()

    def __call__(
        self, rule: OutputRule, *, call_syntax: str, starts_in_reasoning: bool, may_reason: bool
    ) -> CompiledRule:
        self.num_calls += 1
        assert self.go_on.wait(60)
        if rule.kind == "regex":
            raise InvalidParameter("It cannot be enforced.")
        return CompiledRule(grammar=f"{rule.kind} {call_syntax} {starts_in_reasoning} {may_reason}", warnings=())


async def compiled(compiler: RuleCompiler, rule: OutputRule = JSON, *, start: AnswerStart = AnswerStart.CONTENT) -> str:
    return (await compiler.compile(rule, chat_format=V41, start=start)).grammar


async def test_equal_rules_that_come_at_once_are_compiled_once_and_kept() -> None:
    compile_rule = Compile()
    compiler = RuleCompiler(compile_rule)
    both = [asyncio.create_task(compiled(compiler)) for _ in range(2)]
    await asyncio.sleep(0)
    compile_rule.go_on.set()
    assert await asyncio.gather(*both) == ["json_object deepseek-v4.1 False False"] * 2
    await compiled(compiler)
    assert compile_rule.num_calls == 1


async def test_where_the_answer_begins_is_part_of_the_rule() -> None:
    compile_rule = Compile()
    compile_rule.go_on.set()
    compiler = RuleCompiler(compile_rule)
    assert await compiled(compiler, start=AnswerStart.REASONING) == "json_object deepseek-v4.1 True False"
    assert await compiled(compiler, start=AnswerStart.MAYBE_REASONING) == "json_object deepseek-v4.1 False True"
    assert compile_rule.num_calls == 2


async def test_one_that_leaves_does_not_end_the_work_of_the_other() -> None:
    compile_rule = Compile()
    compiler = RuleCompiler(compile_rule)
    leaver, stayer = [asyncio.create_task(compiled(compiler)) for _ in range(2)]
    await asyncio.sleep(0)
    leaver.cancel()
    compile_rule.go_on.set()
    assert await stayer
    assert compile_rule.num_calls == 1


async def test_a_refusal_is_raised_for_everybody_and_not_kept() -> None:
    compile_rule = Compile()
    compile_rule.go_on.set()
    compiler = RuleCompiler(compile_rule)
    for _ in range(2):
        with pytest.raises(InvalidParameter, match="cannot be enforced"):
            await compiled(compiler, OutputRule(kind="regex", schema="a"))
    assert compile_rule.num_calls == 2


async def test_the_oldest_rules_are_dropped() -> None:
    compile_rule = Compile()
    compile_rule.go_on.set()
    compiler = RuleCompiler(compile_rule)
    rules = [OutputRule(kind="json_schema", schema=str(number)) for number in range(NUM_KEPT + 1)]
    for rule in rules:
        await compiled(compiler, rule)
    await compiled(compiler, rules[-1])
    await compiled(compiler, rules[0])
    assert compile_rule.num_calls == NUM_KEPT + 2
