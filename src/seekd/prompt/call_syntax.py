"""The forms in which families write tool calls with JSON arguments.

    opener  [ head {arguments} tail ] …  closer

A head ends right before the `{` of the arguments. `constrain` holds models to the same forms; they are read loosely
here, since an engine may not be able to hold a model to anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seekd.prompt.render.families.common import CALL_BEGIN, CALL_END, CALLS_BEGIN, CALLS_END, SEPARATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSyntax:
    """One form.

    Attributes:
        opener: begins the calls; never part of an answer's text where tools are offered.
        head: from the end of the opener or of the last call to the arguments; its group is the tool's name.
        bare_head: a head without arguments, up to the tail.
        tail: ends a call.
        closer: ends the calls, besides the end of the text; None where the calls just stop.
    """

    opener: str
    head: re.Pattern[str]
    bare_head: re.Pattern[str]
    tail: str
    closer: str | None


CALL_SYNTAXES: Mapping[str, CallSyntax] = MappingProxyType(
    {
        "fenced": CallSyntax(
            opener=CALLS_BEGIN,
            head=re.compile(rf"\s*(?:{CALL_BEGIN})?\s*\w*{SEPARATOR}\s*([^\n<{{`]+?)\s*(?:```(?:json)?\s*)?(?=\{{)"),
            bare_head=re.compile(rf"{SEPARATOR}\s*([^\n<{{`]+)"),
            tail=CALL_END,
            closer=CALLS_END,
        ),
        "bare": CallSyntax(
            opener=CALLS_BEGIN,
            head=re.compile(rf"\s*(?:{CALL_BEGIN})?\s*([^\n<{{]+?)\s*{SEPARATOR}\s*(?=\{{)"),
            bare_head=re.compile(rf"([^\n<>{{]+){SEPARATOR}"),
            tail=CALL_END,
            closer=CALLS_END,
        ),
        "hermes": CallSyntax(
            opener="<tool_call>",
            head=re.compile(
                r'\s*(?:<tool_call>)?\s*\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
            ),
            bare_head=re.compile(r'"name"\s*:\s*"([^"\\]+)"'),
            tail="</tool_call>",
            closer=None,
        ),
    }
)
