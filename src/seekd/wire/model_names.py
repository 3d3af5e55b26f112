"""The model names that clients of the DeepSeek API send.

All of them reach the loaded model; a name chooses whether the model thinks where the body leaves it open. What a name
stands for, its served name, is found here, once a request: what costs, limits or protects goes by the served name, and
only the answer repeats the name as written. Source: docs/reference/wire.md §16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seekd.accounts.types import MAX_MODEL_NAME_CHARS, is_model_name
from seekd.errors import InvalidParameter, UnknownModel

_LONG_CONTEXT_SUFFIX = "[1m]"
"""Clients add it to a model's name to unlock their own long-context mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialModel:
    """One name of the service.

    Attributes:
        thinks: whether a body that says nothing about thinking thinks.
        answers_as: the name that the service's answers carry.
        is_for_pictures: who asks for it means to send pictures.
    """

    thinks: bool
    answers_as: str
    is_for_pictures: bool = False


OFFICIAL_MODELS: Mapping[str, OfficialModel] = MappingProxyType(
    {
        "deepseek-chat": OfficialModel(thinks=False, answers_as="deepseek-v4-flash"),
        "deepseek-reasoner": OfficialModel(thinks=True, answers_as="deepseek-v4-flash"),
        "deepseek-flash": OfficialModel(thinks=True, answers_as="deepseek-flash"),
        "deepseek-v4-flash": OfficialModel(thinks=True, answers_as="deepseek-v4-flash"),
        "deepseek-v4-flash-vision-exp": OfficialModel(
            thinks=True, answers_as="deepseek-v4-flash-vision-exp", is_for_pictures=True
        ),
        "deepseek-v4-pro": OfficialModel(thinks=True, answers_as="deepseek-v4-pro"),
    }
)


class AllNames(tuple[str, ...]):
    """The names of a server none of whose models answers the official ones, unless they are among these."""

    __slots__ = ()


def accepted_names(configured: Collection[str]) -> tuple[str, ...]:
    """The official names and those of this server, each once, in the order in which errors list them."""
    if isinstance(configured, AllNames):
        return configured
    return tuple(dict.fromkeys((*OFFICIAL_MODELS, *configured)))


def listed_names(configured: Collection[str]) -> tuple[str, ...]:
    """The accepted names that promise nothing which no model here can do: none of them sees pictures."""
    return tuple(
        name for name in accepted_names(configured) if name in configured or not OFFICIAL_MODELS[name].is_for_pictures
    )


def thinks_by_default(name: str) -> bool:
    """Whether a body that says nothing about thinking thinks. Names of this server answer directly."""
    official = OFFICIAL_MODELS.get(name)
    return official is not None and official.thinks


def answer_name(name: str) -> str:
    """The name that the service's answers carry for a served one."""
    official = OFFICIAL_MODELS.get(name)
    return name if official is None else official.answers_as


def known_name(requested: str, names: Collection[str]) -> str:
    """The served name where only known ones are taken: the requested one.

    Raises:
        InvalidParameter: it is too long or not printable.
        UnknownModel: it is none of the names.
    """
    if requested not in names:
        raise UnknownModel(_checked(requested), known_models=tuple(names))
    return requested


def served_name(requested: str, models: Collection[str], *, takes_any: bool) -> str:
    """The served name where those of Anthropic's models are taken, as in the Messages API.

    Source: docs/reference/wire.md §14.1.

    Args:
        requested: as written.
        models: names that this server answers to besides the official ones, or all as `AllNames`.
        takes_any: whether a name of no kind that is known stands for `deepseek-flash`.

    Raises:
        InvalidParameter: it is too long or not printable.
        UnknownModel: it stands for no name, or for an official one, which no model answers.
    """
    official: Collection[str] = () if isinstance(models, AllNames) else OFFICIAL_MODELS
    for name in (requested, requested.removesuffix(_LONG_CONTEXT_SUFFIX)):
        if name in official or name in models:
            return name
    name = "deepseek-v4-pro" if _checked(requested).startswith("claude-opus") else "deepseek-flash"
    is_taken = takes_any or requested.startswith("claude")
    if not is_taken or (name not in official and name not in models):
        raise UnknownModel(requested, known_models=accepted_names(models))
    return name


def _checked(requested: str) -> str:
    if not is_model_name(requested):
        raise InvalidParameter(
            f"Invalid 'model': expected at most {MAX_MODEL_NAME_CHARS} printable characters, but got a name of "
            f"{len(requested)} characters{'' if requested.isprintable() else ' that are not all printable'}."
        )
    return requested
