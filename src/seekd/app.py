"""Composition root of the API process: settings in, an application that answers out.

Above every package but cli and testing; the only module that knows which classes stand behind the Protocols.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from seekd.accounts.access import AccessState, allows_open, origins_refusal, start_refusal
from seekd.accounts.books import Books, open_books
from seekd.accounts.driver import Connection
from seekd.accounts.keys import load_admin_token
from seekd.accounts.limiter import Limiter
from seekd.accounts.store import open_connection, unusable_directory
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.api.admin import AdminApi
from seekd.api.answering import Answering, failed
from seekd.api.browsers import for_browsers
from seekd.api.edge import Edge
from seekd.api.gate import Gate
from seekd.api.retries import DetachedRuns
from seekd.api.routes import Api
from seekd.api.tracing import traced
from seekd.config import ByteSize
from seekd.engine.factory import make_engine
from seekd.engine.settings import default_cache_ram, memory_bytes
from seekd.engine.types import EngineHealth, MemoryPlan, ModelOutline
from seekd.errors import ConfigError, Overloaded, SeekdError, ShuttingDown, StoreError
from seekd.extensions import ExtensionPoint, extension_names, load_extension
from seekd.guard import presidio
from seekd.guard.moderation import HttpGuard
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Guard, Redactor
from seekd.models.locate import find_model_file
from seekd.models.profile import profile_of
from seekd.models.store import ModelStore
from seekd.prompt.abilities import abilities_of
from seekd.prompt.render.chat_formats import chat_format, facts_of
from seekd.prompt.types import PromptFormat
from seekd.service.billing import Billing
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member, ModelPool, Outline, Residence
from seekd.service.model_views import model_views
from seekd.service.moderation import Moderator
from seekd.service.opening import GenerationService
from seekd.service.response_cache.cache import open_response_cache
from seekd.service.routing import Routes
from seekd.service.screening import Screening
from seekd.service.served_model import ServedModel
from seekd.service.shield import Shields
from seekd.service.telemetry import open_telemetry
from seekd.settings import ModelPlan, Settings, names_by_model, planned_models, unserved_names
from seekd.ui.pages import Pages
from seekd.wire.dialect import CLASSIC, DIALECTS
from seekd.wire.failures import failure_response
from seekd.wire.model_names import AllNames, listed_names
from seekd.wire.models import ModelCard

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRequest:
    """What a first request must be like to be answered.

    Attributes:
        model: a name to ask for.
        needs_key: it must bring a key.
        needs_balance_in: the currency in which whoever asks needs a balance first; None where nothing has to be paid,
            or the account of open access can pay.
    """

    model: str
    needs_key: bool
    needs_balance_in: str | None


class Application:
    """The server without its socket.

    Args:
        settings: of every package.
        models: answer; not started yet.
        books: know who may call and who pays; not started yet. Closed with the application.
        metrics: take note of every generation.

    Raises:
        ConfigError: the admin token's file, a rule of the guard, an extension or the response cache cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        models: ModelPool,
        books: Books,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        for place, unserved in unserved_names(settings).items():
            _log.warning(
                "%s: no request is served as %s", place, ", ".join(unserved), extra={"action": "unserved_name"}
            )
        self._models = models
        self._books = books
        self._access = AccessState.ENFORCED
        self._is_stopping = False
        limit_s = settings.server.request_timeout_s
        self._limiter = Limiter(settings.accounts, total_micros=books.total_micros)
        self._detached = DetachedRuns()
        guard = _guard(settings.guard)
        self._moderator = None if guard is None else Moderator(guard, settings.guard, metrics)
        self._cache = open_response_cache(settings.response_cache, settings.server.data_dir, metrics=metrics)
        self._service = GenerationService(
            models=models,
            billing=Billing(books, self._limiter),
            metrics=metrics,
            deadline_s=limit_s or None,
            context=settings.context,
            cache=self._cache,
            max_tokenized_bytes=settings.server.max_tokenized_bytes,
        )
        names = models.own_names if models.default is not None else AllNames(models.own_names)
        self._screening = Screening(
            shields=Shields(settings.guard, metrics=metrics, extensions=_redactors(settings.guard)),
            moderator=self._moderator,
        )
        gate = Gate(books=books, settings=settings.accounts, is_insecure=settings.server.insecure)
        api = Api(
            answering=Answering(
                gate=gate,
                service=self._service,
                settings=settings.server,
                detached=self._detached,
                routes=_routes(settings, models),
                screening=self._screening,
                models=names,
            ),
            health=self.health,
            num_refused=lambda: books.num_refused,
            model_cards=self._model_cards,
            metrics=metrics,
            admin=AdminApi(
                token=load_admin_token(settings.server.data_dir / "admin-token"),
                open_connection=lambda: closing(_books_connection(settings)),
                explain=models.explain,
                slow_down=books.slow_down,
                running=self._service.running,
                models=lambda: model_views(models.members),
                settings=settings.server,
            ),
            pages=Pages().routes() if settings.server.pages else (),
        )
        internal_error = failure_response(RuntimeError(), CLASSIC).body
        self._edge = Edge(
            api.as_asgi(),
            internal_error=internal_error,
            failed=lambda cause, dialect: failed(cause, DIALECTS[dialect or settings.server.dialect]),
        )
        self.asgi = for_browsers(self._edge, allowed_origins=settings.accounts.allowed_origins)
        self._telemetry = open_telemetry(settings.telemetry)
        if self._telemetry is not None:
            metrics.tell(self._telemetry.generation_ended)
            if self._telemetry.tracer is not None:
                self.asgi = traced(self.asgi, self._telemetry.tracer)

    async def start(self) -> None:
        """Open the books for writing and load the models that are to be loaded at once.

        Raises:
            ConfigError: the model file cannot be used, or the address or an origin is refused (see `accounts.access`).
            StoreError: the books cannot be used.
        """
        await self._books.start()
        server = self._settings.server
        refusal = start_refusal(server.host, is_insecure=server.insecure, any_key_ever=await self._books.any_key_ever())
        self._access = await self._books.access()
        refusal = refusal or origins_refusal(self._settings.accounts.allowed_origins, self._access)
        if refusal is not None:
            raise ConfigError(refusal)
        await self._cache.start()
        await self._models.start()

    async def close(self) -> None:
        """Free everything."""
        await self._service.close()
        await self._models.close()
        await self._detached.close()
        self._screening.close()
        if self._moderator is not None:
            await self._moderator.close()
        await self._cache.close()
        await self._limiter.close()
        await self._books.close()
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.close)

    def stop_accepting(self) -> None:
        """Say by `/healthz` that no new request should come."""
        self._is_stopping = True

    def interrupt(self) -> None:
        """End every request that runs: its client is told, what it used is settled."""
        self._edge.interrupt(ShuttingDown())

    async def health(self) -> EngineHealth:
        """Whether a request would be answered now."""
        if self._is_stopping:
            return EngineHealth(ready=False, reason="The server is shutting down.")
        if await self._books.is_away():
            return EngineHealth(ready=False, reason="The accounts database cannot be reached.")
        return self._models.health

    def model_line(self) -> str:
        """The models that can be used, for the ready line, and which cannot."""
        lines, unusable = [], []
        for member in self._models.members:
            outline = _outline(member)
            if outline is None or member.failure is not None:
                unusable.append(member.key)
                continue
            line = f"{_display_name(outline)} [{outline.context_length:,} tokens: {outline.abilities.words()}]"
            lines.append(line if not member.names else f"{line} as {', '.join(member.names)}")
        if unusable:
            lines.append(f"without {', '.join(unusable)}, which cannot be loaded (see the log)")
        return "; ".join(lines)

    async def first_request(self) -> FirstRequest:
        """What a first request must be like, for the ready line."""
        cards = self._model_cards()
        names = [card.model_id for card in cards if card.abilities.chat] or [cards[0].model_id]
        model = "deepseek-chat" if "deepseek-chat" in names else names[0]
        is_open = self._access is AccessState.OPEN
        try:
            currency = next(iter(self._books.price(model, OPEN_ACCOUNT_ID)), None)
        except SeekdError:  # no price, or a pricing that fails: the log and the answer say so
            currency = None
        if is_open and currency and await self._books.total_micros(OPEN_ACCOUNT_ID):
            currency = None
        return FirstRequest(model=model, needs_key=not is_open, needs_balance_in=currency)

    def access_line(self) -> str:
        """Who may call, for the ready line."""
        if self._access is AccessState.ENFORCED:
            return "keys required"
        return (
            "open to everybody"
            if self._settings.server.insecure
            else "open to programs on this machine, no key needed (behind a proxy, create a key first)"
        )

    def _model_cards(self) -> Sequence[ModelCard]:
        names = self._models.own_names
        cards = []
        for name in names if self._models.default is None else listed_names(names):
            outline = _outline(self._models.find(name))
            if outline is not None:
                cards.append(
                    ModelCard(
                        model_id=name,
                        display_name=_display_name(outline),
                        context_window=outline.context_length,
                        max_output_tokens=outline.context_length,
                        owned_by="seekd",
                        abilities=outline.abilities,
                        is_demonstration=outline.is_demonstration,
                    )
                )
        if not cards:
            raise Overloaded("The model is still being loaded. Try again in a moment.")
        return cards


def _outline(member: Member) -> Outline | None:
    """What a loaded model says of itself, or what its file says; None when neither can be read."""
    if member.residence is not Residence.LOADED:
        return member.outline
    info = member.model.info
    return Outline(
        display_name=info.name,
        context_length=info.context_length,
        abilities=member.model.abilities,
        is_demonstration=member.model.profile.is_demonstration,
    )


def _display_name(outline: Outline) -> str:
    return f"{outline.display_name} (a demonstration model)" if outline.is_demonstration else outline.display_name


def build(settings: Settings) -> Application:
    """The application for these settings.

    Raises:
        ConfigError: there is no such model file, or the data directory or the books cannot be used. One of several
            models whose file is damaged is logged instead.
        StoreError: the books' database is away.
    """
    plans = planned_models(settings)
    try:
        settings.server.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_directory(settings.server.data_dir, error) from error
    store = ModelStore(settings.server.models_folder)
    members = [_member(plan, settings, find_model_file(plan.source, store), num_models=len(plans)) for plan in plans]
    budget = settings.model.memory_budget if settings.model.memory_budget is not None else memory_bytes() * 3 // 4
    models = ModelPool(members, budget_bytes=budget, wait_limit_s=settings.server.request_timeout_s or None)

    metrics = Metrics(engines={member.key: member.model.engine for member in members})
    return Application(settings, models=models, books=open_server_books(settings), metrics=metrics)


def _member(plan: ModelPlan, settings: Settings, path: Path, *, num_models: int) -> Member:
    """A model with its engine, neither started nor read beyond its header."""
    key = plan.names[0] if plan.names else "default"
    engine_settings = plan.engine
    if engine_settings.cache_ram is None and num_models > 1:
        engine_settings = replace(engine_settings, cache_ram=ByteSize(default_cache_ram() // num_models))
    parts = make_engine(path, engine_settings, cache_dir=settings.server.cache_dir, log_level=settings.log.level)
    model = ServedModel(parts.engine, open_vocabulary=parts.open_vocabulary, settings=plan.model)
    member = Member(key=key, names=plan.names, model=model, is_preloaded=plan.preload or num_models == 1)
    try:
        memory = parts.plan_memory()
        member.outline = _outline_of(parts.outline(), plan, memory)
        member.need_bytes = memory.total_bytes
    except ConfigError as error:
        # The others serve; this one says so again to whoever asks for it. The only one says so when it is loaded.
        if num_models > 1:
            _log.error("the model %s cannot be used: %s", key, error.message, extra={"action": "bad_model"})
    return member


def _outline_of(outline: ModelOutline, plan: ModelPlan, memory: MemoryPlan) -> Outline:
    """What is told of a model before it is loaded. Raises `ConfigError` for a chat template that cannot be used."""
    profile = profile_of(outline.metadata, architecture=outline.architecture, settings=plan.model)
    facts = facts_of(outline.metadata, outline.special_tokens)
    return Outline(
        display_name=outline.name,
        context_length=memory.context_length,
        abilities=abilities_of(chat_format(PromptFormat(profile.prompt_format), facts)),
        is_demonstration=profile.is_demonstration,
    )


def _guard(settings: GuardSettings) -> Guard | None:
    """What judges requests and answers; None where nothing does."""
    if settings.moderation is None:
        return None
    if settings.moderation.startswith(("http://", "https://")):
        return HttpGuard(
            settings.moderation,
            key=settings.moderation_key,
            model=settings.moderation_model,
            timeout_s=settings.moderation_timeout_s,
        )
    guard: Guard = load_extension(ExtensionPoint.GUARDS, settings.moderation)
    return guard


def _redactors(settings: GuardSettings) -> Mapping[str, Redactor]:
    """The redactors that the settings name, by the name of their rule."""
    named = settings.named_rules
    installed = [name for name in extension_names(ExtensionPoint.REDACTORS) if name in named]
    redactors: dict[str, Redactor] = {name: load_extension(ExtensionPoint.REDACTORS, name) for name in installed}
    return redactors | ({presidio.RULE: presidio.make_redactor()} if presidio.RULE in named else {})


def _routes(settings: Settings, models: ModelPool) -> Routes | None:
    """What chooses the model of each request; None where nothing does."""
    name = settings.model.router
    return None if name is None else Routes(load_extension(ExtensionPoint.ROUTERS, name), models)


def _books_connection(settings: Settings) -> Connection:
    """A connection for one request; whatever is wrong with the database by now is no matter of the request's."""
    try:
        return open_connection(settings.accounts, settings.server.data_dir)
    except ConfigError as error:
        raise StoreError("The books cannot be opened.", reason=error.message) from error


def open_server_books(settings: Settings) -> Books:
    """The books of a server with these settings. Raises `ConfigError` or `StoreError` as `open_books` does."""
    server = settings.server
    pricing = settings.accounts.pricing
    return open_books(
        settings.accounts,
        server.data_dir,
        allows_open=allows_open(server.host, is_insecure=server.insecure),
        pricing=None if pricing is None else load_extension(ExtensionPoint.PRICINGS, pricing),
        models=names_by_model(settings),
    )
