"""A conversation in the terminal: its messages, what its requests say, and the file it is kept in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from seekd.cli.chat.client import Answer
from seekd.errors import InvalidParameter


@dataclass(slots=True)
class Totals:
    """Sums over the answers of one sitting."""

    num_answers: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_completion_tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        usage = answer.usage
        self.num_answers += 1
        self.num_prompt_tokens += usage.get("prompt_tokens", 0)
        self.num_cached_tokens += usage.get("prompt_cache_hit_tokens", 0)
        self.num_completion_tokens += usage.get("completion_tokens", 0)


@dataclass(slots=True)
class Conversation:
    """What has been said.

    Attributes:
        model: that is asked.
        system: the system prompt; empty for none.
        turns: messages of the user and the assistant, in turn.
        parameters: other members of the requests.
        totals: of this sitting.
        last: the latest answer; None before the first.
    """

    model: str
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)
    parameters: dict[str, object] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    last: Answer | None = None

    def messages(self, question: str) -> list[dict[str, str]]:
        """The messages of a request that asks this next."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self.turns, {"role": "user", "content": question}]

    def add(self, question: str, answer: Answer) -> None:
        """Keep a question with what came of its answer; nothing where nothing came."""
        self.last = answer
        self.totals.add(answer)
        if answer.content:
            self.turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer.content}]

    def save(self, path: Path) -> None:
        """Write it down, readable for its owner alone. Raises `InvalidParameter` where that is not possible."""
        kept = {"model": self.model, "system": self.system, "messages": self.turns}
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(kept, file, ensure_ascii=False, indent=2)
        except OSError as error:
            raise InvalidParameter(f"{path} cannot be written: {error.strerror}.") from error

    def load(self, path: Path) -> None:
        """Go on with a conversation that `save` wrote. Raises `InvalidParameter`, and changes nothing."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            turns = [{"role": turn["role"], "content": str(turn["content"])} for turn in kept["messages"]]
            model, system = str(kept["model"]), str(kept["system"])
        except OSError as error:
            raise InvalidParameter(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidParameter(f"{path} is no conversation that /save has written.") from error
        self.model, self.system, self.turns = model, system, turns
