"""How far a download is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_LINE_EVERY_BYTES = 1 << 30


class ConsoleProgress:
    """Shows downloads on standard error. Implements `models.download.PullProgress`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._total = 0
        self._next_line = 0

    def begin(self, what: str, *, total_bytes: int, done_bytes: int) -> None:
        """Show a bar at `done_bytes`, or print the first line."""
        self._what, self._total = what, total_bytes
        self._next_line = done_bytes + _LINE_EVERY_BYTES
        if not self._console.is_terminal:
            self._console.print(f"{what} ({_gb(total_bytes)})", markup=False, soft_wrap=True)
            return
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task(what, total=total_bytes, completed=done_bytes)
        self._bar.start()

    def reach(self, done_bytes: int) -> None:
        """Move the bar, or print a line for each further gibibyte."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done_bytes)
        elif done_bytes >= self._next_line:
            self._next_line = done_bytes + _LINE_EVERY_BYTES
            text = f"{self._what}: {_gb(done_bytes)} of {_gb(self._total)}"
            self._console.print(text, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Leave the bar where it is."""
        self.close()

    def close(self) -> None:
        """Free the terminal, also after an interruption."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1000**3:.2f} GB" if num_bytes >= 10 * 1000**2 else f"{num_bytes} bytes"
