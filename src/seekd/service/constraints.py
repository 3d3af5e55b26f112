"""From the rule that a request's output keeps to, to the grammar that the engine enforces.

Room: service. May import: constrain, engine, prompt and below.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import msgspec

from seekd.constrain.grammars import CompiledRule, constraint_for
from seekd.errors import InvalidParameter
from seekd.prompt.types import OutputRule, PromptFormat

COMPILE_LIMIT_S = 5.0
"""Compiling takes milliseconds; a schema that takes longer than this is an attack or a mistake."""

NUM_KEPT = 256
"""Compiled rules that are kept: a client sends the same tools with every request."""


class RuleCompiler:
    """Compiles rules in a thread, within a time limit, and keeps the latest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, CompiledRule] = OrderedDict()

    async def compile(
        self, rule: OutputRule, *, prompt_format: PromptFormat, starts_in_reasoning: bool
    ) -> CompiledRule:
        """The grammar of a rule.

        Raises:
            InvalidParameter: the rule cannot be enforced, or not within the time limit; the message says why.
        """
        key = msgspec.json.encode((rule, prompt_format, starts_in_reasoning))
        compiled = self._kept.get(key)
        if compiled is None:
            try:
                async with asyncio.timeout(COMPILE_LIMIT_S):
                    compiled = await asyncio.to_thread(
                        constraint_for,
                        rule,
                        prompt_format=prompt_format.value,
                        starts_in_reasoning=starts_in_reasoning,
                    )
            except TimeoutError as error:
                raise InvalidParameter("The requested output format takes too long to compile; simplify it.") from error
            self._kept[key] = compiled
            if len(self._kept) > NUM_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return compiled
