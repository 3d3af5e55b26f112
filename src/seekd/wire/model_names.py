"""The model names that clients of the DeepSeek API send.

Room: wire. Imports the standard library only.

All of them reach the loaded model; a name chooses whether the model thinks where the body leaves it open.
Source: deepseek-api.md §19.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialModel:
    """One name of the service.

    Attributes:
        thinks: whether a body that says nothing about thinking thinks.
        served_as: the name that the service's answers carry.
    """

    thinks: bool
    served_as: str


OFFICIAL_MODELS: Mapping[str, OfficialModel] = MappingProxyType(
    {
        "deepseek-chat": OfficialModel(thinks=False, served_as="deepseek-v4-flash"),
        "deepseek-reasoner": OfficialModel(thinks=True, served_as="deepseek-v4-flash"),
        "deepseek-flash": OfficialModel(thinks=True, served_as="deepseek-flash"),
        "deepseek-v4-flash": OfficialModel(thinks=True, served_as="deepseek-v4-flash"),
        "deepseek-v4-flash-vision-exp": OfficialModel(thinks=True, served_as="deepseek-v4-flash-vision-exp"),
        "deepseek-v4-pro": OfficialModel(thinks=True, served_as="deepseek-v4-pro"),
    }
)


def accepted_names(configured: Collection[str]) -> tuple[str, ...]:
    """The official names and those of this server, each once, in the order in which errors list them."""
    return tuple(dict.fromkeys((*OFFICIAL_MODELS, *configured)))


def thinks_by_default(name: str) -> bool:
    """Whether a body that says nothing about thinking thinks. Names of this server answer directly."""
    official = OFFICIAL_MODELS.get(name)
    return official is not None and official.thinks


def served_name(name: str) -> str:
    """The name that the service's answers carry for a requested one."""
    official = OFFICIAL_MODELS.get(name)
    return name if official is None else official.served_as
