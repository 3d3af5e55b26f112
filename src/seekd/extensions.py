"""Extensions that other packages bring: objects behind a Protocol, found by the name of their entry point.

Above errors. A package names a callable without arguments in its own `pyproject.toml`:

    [project.entry-points."seekd.guards"]
    house = "house_rules:make_guard"
"""

from __future__ import annotations

import enum
import importlib.metadata
from typing import Any

from seekd.errors import ConfigError


class ExtensionPoint(enum.StrEnum):
    """Groups of entry points."""

    GUARDS = "seekd.guards"
    REDACTORS = "seekd.redactors"
    ROUTERS = "seekd.routers"
    PRICINGS = "seekd.pricings"


def extension_names(point: ExtensionPoint) -> list[str]:
    """What is installed for an extension point."""
    return sorted({entry.name for entry in importlib.metadata.entry_points(group=point)})


def load_extension(point: ExtensionPoint, name: str) -> Any:  # Any: the Protocol is the caller's, by the point
    """Make the extension of a name.

    Raises:
        ConfigError: there is none, or it cannot be made; the message says what there is, or what went wrong.
    """
    found = list(importlib.metadata.entry_points(group=point, name=name))
    if not found:
        installed = ", ".join(extension_names(point)) or "none is installed"
        raise ConfigError(f"There is no extension {name!r} in the group {point} ({installed}).")
    try:
        return found[0].load()()
    except ConfigError:
        raise
    except Exception as error:  # another package's code: whatever it raises keeps the server from starting
        raise ConfigError(f"The extension {name!r} in the group {point} cannot be used: {error}") from error
