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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError
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


class ChatTemplate:
    """One template; its rendering depends on its arguments only, and on the date where it asks for it.

    Args:
        source: Jinja text.
        special_tokens: spellings that the model's vocabulary reads as one token.
        variables: `bos_token` and its like, for every rendering.
        now: the time that `strftime_now` formats.

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
    ) -> None:
        self.source = source
        self._variables = dict(variables)
        self._now = now
        self._spellings = tuple(text for text in special_tokens if len(text) > 1)
        try:
            self._template = _environment(self._strftime_now).from_string(source)
        except TemplateError as error:
            raise ConfigError(f"The model file's chat template cannot be read: {error}.") from error

    def render(self, messages: Sequence[Mapping[str, object]], **variables: object) -> list[Segment]:
        """The prompt of a conversation.

        Args:
            messages: in the shape of the API.
            variables: what else the template may ask for.

        Raises:
            InvalidParameter: the template refuses the conversation, or fails on it.
        """
        seam = self._seam_for([messages, variables])
        try:
            text = self._template.render(
                messages=self._seamed(messages, seam),
                **self._variables,
                **{name: self._seamed(value, seam) for name, value in variables.items()},
            )
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


def _environment(strftime_now: Any) -> ImmutableSandboxedEnvironment:  # any callable
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
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
