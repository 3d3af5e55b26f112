"""Reading of the text tables in `text/`, which hold everything that is language rather than code."""

from __future__ import annotations

from pathlib import Path

_TEXT = Path(__file__).parent / "text"


def _lines(name: str) -> list[str]:
    return [line for line in (_TEXT / f"{name}.txt").read_text(encoding="utf-8").splitlines() if line]


def rows(name: str) -> list[list[str]]:
    """Fields separated by bars; `\\n` stands for a line break."""
    return [[field.replace("\\n", "\n") for field in line.split("|")] for line in _lines(name)]


def pools(name: str) -> dict[str, list[str]]:
    """Named lists, `name: a|b|c` on each line."""
    return {key: rest.split("|") for key, _, rest in (line.partition(": ") for line in _lines(name))}


def pairs(name: str) -> list[tuple[list[str], list[str], str]]:
    """Questions, their answers, and a line of reasoning: blocks of `?`, `=` and `~` lines."""
    out: list[tuple[list[str], list[str], str]] = []
    for line in _lines(name):
        mark, text = line[0], line[2:].replace("\\n", "\n")
        if mark == "?":
            out.append((text.split("|"), [], ""))
        elif mark == "=":
            out[-1][1].append(text)
        else:
            out[-1] = (*out[-1][:2], text)
    return out
