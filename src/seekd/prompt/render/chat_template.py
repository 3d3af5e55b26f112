"""The chat template of a model file, rendered in a sandbox, with the caller's texts kept apart from the template's own.

A template returns one string, in which the caller's `<|im_end|>` would look like the template's. So every special token
that the caller spells is cut by a seam, a rare letter that occurs nowhere else, and each of its texts is edged with
seams: what is joined of two texts is then no special token either.

    caller      a</think>b        " hi "
    template    ⟂a<⟂/think>b⟂     " ⟂hi⟂ "      seams inside of the outer spaces: a template may trim
    prompt      parts between seams; in each, the special tokens are the template's

Source: the conventions of Hugging Face's `apply_chat_template`.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import Environment, TemplateError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from seekd.errors import ConfigError, InvalidParameter
from seekd.prompt.render.segments import cut_spellings
from seekd.prompt.types import Segment

_SEAMS = range(0x10600, 0x10700)
"""Signs of Linear A: letters to every string operation, and printed as they are in quotes too."""


_KNOWN_WORDS = frozenset(
    re.findall(r"\w+", "system user assistant tool function text string number integer boolean object array null")
)
_KNOWN_KEYS = frozenset(
    re.findall(
        r"\S+",
        """
        role content type text name id description parameters properties required items enum const default title format
        function arguments tool_calls tool_call_id reasoning_content strict anyOf oneOf allOf additionalProperties $ref
        $defs definitions pattern minimum maximum minLength maxLength minItems maxItems
        """,
    )
)
"""What templates compare with or ask for, and what cannot be part of a special token where they write it."""

TIME_LIMIT_S = 10.0
"""Rendering a million tokens takes a fraction of a second; a template that takes so long does not end."""

_TICK = "seekd_tick"
_TICKS_A_LOOK = 256
_MOST_REPEATED = 1_000_000
"""Items or characters that a multiplication may make."""


class ChatTemplate:
    """One template; its rendering depends on its arguments only, and on the date where it asks for it.

    Args:
        source: Jinja text.
        special_tokens: spellings that the model's vocabulary reads as one token.
        variables: `bos_token` and its like, for every rendering.
        now: the time that `strftime_now` formats.
        clock: seconds, monotonic; bounds each rendering.

    Raises:
        ConfigError: the text is no Jinja template.
    """

    def __init__(
        self,
        source: str,
        *,
        special_tokens: Iterable[str],
        variables: Mapping[str, str],
        now: datetime.datetime | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._clock = clock
        self._variables = dict(variables)
        self._now = now
        self._spellings = tuple(text for text in special_tokens if len(text) > 1)
        try:
            environment = _environment(self._strftime_now)
            self._template = environment.from_string(_with_ticks(environment, source))
        except TemplateError as error:
            raise ConfigError(f"The model file's chat template cannot be read: {error}.") from error

    def render(self, messages: Sequence[Mapping[str, object]], **variables: object) -> list[Segment]:
        """The prompt of a conversation.

        Args:
            messages: in the shape of the API.
            variables: what else the template may ask for.

        Raises:
            InvalidParameter: the template refuses the conversation, fails on it, or does not end.
        """
        seam = self._seam_for([messages, variables])
        try:
            text = self._template.render(
                messages=self._seamed(messages, seam),
                **self._variables,
                **{name: self._seamed(value, seam) for name, value in variables.items()},
                **{_TICK: _Watch(self._clock).tick},
            )
        except RecursionError as error:
            raise InvalidParameter(
                "The model's chat template cannot render these messages: it calls itself."
            ) from error
        except (TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            raise InvalidParameter(f"The model's chat template cannot render these messages: {error}.") from error
        return _segments(text, seam)

    def _seam_for(self, values: object) -> str:
        used = set(json.dumps(values, ensure_ascii=False)) | set(self.source)
        for code_point in _SEAMS:
            if chr(code_point) not in used:
                return chr(code_point)
        raise InvalidParameter("The messages use every sign that could keep them apart from the chat template.")

    def _seamed(self, value: Any, seam: str) -> Any:  # JSON, whose texts are changed and whose shape is kept
        if isinstance(value, str):
            text = seam.join(cut_spellings(value, self._spellings))
            inner = text.strip()
            return text.replace(inner, f"{seam}{inner}{seam}", 1) if inner else text
        if isinstance(value, Mapping):
            return {
                key if key in _KNOWN_KEYS else self._seamed(key, seam): item
                if key in ("role", "type") and isinstance(item, str) and item in _KNOWN_WORDS
                else self._seamed(item, seam)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._seamed(item, seam) for item in value]
        return value

    def _strftime_now(self, pattern: str) -> str:
        return (self._now or datetime.datetime.now(datetime.UTC).astimezone()).strftime(pattern)


def _segments(text: str, seam: str) -> list[Segment]:
    # Seams stay between segments: what touches across one is not joined.
    return [Segment(text=part, is_markup=True) for part in text.split(seam) if part]


class _Watch:
    """Ends a rendering that takes too long: no thread can be stopped from outside, so the template asks, each loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end_s = clock() + TIME_LIMIT_S
        self._num_ticks = 0

    def tick(self) -> None:
        """Look at the clock now and then. Raises `TemplateError` when the time is up."""
        self._num_ticks += 1
        if self._num_ticks % _TICKS_A_LOOK == 0 and self._clock() > self._end_s:
            raise TemplateError(f"it takes longer than {TIME_LIMIT_S:g} seconds")


def _with_ticks(environment: Environment, source: str) -> nodes.Template:
    """The template with a tick at the begin of each loop's and macro's body: without these it comes to its end."""
    template = environment.parse(source)
    repeated: tuple[nodes.For | nodes.Macro | nodes.CallBlock, ...] = (
        *template.find_all(nodes.For),
        *template.find_all(nodes.Macro),
        *template.find_all(nodes.CallBlock),
    )
    for node in repeated:
        tick = nodes.Call(nodes.Name(_TICK, "load"), [], [], None, None)
        node.body.insert(0, nodes.ExprStmt(tick).set_lineno(node.lineno))
    template.set_environment(environment)
    return template


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a few signs do not fill the memory."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # any value of a template
        """Multiply within bounds. Raises `TemplateError` beyond them."""
        if operator == "**" and not (abs(left) <= _MOST_REPEATED and 0 <= right <= 3):
            raise TemplateError("a power is too large")
        for what, times in ((left, right), (right, left)):
            if isinstance(what, str | list | tuple) and isinstance(times, int) and len(what) * times > _MOST_REPEATED:
                raise TemplateError("a repeated text is too long")
        return super().call_binop(context, operator, left, right)


def _environment(strftime_now: Any) -> ImmutableSandboxedEnvironment:  # any callable
    environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # the filter's own signature
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
