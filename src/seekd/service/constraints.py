"""From the rule that a request's output keeps to, to the grammar that the engine enforces.

Room: service. May import: constrain, engine, prompt and below.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import msgspec

from seekd.constrain.grammars import CompiledRule, constraint_for
from seekd.errors import InvalidParameter
from seekd.prompt.types import AnswerStart, ChatFormat, OutputRule


class CompileRule(Protocol):
    """Turns a rule into a grammar; called in a thread."""

    def __call__(
        self, rule: OutputRule, *, call_syntax: str, starts_in_reasoning: bool, may_reason: bool
    ) -> CompiledRule:
        """Raises `InvalidParameter` for a rule that cannot be enforced."""


COMPILE_LIMIT_S = 5.0
"""Compiling takes milliseconds; a schema that takes longer than this is an attack or a mistake."""

NUM_KEPT = 256
"""Compiled rules that are kept: a client sends the same tools with every request."""


NUM_THREADS = 2
"""Of their own: schemas that take long must not stop the tokenizing of long prompts, which has the default threads."""


class RuleCompiler:
    """Compiles rules in threads, within a time limit, equal ones that come at once only once, and keeps the latest.

    Args:
        compile_rule: `constrain.grammars.constraint_for`.
    """

    def __init__(self, compile_rule: CompileRule = constraint_for) -> None:
        self._compile_rule = compile_rule
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="seekd-rules")
        self._kept: OrderedDict[bytes, CompiledRule] = OrderedDict()
        self._running: dict[bytes, asyncio.Future[CompiledRule]] = {}

    async def compile(self, rule: OutputRule, *, chat_format: ChatFormat, start: AnswerStart) -> CompiledRule:
        """The grammar of a rule.

        Args:
            rule: of the request.
            chat_format: of the model that answers.
            start: where the prompt leaves it.

        Raises:
            InvalidParameter: the rule cannot be enforced, or not within the time limit; the message says why.
        """
        call_syntax = chat_format.call_syntax
        key = msgspec.json.encode((rule, call_syntax, start))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        running = self._running.get(key)
        if running is None:
            work = partial(
                self._compile_rule,
                rule,
                call_syntax=call_syntax,
                starts_in_reasoning=start is AnswerStart.REASONING,
                may_reason=start is AnswerStart.MAYBE_REASONING,
            )
            running = self._running[key] = asyncio.get_running_loop().run_in_executor(self._threads, work)
            running.add_done_callback(partial(self._keep, key))
        try:
            async with asyncio.timeout(COMPILE_LIMIT_S):
                return await asyncio.shield(running)
        except TimeoutError as error:
            raise InvalidParameter("The requested output format takes too long to compile; simplify it.") from error

    def _keep(self, key: bytes, done: asyncio.Future[CompiledRule]) -> None:
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[key] = done.result()
        if len(self._kept) > NUM_KEPT:
            self._kept.popitem(last=False)
