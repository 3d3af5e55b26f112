"""Answers requests from a cassette.

    request ──scrubbed by the recording's rules──> equal to a recorded one? ──> its answer, the next time its next one
                                               └─> no ──> a problem with the nearest recording and what differs

Lenient matching compares what is said (model, messages, tools, stream), strict matching the whole body.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from seekd.errors import InvalidParameter
from seekd.testing.cassettes import Exchange, load
from seekd.testing.faults import End, Pause, Sent
from seekd.testing.matching import json_diff
from seekd.testing.scrub import Scrubber
from seekd.testing.seen import SeenRequest

Matching = Literal["lenient", "strict"]

_SAID = ("model", "messages", "system", "instructions", "input", "prompt", "suffix", "tools", "functions", "stream")
_CALL_IDS = frozenset({"tool_call_id", "call_id", "tool_use_id"})
_DIFF_LINES = 40


class Library:
    """The recordings of a folder.

    Args:
        folder: of the cassette.
        matching: how much of a request must be as it was.
        has_rhythm: play the pauses of the recording.

    Raises:
        ConfigError: the folder holds none, or what is none.
    """

    def __init__(self, folder: Path, *, matching: Matching = "lenient", has_rhythm: bool = False) -> None:
        self._exchanges = load(folder)
        self._matching = matching
        self._has_rhythm = has_rhythm
        self._rules = sorted({rule for exchange in self._exchanges for rule in exchange.rules})
        self._num_played: dict[str, int] = {}

    def find(self, seen: SeenRequest) -> Exchange:
        """The recording for a request: of several equal ones the next, at last the last again.

        Raises:
            InvalidParameter: there is none; the message has the nearest one and what differs.
        """
        body = Scrubber(self._rules, seen.headers).value(seen.body)
        wanted = _canonical(seen.path, body, self._matching)
        equal = [one for one in self._exchanges if _canonical(one.path, one.body, self._matching) == wanted]
        if not equal:
            raise InvalidParameter(self._unknown(wanted))
        key = json.dumps(wanted, sort_keys=True)
        number = self._num_played.get(key, 0)
        self._num_played[key] = number + 1
        return equal[min(number, len(equal) - 1)]

    def rewind(self) -> None:
        """Play from the first recording again."""
        self._num_played = {}

    def sent(self, exchange: Exchange) -> Sequence[Sent]:
        """What a client gets of a recording, with its rhythm where that is wanted."""
        sent: list[Sent] = []
        now_ms = 0
        for part in exchange.parts:
            if self._has_rhythm and part.after_ms > now_ms:
                sent.append(Pause(delay_s=(part.after_ms - now_ms) / 1000))
            now_ms = part.after_ms
            sent.append(part.text.encode())
        return sent if exchange.is_whole else [*sent, End.CLOSED]

    def _unknown(self, wanted: Mapping[str, Any]) -> str:
        text = _written(wanted)
        candidates = [(one, _canonical(one.path, one.body, self._matching)) for one in self._exchanges]
        nearest, body = max(
            candidates, key=lambda pair: difflib.SequenceMatcher(None, text, _written(pair[1])).quick_ratio()
        )
        lines = json_diff(body, wanted).splitlines()
        more = f"\n… {len(lines) - _DIFF_LINES} more lines" if len(lines) > _DIFF_LINES else ""
        differs = "\n".join(lines[:_DIFF_LINES])
        return f"There is no recording of this request. The nearest is {nearest.name}; it differs:\n{differs}{more}"


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _canonical(path: str, body: Any, matching: Matching) -> dict[str, Any]:
    """What of a request is compared."""
    for base in ("/v1", "/beta"):  # one route has several spellings
        path = path.removeprefix(base)
    if matching == "strict" or not isinstance(body, dict):
        return {"path": path, "body": body}
    said = {name: body[name] for name in _SAID if body.get(name) not in (None, False)}
    return {"path": path, "body": _Numbered().of(said)}


class _Numbered:
    # Lenient: ids of calls are made anew in each run, null members say nothing, and white space around texts neither.

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def of(self, value: Any, name: str = "") -> Any:
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, dict):
            is_call = value.get("type") in ("function", "tool_use", "function_call")
            return {
                key: self.of(item, "call_id" if key == "id" and is_call else key)
                for key, item in value.items()
                if item is not None
            }
        if isinstance(value, str):
            return self._ids.setdefault(value, f"call_{len(self._ids) + 1}") if name in _CALL_IDS else value.strip()
        return value
