"""The process that compiles rules: one rule after the other from its standard input, an answer to each on its output.

What a schema costs to compile cannot be told from looking at it, and a thread in the middle of it cannot be stopped. A
process can: the kernel ends this one when a rule has used its processor time, and refuses it memory beyond its limit.
`service.constraints` starts it, and reads the cause off its end. It ends by itself when its input ends.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from seekd.constrain.grammars import CompiledRule, constraint_for
from seekd.engine.link.frames import LENGTH_BYTES, frame
from seekd.errors import InvalidParameter
from seekd.output_rule import OutputRule

MAX_MEMORY_BYTES = 512 * 1024 * 1024
"""Address space of the process, of which Python and llguidance take 30 MiB; no schema within the other limits was seen
to need more than 300 MiB. Kept where the system knows such a limit, as Linux does and macOS does not."""


class RuleJob(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, and what it is compiled for; see `constrain.grammars.constraint_for`.

    Attributes:
        cpu_limit_s: processor time after which the process ends.
    """

    rule: OutputRule
    call_syntax: str
    starts_in_reasoning: bool
    may_reason: bool
    cpu_limit_s: float


class RuleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: a compiled rule, or the reason for which it is refused."""

    compiled: CompiledRule | None = None
    refusal: str = ""


def main() -> int:
    """Compile what comes until nothing comes any more; the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal or a service manager signals the whole group
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its end is expected
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while (message := _next_message(source)) is not None:
        job = msgspec.json.decode(message, type=RuleJob)
        signal.setitimer(signal.ITIMER_PROF, job.cpu_limit_s)  # its signal ends a process that does not handle it
        answer = _answer(job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sink.write(frame(msgspec.json.encode(answer)))
        sink.flush()
    return 0


def _next_message(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH_BYTES)
    return source.read(int.from_bytes(head, "little")) if len(head) == LENGTH_BYTES else None


def _answer(job: RuleJob) -> RuleAnswer:
    try:
        compiled = constraint_for(
            job.rule,
            call_syntax=job.call_syntax,
            starts_in_reasoning=job.starts_in_reasoning,
            may_reason=job.may_reason,
        )
    except InvalidParameter as error:
        return RuleAnswer(refusal=error.message)
    except MemoryError:
        os.abort()  # as the grammar's own allocator does
    return RuleAnswer(compiled=compiled)


if __name__ == "__main__":
    sys.exit(main())
