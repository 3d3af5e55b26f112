"""Every package's settings in one place; only composition roots see it whole.

Above api, below app.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import MAX_MODEL_NAME_CHARS, is_model_name
from seekd.api.settings import ServerSettings
from seekd.config import overlaid, overlay
from seekd.engine.settings import EngineSettings
from seekd.errors import ConfigError
from seekd.guard.settings import GuardSettings
from seekd.log import LogSettings
from seekd.models.settings import BUNDLED_MODEL, ModelSettings
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.service.settings import ContextSettings
from seekd.service.telemetry import TelemetrySettings
from seekd.wire.model_names import OFFICIAL_MODELS


@overlay(ModelSettings, EngineSettings, without=("memory_budget", "router"))
@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModelSettings:
    """A model that answers to a name of its own. What is left out is as in `[model]` and `[engine]`.

    Attributes:
        source: as in `[model]`. Names whose tables are equal share one loaded model.
        preload: load it when the server starts, not when it is first asked for.
    """

    source: str
    preload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One section a package; see each class for its keys."""

    server: ServerSettings = field(default_factory=ServerSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    models: Mapping[str, NamedModelSettings] = field(default_factory=dict)
    engine: EngineSettings = field(default_factory=EngineSettings)
    context: ContextSettings = field(default_factory=ContextSettings)
    accounts: AccountsSettings = field(default_factory=AccountsSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    response_cache: ResponseCacheSettings = field(default_factory=ResponseCacheSettings)
    log: LogSettings = field(default_factory=LogSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """One model to serve.

    Attributes:
        names: that it answers to; none for the model that answers all others.
        source: of its file.
        model: how to speak to it.
        engine: of its engine process.
        preload: load it at the start.
    """

    names: tuple[str, ...]
    source: str
    model: ModelSettings
    engine: EngineSettings
    preload: bool


def planned_models(settings: Settings) -> list[ModelPlan]:
    """The models that the settings ask for, the one for all other names first.

    Raises:
        ConfigError: a value in a table is not valid.
    """
    for name in settings.models:
        if not is_model_name(name):
            raise ConfigError(
                f"models: the name that begins with {name[:40]!r} must have at most {MAX_MODEL_NAME_CHARS} characters, "
                "all of them printable."
            )
    plans = []
    source = settings.model.source or (None if settings.models else BUNDLED_MODEL)
    if source is not None:
        plans.append(ModelPlan(names=(), source=source, model=settings.model, engine=settings.engine, preload=True))
    names: dict[NamedModelSettings, list[str]] = {}
    for name, table in settings.models.items():
        names.setdefault(table, []).append(name)
    for table, own_names in names.items():
        try:
            model, engine = overlaid(settings.model, table), overlaid(settings.engine, table)
        except ValueError as error:
            raise ConfigError(f"models.{own_names[0]}: {error}") from error
        plans.append(
            ModelPlan(names=tuple(own_names), source=table.source, model=model, engine=engine, preload=table.preload)
        )
    return plans


def names_by_model(settings: Settings) -> list[Sequence[str]]:
    """The names that requests are served as, those of one model together. Raises `ConfigError` as above."""
    others = [name for name in OFFICIAL_MODELS if name not in settings.models]
    return [plan.names or others for plan in planned_models(settings)]


def unserved_names(settings: Settings) -> dict[str, list[str]]:
    """The names in the settings that no request is served as, by their place: what is said of them never holds."""
    served = {name for names in names_by_model(settings) for name in names}
    named: dict[str, Collection[str]] = {
        "accounts.prices": [price.model for price in settings.accounts.prices],
        "accounts.model_limits": settings.accounts.model_limits,
        "response_cache.models": settings.response_cache.models,
        "guard.overrides": [override.model for override in settings.guard.overrides if override.model is not None],
    }
    unserved = {place: [name for name in names if name not in served] for place, names in named.items()}
    return {place: names for place, names in unserved.items() if names}
