"""Readers of the open data sets; every reader returns nothing when its file is absent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class OpenData:
    """The JSON Lines files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of a data set, or none."""
        path = self._directory / f"{name}.jsonl.gz"
        if not path.exists():
            return
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)

    def word_list(self, file: str) -> Any:
        """The content of one file of the word lists, or None."""
        for record in self.lines("word_lists"):
            if record["file"] == file:
                return record["data"]
        return None

    def intents(self, splits: tuple[str, ...] = ("train", "val", "oos_train", "oos_val")) -> dict[str, list[str]]:
        """Utterances by intent (CLINC); the test splits stay for the evaluation."""
        out: dict[str, list[str]] = {}
        for record in self.lines("clinc"):
            if record["split"] in splits:
                out.setdefault(record["intent"], []).append(record["text"])
        return out

    def requests(self, intent: str) -> list[list[dict[str, str]]]:
        """Requests with marked slots (SNIPS) of one intent."""
        return [r["parts"] for r in self.lines("snips") if r["intent"] == intent]
