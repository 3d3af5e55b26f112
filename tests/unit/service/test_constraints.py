import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seekd.errors import EngineError, InvalidParameter, Overloaded, ShuttingDown
from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.types import AnswerStart
from seekd.service.constraints import NUM_KEPT, WORKER, RuleCompiler
from tests.formats import V41

JSON = OutputRule(kind="json_object")


def schema(**fields: object) -> OutputRule:
    return OutputRule(kind="json_schema", schema=json.dumps({"type": "object", **fields}))


def slow(number: int = 0) -> OutputRule:
    """Takes many seconds to compile, though none of its keywords is beyond its bound."""
    steps = [{"type": "integer", "multipleOf": multiple} for multiple in (97, 98, 99, 101)]
    return schema(properties={f"a{number}": {"allOf": steps}})


@asynccontextmanager
async def running(
    *, cpu_limit_s: float = 60.0, wait_limit_s: float = 60.0, command: tuple[str, ...] = WORKER
) -> AsyncIterator[RuleCompiler]:
    compiler = RuleCompiler(cpu_limit_s=cpu_limit_s, wait_limit_s=wait_limit_s, command=command)
    try:
        yield compiler
    finally:
        await compiler.close()


async def compiled(
    compiler: RuleCompiler, rule: OutputRule = JSON, *, start: AnswerStart = AnswerStart.CONTENT, account_id: str = "a"
) -> str:
    async with asyncio.timeout(60):
        return (await compiler.compile(rule, chat_format=V41, start=start, account_id=account_id)).grammar


def logging_worker(tmp_path: Path) -> tuple[tuple[str, ...], Callable[[], list[str]]]:
    """A worker that notes its process id when it starts and the kind of each rule that it begins."""
    log = tmp_path / "log"
    log.touch()
    program = tmp_path / "worker.py"
    program.write_text(
        "import os, sys\n"
        "from seekd.service import rule_worker\n"
        f"log = open({str(log)!r}, 'a', buffering=1)\n"
        "print('pid', os.getpid(), file=log)\n"
        "compile_it = rule_worker.constraint_for\n"
        "def noting(rule, **options):\n"
        "    print('rule', rule.kind, file=log)\n"
        "    return compile_it(rule, **options)\n"
        "rule_worker.constraint_for = noting\n"
        "sys.exit(rule_worker.main())\n"
    )
    return (sys.executable, str(program)), lambda: log.read_text().splitlines()


async def until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


async def test_equal_rules_that_come_at_once_are_compiled_once_and_kept(tmp_path: Path) -> None:
    command, log = logging_worker(tmp_path)
    async with running(command=command) as compiler:
        first, second = await asyncio.gather(compiled(compiler), compiled(compiler))
        assert first == second == await compiled(compiler)
    assert [line for line in log() if line.startswith("rule")] == ["rule json_object"]


async def test_where_the_answer_begins_is_part_of_the_rule() -> None:
    async with running() as compiler:
        grammars = [await compiled(compiler, start=start) for start in AnswerStart]
    assert len(set(grammars)) == len(AnswerStart)


async def test_what_is_not_enforced_is_told() -> None:
    tool = OfferedTool(name="f", parameters={"type": "object", "not": {}})
    async with running() as compiler:
        rule = OutputRule(kind="tools", tools=(tool,))
        one = await compiler.compile(rule, chat_format=V41, start=AnswerStart.CONTENT, account_id="a")
    assert "negation" in one.warnings[0]


async def test_one_that_leaves_does_not_end_the_work_of_the_other() -> None:
    async with running() as compiler:
        leaver, stayer = [asyncio.create_task(compiled(compiler)) for _ in range(2)]
        await asyncio.sleep(0)
        leaver.cancel()
        assert await stayer


async def test_a_rule_that_nobody_waits_for_any_more_is_given_up(tmp_path: Path) -> None:
    command, log = logging_worker(tmp_path)
    async with running(command=command) as compiler:
        leaver = asyncio.create_task(compiled(compiler, slow()))
        waiter = asyncio.create_task(compiled(compiler, slow(1)))
        await until(lambda: "rule json_schema" in log())
        waiter.cancel()
        leaver.cancel()
        assert await compiled(compiler)  # it is the turn of the same account
    assert [line for line in log() if line.startswith("rule")] == ["rule json_schema", "rule json_object"]


async def test_a_refusal_is_raised_for_everybody() -> None:
    async with running() as compiler:
        for _ in range(2):
            with pytest.raises(InvalidParameter, match="conditions cannot be enforced"):
                await compiled(compiler, schema(**{"if": {}}))


async def test_text_that_is_not_unicode_is_refused() -> None:
    tool = OfferedTool(name="f", parameters={"enum": ["\ud800"]})
    async with running() as compiler:
        with pytest.raises(InvalidParameter, match="Unicode"):
            await compiled(compiler, OutputRule(kind="tools", tools=(tool,)))


async def test_the_oldest_rules_are_dropped(tmp_path: Path) -> None:
    command, log = logging_worker(tmp_path)
    rules = [schema(properties={f"a{number}": {}}) for number in range(NUM_KEPT + 1)]
    async with running(command=command) as compiler:
        for rule in rules:
            await compiled(compiler, rule)
        num_before = len(log())
        await compiled(compiler, rules[-1])
        assert len(log()) == num_before
        await compiled(compiler, rules[0])
        assert len(log()) == num_before + 1


@pytest.mark.fault("schema-without-end")
async def test_a_rule_that_takes_too_long_is_refused_and_the_refusal_is_kept(tmp_path: Path) -> None:
    command, log = logging_worker(tmp_path)
    async with running(cpu_limit_s=0.3, command=command) as compiler:
        for _ in range(2):
            with pytest.raises(InvalidParameter, match=r"more than 0\.3 s of processor time"):
                await compiled(compiler, slow())
        assert await compiled(compiler)
    assert [line for line in log() if line.startswith("rule")] == ["rule json_schema", "rule json_object"]


@pytest.mark.fault("schema-without-end")
async def test_a_rule_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "worker.py"
    program.write_text(
        "import sys\n"
        "from seekd.service import rule_worker\n"
        "rule_worker.constraint_for = lambda rule, **_: bytearray(2**34)\n"
        "sys.exit(rule_worker.main())\n"
    )
    async with running(command=(sys.executable, str(program))) as compiler:
        with pytest.raises(InvalidParameter, match="MiB of memory"):
            await compiled(compiler)


@pytest.mark.fault("schemas-of-one-account")
async def test_one_account_with_slow_rules_leaves_a_process_to_the_others() -> None:
    async with running() as compiler:
        slow_ones = [asyncio.create_task(compiled(compiler, slow(number))) for number in range(8)]
        await asyncio.sleep(0)
        assert await compiled(compiler, account_id="b")
        assert not any(task.done() for task in slow_ones)
        for task in slow_ones:
            task.cancel()
        await asyncio.wait(slow_ones)


async def test_a_turn_that_does_not_come_in_time_is_no_fault_of_the_schema() -> None:
    async with running(wait_limit_s=0.05) as compiler:
        slow_one = asyncio.create_task(compiled(compiler, slow()))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await compiled(compiler)
        slow_one.cancel()
        await asyncio.wait([slow_one])


async def test_a_process_that_does_not_get_on_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ("/bin/sh", "-c", f"echo $$ > {pid}; exec sleep 600")
    async with running(cpu_limit_s=0.05, wait_limit_s=0.5, command=command) as compiler:
        with pytest.raises(Overloaded):
            await compiled(compiler)
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


async def test_a_process_that_dies_of_something_else_is_the_servers_fault_and_replaced(tmp_path: Path) -> None:
    command, log = logging_worker(tmp_path)
    async with running(command=command) as compiler:
        task = asyncio.create_task(compiled(compiler, slow()))
        await until(lambda: "rule json_schema" in log())
        os.kill(int(log()[0].split()[1]), signal.SIGKILL)
        with pytest.raises(EngineError):
            await task
        assert await compiled(compiler)


async def test_closing_ends_what_runs_and_what_waits() -> None:
    async with running() as compiler:
        tasks = [asyncio.create_task(compiled(compiler, slow(number))) for number in range(3)]
        await asyncio.sleep(0.05)
    for task in tasks:
        with pytest.raises(ShuttingDown):
            await task
