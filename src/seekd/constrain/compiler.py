"""Rules become grammars in a worker thread, within limits of time, and are kept.

Room: constrain. May import: errors. One instance a process; used from one asyncio event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from concurrent.futures import Executor

from seekd.constrain.grammars import CompiledRule, OutputRule, constraint_for
from seekd.errors import InvalidParameter

COMPILE_TIMEOUT_S = 5.0
"""Longest wait for one rule. Real schemas take milliseconds; what takes longer is built to take long."""

NUM_KEPT_RULES = 256
"""Grammars kept for reuse; an agent sends the same tools with every request."""


class RuleCompiler:
    """Compiles the rules of requests, each different one once.

    A rule that runs out of time keeps its thread until it is done: the limits of schema and grammar size bound that.
    """

    def __init__(
        self, executor: Executor, *, timeout_s: float = COMPILE_TIMEOUT_S, num_kept_rules: int = NUM_KEPT_RULES
    ) -> None:
        """Use `executor`, which stays the caller's: threads of its own, so that nothing else waits behind a rule."""
        self._executor = executor
        self._timeout_s = timeout_s
        self._num_kept_rules = num_kept_rules
        self._kept: OrderedDict[bytes, CompiledRule] = OrderedDict()  # least recently used first
        self._running: dict[bytes, asyncio.Future[CompiledRule]] = {}

    async def compile(self, rule: OutputRule, *, prompt_format: str, starts_in_reasoning: bool) -> CompiledRule:
        """The grammar of a rule; see `constraint_for`.

        Raises:
            InvalidParameter: the rule cannot be enforced, or not within the time.
        """
        key = _key(rule, prompt_format, starts_in_reasoning=starts_in_reasoning)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        running = self._running.get(key)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(
                self._executor,
                lambda: constraint_for(rule, prompt_format=prompt_format, starts_in_reasoning=starts_in_reasoning),
            )
            self._running[key] = running
            running.add_done_callback(lambda done: self._finish(key, done))
        try:
            # Shielded: a caller that gives up must not take the work from the others who wait for it.
            return await asyncio.wait_for(asyncio.shield(running), self._timeout_s)
        except TimeoutError as error:
            raise InvalidParameter("The requested output format takes too long to compile.") from error

    def _finish(self, key: bytes, done: asyncio.Future[CompiledRule]) -> None:
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[key] = done.result()
        while len(self._kept) > self._num_kept_rules:
            self._kept.popitem(last=False)


def _key(rule: OutputRule, prompt_format: str, *, starts_in_reasoning: bool) -> bytes:
    """Names everything that the grammar depends on; the order of properties is part of it."""
    tools = [(tool.name, tool.parameters, tool.strict) for tool in rule.tools]
    parts = (rule.kind, rule.schema, rule.tool_choice, rule.json_or_tools, rule.max_calls, tools)
    text = json.dumps([prompt_format, starts_in_reasoning, *parts])
    return hashlib.blake2b(text.encode(), digest_size=20).digest()
