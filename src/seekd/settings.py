"""Every room's settings in one place; only composition roots see it whole.

Above api, below app. May import: every room's settings class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seekd.accounts.settings import AccountsSettings
from seekd.api.settings import ServerSettings
from seekd.engine.settings import EngineSettings
from seekd.log import LogSettings
from seekd.models.settings import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One section a room; see each class for its keys."""

    server: ServerSettings = field(default_factory=ServerSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    accounts: AccountsSettings = field(default_factory=AccountsSettings)
    log: LogSettings = field(default_factory=LogSettings)
