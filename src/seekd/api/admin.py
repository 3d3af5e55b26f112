"""`/admin`: accounts, keys, usage and the ledger for whoever holds the admin token.

The books' own connection type blocks, so every request works on a
connection of its own in a thread: managing is rare, serving is not held up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seekd.accounts.audit import AuditTrail, read_audit
from seekd.accounts.driver import Connection
from seekd.accounts.keys import AdminToken, bearer_key
from seekd.accounts.registry import Registry
from seekd.accounts.reports import UsageQuery, parse_dimensions, to_csv, usage_report
from seekd.accounts.types import NO_LIMITS, Balance, Caller
from seekd.api.answering import failed
from seekd.api.connection import ClientLeft, read_body
from seekd.api.settings import ServerSettings
from seekd.engine.types import CacheExplanation
from seekd.errors import InvalidParameter, SeekdError, Unauthenticated
from seekd.service.model_views import ModelView
from seekd.service.running import RunningRequests
from seekd.wire.admin import (
    AccountChanges,
    CreditBody,
    LimitsBody,
    NewAccountBody,
    NewKeyBody,
    account_json,
    balances_json,
    decode,
    encode,
    instant,
    key_json,
)
from seekd.wire.dialect import CLASSIC
from seekd.wire.failures import JSON

_log = logging.getLogger(__name__)

CSV = "text/csv; charset=utf-8"

DEFAULT_AUDIT_LIMIT = 100

Handler = Callable[[Request, Registry, bytes], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminApi:
    """The admin routes and what they need.

    Attributes:
        token: what every request must carry as a Bearer key.
        open_connection: a connection to the books, closed at the end of the block.
        explain: what the prefix cache gave to a recent request; None when it is not known.
        slow_down: waits before a wrong token is answered, given the peer that sent it.
        running: the requests that are being served.
        models: what is told of the models.
        settings: limits of bodies.
    """

    token: AdminToken
    open_connection: Callable[[], AbstractContextManager[Connection]]
    explain: Callable[[str], CacheExplanation | None]
    slow_down: Callable[[str], Awaitable[None]]
    running: RunningRequests
    models: Callable[[], Sequence[ModelView]]
    settings: ServerSettings

    def routes(self) -> list[Route]:
        """Every route under `/admin`."""
        return [
            self._route("/accounts", _list_accounts, "GET"),
            self._route("/accounts", _create_account, "POST"),
            self._route("/accounts/{account_id}", _show_account, "GET"),
            self._route("/accounts/{account_id}", _change_account, "PATCH"),
            self._route("/accounts/{account_id}/limits", _set_limits, "PUT"),
            self._route("/accounts/{account_id}/top-up", _top_up, "POST"),
            self._route("/accounts/{account_id}/take-back", _take_back, "POST"),
            self._route("/accounts/{account_id}/grant", _grant, "POST"),
            self._route("/keys", _list_keys, "GET"),
            self._route("/keys", _create_key, "POST"),
            self._route("/keys/{key_id}", _revoke_key, "DELETE"),
            Route("/admin/audit", self._audit, methods=["GET"]),
            Route("/admin/usage", self._usage, methods=["GET"]),
            Route("/admin/models", self._list_models, methods=["GET"]),
            Route("/admin/requests", self._list_requests, methods=["GET"]),
            Route("/admin/requests/{request_id}", self._cancel, methods=["DELETE"]),
            Route("/admin/requests/{request_id}/cache", self._explain, methods=["GET"]),
        ]

    def _route(self, path: str, handler: Handler, method: str) -> Route:
        async def answer(request: Request) -> Response:
            body = await read_body(request, self.settings)

            def work() -> object:
                with self.open_connection() as connection:
                    return handler(request, Registry(connection, audit=self._trail(request)), body)

            result = await asyncio.to_thread(work)
            if method != "GET":
                _log.info("admin action", extra={"action": "admin", "method": method, "path": request.url.path})
            return Response(encode(result), media_type=JSON)

        return Route(f"/admin{path}", self._guarded(answer), methods=[method])

    def _trail(self, request: Request) -> AuditTrail:
        peer = request.client.host if request.client else "nowhere"
        return AuditTrail(
            self.settings.audit_file, actor=f"admin token from {peer}", request_id=request.state.request_id
        )

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                await self._check(request)
                return await answer(request)
            except SeekdError as error:
                return failed(error, CLASSIC)
            except ClientLeft:
                return Response(status_code=499)

        return endpoint

    async def _check(self, request: Request) -> None:
        key = bearer_key(request.headers.get("authorization"))
        if not self.token.matches(key):
            await self.slow_down(request.client.host if request.client else "")
            raise Unauthenticated(key_tail=None if key is None else key[-4:])

    async def _usage(self, request: Request) -> Response:
        async def answer(request: Request) -> Response:
            is_csv = wants_csv(request)
            report = await asyncio.to_thread(self._report, _usage_query(request), is_csv=is_csv)
            return Response(report, media_type=CSV if is_csv else JSON)

        return await self._guarded(answer)(request)

    async def _audit(self, request: Request) -> Response:
        async def answer(request: Request) -> Response:
            asked = request.query_params.get("limit", str(DEFAULT_AUDIT_LIMIT))
            if not asked.isdecimal() or len(asked) > 9:
                raise InvalidParameter(f"limit is a number of entries, not {asked!r}.")
            entries = await asyncio.to_thread(read_audit, self.settings.audit_file, limit=int(asked))
            return Response(encode(entries), media_type=JSON)

        return await self._guarded(answer)(request)

    async def usage_of(self, caller: Caller, request: Request) -> bytes:
        """What the caller's own account has used; the query says by what, since and until when, and in which form."""
        query = replace(_usage_query(request), account_id=caller.account_id)
        return await asyncio.to_thread(self._report, query, is_csv=wants_csv(request))

    def _report(self, query: UsageQuery, *, is_csv: bool) -> bytes:
        with self.open_connection() as connection:
            lines = usage_report(connection, query)
        return to_csv(lines, query.by).encode() if is_csv else encode([asdict(line) for line in lines])

    async def _list_models(self, request: Request) -> Response:
        async def answer(_: Request) -> Response:
            return Response(encode(self.models()), media_type=JSON)

        return await self._guarded(answer)(request)

    async def _list_requests(self, request: Request) -> Response:
        async def answer(_: Request) -> Response:
            return Response(encode(self.running.views()), media_type=JSON)

        return await self._guarded(answer)(request)

    async def _cancel(self, request: Request) -> Response:
        async def answer(request: Request) -> Response:
            request_id = request.path_params["request_id"]
            found = self.running.find(request_id)
            if found is None:
                raise InvalidParameter(f"No request with the id {request_id!r} is being served.")

            def write_down() -> None:
                with self._trail(request).change(
                    "request.cancel", target=request_id, account_id=found.account_id, model=found.model
                ):
                    pass  # the change is the event loop's: it is made when the entry is on disk, and cannot fail

            await asyncio.to_thread(write_down)
            self.running.cancel(request_id)
            _log.info("request cancelled", extra={"action": "request_cancelled", "cancelled": request_id})
            return Response(encode(found), media_type=JSON)

        return await self._guarded(answer)(request)

    async def _explain(self, request: Request) -> Response:
        async def answer(request: Request) -> Response:
            request_id = request.path_params["request_id"]
            found = self.explain(request_id)
            if found is None:
                raise InvalidParameter(f"No recent request has the id {request_id!r}.")
            return Response(encode(asdict(found)), media_type=JSON)

        return await self._guarded(answer)(request)


def wants_csv(request: Request) -> bool:
    """Whether a report is asked for as comma-separated values."""
    return request.query_params.get("format") == "csv"


def _usage_query(request: Request) -> UsageQuery:
    parameters = request.query_params
    now_ms = int(time.time() * 1000)
    return UsageQuery(
        by=parse_dimensions(parameters.getlist("by")),
        account_id=parameters.get("account_id"),
        key_id=parameters.get("key_id"),
        model=parameters.get("model"),
        since_ms=instant(parameters.get("since"), now_ms=now_ms),
        until_ms=instant(parameters.get("until"), now_ms=now_ms),
    )


def _list_accounts(_: Request, registry: Registry, __: bytes) -> object:
    return [account_json(account, registry.balance(account.id)) for account in registry.accounts()]


def _create_account(_: Request, registry: Registry, body: bytes) -> object:
    wanted = decode(body, NewAccountBody)
    limits = NO_LIMITS if wanted.limits is None else wanted.limits.as_limits()
    return account_json(registry.create_account(wanted.name, limits=limits))


def _show_account(request: Request, registry: Registry, _: bytes) -> object:
    account = registry.account(request.path_params["account_id"])
    return account_json(account, registry.balance(account.id))


def _change_account(request: Request, registry: Registry, body: bytes) -> object:
    wanted = decode(body, AccountChanges)
    account = registry.account(request.path_params["account_id"])
    if wanted.name is not None:
        account = registry.rename(account.id, wanted.name)
    if wanted.is_disabled is not None:
        account = registry.disable(account.id) if wanted.is_disabled else registry.enable(account.id)
    return account_json(account)


def _set_limits(request: Request, registry: Registry, body: bytes) -> object:
    account = request.path_params["account_id"]
    return account_json(registry.set_limits(account, decode(body, LimitsBody).as_limits()))


def _top_up(request: Request, registry: Registry, body: bytes) -> object:
    return _credit(request, registry.top_up, body)


def _take_back(request: Request, registry: Registry, body: bytes) -> object:
    return _credit(request, registry.take_back, body)


def _credit(request: Request, change: Callable[..., Balance], body: bytes) -> object:
    wanted = decode(body, CreditBody)
    if wanted.expires is not None:
        raise InvalidParameter("Paid balance does not expire; only grants do.")
    account = request.path_params["account_id"]
    return _balances(change(account, currency=wanted.currency, micros=wanted.micros(), reference=wanted.reference))


def _balances(balance: Balance) -> object:
    return {"id": balance.account_id, "balances": balances_json(balance)}


def _grant(request: Request, registry: Registry, body: bytes) -> object:
    wanted = decode(body, CreditBody)
    if wanted.reference:
        raise InvalidParameter("A grant has no reference; only what is paid does.")
    balance = registry.grant(
        request.path_params["account_id"],
        currency=wanted.currency,
        micros=wanted.micros(),
        expires_at_ms=instant(wanted.expires, now_ms=registry.now_ms()),
    )
    return _balances(balance)


def _list_keys(request: Request, registry: Registry, _: bytes) -> object:
    return [key_json(key) for key in registry.keys(request.query_params.get("account_id"))]


def _create_key(_: Request, registry: Registry, body: bytes) -> object:
    wanted = decode(body, NewKeyBody)
    key = registry.create_key(wanted.account_id, wanted.options(now_ms=registry.now_ms()))
    return {"id": key.view.id, "key": key.secret, **key_json(key.view)}


def _revoke_key(request: Request, registry: Registry, _: bytes) -> object:
    key_id = request.path_params["key_id"]
    key = registry.revoke_key(key_id)
    if key is None:
        raise InvalidParameter(f"There is no key {key_id!r}.")
    return key_json(key)
