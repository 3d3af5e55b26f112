"""Programs in a terminal of their own."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

import pexpect


def spawn_in_terminal(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> pexpect.spawn[str]:
    """Start a program as a shell does; tests that run in the background ignore Ctrl-C, and would hand that on."""
    return pexpect.spawn(
        program,
        list(arguments),
        env=dict(environment),
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 220),
        preexec_fn=_hear_interrupts,
    )


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
