"""A download shows a bar on a terminal, and a few lines in a log."""

import io

from rich.console import Console

from seekd.cli.progress import ConsoleProgress

GIB = 1 << 30


def _show(*, is_terminal: bool) -> str:
    text = io.StringIO()
    progress = ConsoleProgress(Console(file=text, force_terminal=is_terminal, width=100))
    progress.begin("Downloading m.gguf", total_bytes=4 * GIB, done_bytes=GIB)
    for done in range(GIB, 4 * GIB + 1, GIB // 4):
        progress.reach(done)
    progress.end()
    progress.close()
    return text.getvalue()


def test_a_log_gets_a_line_a_gibibyte() -> None:
    lines = _show(is_terminal=False).splitlines()
    assert lines[0] == "Downloading m.gguf (4.29 GB)"
    assert lines[1:] == [f"Downloading m.gguf: {n * GIB / 1e9:.2f} GB of 4.29 GB" for n in (2, 3, 4)]


def test_a_terminal_gets_a_bar_with_sizes() -> None:
    text = _show(is_terminal=True)
    assert "Downloading m.gguf" in text
    assert "4.3/4.3 GB" in text
