"""From the rule that a request's output keeps to, to the grammar that the engine enforces.

    rule ──kept──────────────────────────────────────────────────────────────> grammar, or the refusal of before
      └──> its account's turn ──> a free process ──> compiled within limits ──┘

The processes are started by the first rules that need them. An account has one rule compiled at a time, so whoever
sends schemas that take long waits for themselves, and a process is left for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from weakref import WeakValueDictionary

import msgspec

from seekd.constrain.grammars import CompiledRule
from seekd.engine.link.frames import LENGTH_BYTES, frame
from seekd.errors import EngineError, InvalidParameter, Overloaded, SeekdError, ShuttingDown
from seekd.output_rule import OutputRule
from seekd.prompt.types import AnswerStart, ChatFormat
from seekd.service.rule_worker import MAX_MEMORY_BYTES, RuleAnswer, RuleJob

_log = logging.getLogger(__name__)

CPU_LIMIT_S = 2.0
"""Compiling takes milliseconds; the largest schemas that are taken need half a second."""

WAIT_LIMIT_S = 10.0
"""Longest wait for a turn, and again for a process that does not get on: a machine without time to spare."""

NUM_KEPT = 256
"""Rules that are kept: a client sends the same tools with every request."""
MAX_KEPT_CHARS = 16 * 1024 * 1024
"""Length of all kept grammars together."""

NUM_PROCESSES = 2
"""Each has some 25 MiB."""

WORKER = (sys.executable, "-P", "-m", "seekd.service.rule_worker")
"""Starts a process."""


class _TooCostly(InvalidParameter):
    """A refusal for what compiling costs, which is worth keeping."""


class RuleCompiler:
    """Compiles rules in processes that can be killed, equal ones that come at once only once, and keeps the latest.

    Args:
        cpu_limit_s: most processor time for one rule.
        wait_limit_s: longest wait for a turn.
        command: starts a process; replaced by tests.
    """

    def __init__(
        self,
        *,
        cpu_limit_s: float = CPU_LIMIT_S,
        wait_limit_s: float = WAIT_LIMIT_S,
        command: tuple[str, ...] = WORKER,
    ) -> None:
        self._cpu_limit_s = cpu_limit_s
        self._wait_limit_s = wait_limit_s
        self._processes = [_RuleProcess(command, cpu_limit_s=cpu_limit_s) for _ in range(NUM_PROCESSES)]
        self._idle: asyncio.LifoQueue[_RuleProcess] = asyncio.LifoQueue()  # one that has been started comes first
        for process in reversed(self._processes):
            self._idle.put_nowait(process)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: dict[bytes, _Running] = {}
        self._tasks: set[asyncio.Task[CompiledRule]] = set()  # those that nobody waits for any more included
        self._kept: OrderedDict[bytes, CompiledRule | _TooCostly] = OrderedDict()
        self._num_kept_chars = 0
        self._is_closed = False

    async def compile(
        self, rule: OutputRule, *, chat_format: ChatFormat, start: AnswerStart, account_id: str
    ) -> CompiledRule:
        """The grammar of a rule.

        Args:
            rule: of the request.
            chat_format: of the model that answers.
            start: where the prompt leaves it.
            account_id: whose turn it takes.

        Raises:
            InvalidParameter: the rule cannot be enforced, or costs too much to compile; the message says why.
            Overloaded: its turn did not come in time.
            ShuttingDown: the compiler is closed.
        """
        job = self._encoded(rule, chat_format, start)
        key = blake2b(job, digest_size=32).digest()
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            if isinstance(kept, _TooCostly):
                raise _TooCostly(kept.message)
            return kept
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(asyncio.create_task(self._compile(key, job, account_id)))
            self._tasks.add(running.task)
            running.task.add_done_callback(self._tasks.discard)
        running.num_waiting += 1
        try:
            return await asyncio.shield(running.task)
        except asyncio.CancelledError:
            if self._is_closed:
                raise ShuttingDown from None
            raise
        finally:
            running.num_waiting -= 1
            if not running.num_waiting:
                del self._running[key]
                running.task.cancel()  # where it still runs, for nobody

    async def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._is_closed = True
        for task in self._tasks:
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in self._processes:
            await process.close()

    def _encoded(self, rule: OutputRule, chat_format: ChatFormat, start: AnswerStart) -> bytes:
        job = RuleJob(
            rule=rule,
            call_syntax=chat_format.call_syntax,
            starts_in_reasoning=start is AnswerStart.REASONING,
            may_reason=start is AnswerStart.MAYBE_REASONING,
            cpu_limit_s=self._cpu_limit_s,
        )
        try:
            return msgspec.json.encode(job)
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise InvalidParameter("The requested output format holds text that is not valid Unicode.") from error

    async def _compile(self, key: bytes, job: bytes, account_id: str) -> CompiledRule:
        try:
            answer = await self._answer(job, account_id)
            if answer.compiled is None:
                raise InvalidParameter(answer.refusal)
        except _TooCostly as error:
            self._keep(key, error)
            raise
        self._keep(key, answer.compiled)
        return answer.compiled

    async def _answer(self, job: bytes, account_id: str) -> RuleAnswer:
        turn = self._turns.setdefault(account_id, asyncio.Lock())
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._wait_limit_s) as limit, turn:
                process = await self._idle.get()
                try:
                    limit.reschedule(loop.time() + self._wait_limit_s + self._cpu_limit_s)
                    return await process.compile(job)
                finally:
                    self._idle.put_nowait(process)
        except TimeoutError as error:
            raise Overloaded from error

    def _keep(self, key: bytes, result: CompiledRule | _TooCostly) -> None:
        self._kept[key] = result
        self._num_kept_chars += _num_chars(result)
        while len(self._kept) > NUM_KEPT or self._num_kept_chars > MAX_KEPT_CHARS:
            _, dropped = self._kept.popitem(last=False)
            self._num_kept_chars -= _num_chars(dropped)


@dataclass(slots=True)
class _Running:
    """A rule that is compiled, and how many requests wait for it."""

    task: asyncio.Task[CompiledRule]
    num_waiting: int = 0


def _num_chars(result: CompiledRule | _TooCostly) -> int:
    return len(result.grammar) if isinstance(result, CompiledRule) else 0


class _RuleProcess:
    """One process: started by its first rule, and by the next one after it has died. Compiles one rule at a time."""

    def __init__(self, command: tuple[str, ...], *, cpu_limit_s: float) -> None:
        self._command = command
        self._cpu_limit_s = cpu_limit_s
        self._start: asyncio.Task[asyncio.subprocess.Process] | None = None

    async def compile(self, job: bytes) -> RuleAnswer:
        """What becomes of a job; when this is cancelled the process is killed.

        Raises:
            InvalidParameter: it is beyond the limits.
            EngineError: the process died of something else.
        """
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(frame(job))
            await process.stdin.drain()
            head = await process.stdout.readexactly(LENGTH_BYTES)
            answer = await process.stdout.readexactly(int.from_bytes(head, "little"))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise self._cause(await process.wait()) from error
        except BaseException:
            await self.close()
            raise
        return msgspec.json.decode(answer, type=RuleAnswer)

    async def close(self) -> None:
        """Kill the process; the next rule starts another one."""
        start, self._start = self._start, None
        if start is None:
            return
        with contextlib.suppress(OSError):  # it did not start; or it is gone
            process = await start
            process.kill()
            await process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        start = self._start
        if start is None or (start.done() and (start.exception() or start.result().returncode is not None)):
            pipe = asyncio.subprocess.PIPE
            start = asyncio.create_task(asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe))
            self._start = start
        return await asyncio.shield(start)  # asyncio loses a process whose start is cancelled

    def _cause(self, status: int) -> SeekdError:
        memory = f"{MAX_MEMORY_BYTES // 1024**2} MiB of memory"
        costs = {
            -signal.SIGPROF: f"{self._cpu_limit_s:g} s of processor time",
            -signal.SIGABRT: memory,
            -signal.SIGSEGV: memory,  # the stack could not grow
        }
        if status in costs:
            return _TooCostly(
                f"The requested output format takes more than {costs[status]} to compile; simplify it: fewer"
                " conditions on one value, smaller counts in patterns."
            )
        _log.error("a process that compiles rules died", extra={"action": "rule_process_died", "status": status})
        return EngineError("The requested output format could not be compiled. Try again.")
