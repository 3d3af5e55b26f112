"""Who may pass: keys where there are any, this machine only where there are none."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from seekd import log
from seekd.accounts.access import open_request_refusal, page_origins
from seekd.accounts.books import Books
from seekd.accounts.keys import bearer_key
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import Caller
from seekd.errors import ForbiddenOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Asks the books who a request comes from.

    Attributes:
        books: know the keys.
        settings: hosts and origins that open requests may name.
        is_insecure: the server is meant to be open on other addresses.
    """

    books: Books
    settings: AccountsSettings
    is_insecure: bool = False

    async def admit(self, request: Request) -> Caller:
        """The caller of a request.

        Raises:
            Unauthenticated: a key is asked for, and none that works was sent.
            ForbiddenOrigin: no key is asked for, but the request does not come from a program on this machine.
            StoreError: the database is away.
        """
        key = bearer_key(request.headers.get("authorization"), request.headers.get("x-api-key"))
        peer = request.client.host if request.client else ""
        caller = await self.books.authenticate(key, peer=peer)
        if caller.is_open:
            refusal = open_request_refusal(
                request.headers.items(),
                http_version=request.scope["http_version"],
                allowed_hosts=self.settings.allowed_hosts,
                allowed_origins=page_origins(self.settings.allowed_origins),
                is_insecure=self.is_insecure,
            )
            if refusal is not None:
                raise ForbiddenOrigin(
                    f"This server asks for no key and so answers only programs on its own machine: {refusal}"
                )
        log.key_prefix.set(caller.key_prefix or None)
        return caller
