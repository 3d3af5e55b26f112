"""The error tree of seekd. Imports nothing of ours.

    SeekdError
    ├── RequestError            the caller's request is at fault; repeating it unchanged cannot work
    │   ├── MalformedBody       the body is not JSON, or not of the protocol's shape
    │   ├── InvalidParameter    a value breaks a rule of the protocol
    │   ├── ContextTooLong      the prompt does not fit the model's context
    │   ├── LimitExceeded       more messages, tools or tokens than the server takes
    │   ├── ContentRefused      the moderation service refused the request or its answer
    │   ├── SensitiveContent    the request holds data of a kind that the server does not take
    │   ├── UnknownModel        no model of that name
    │   ├── UnpricedModel       other models have a price, and this one has none
    │   ├── IdempotencyConflict the idempotency key was sent before, with another request
    │   ├── BodyTooLarge        more bytes than the server takes
    │   ├── BodyTimeout         the body came too slowly
    │   └── UnsupportedMedia    the body is not declared as JSON
    ├── AccessError             who calls, not what they ask, is the reason
    │   ├── Unauthenticated     no key, a malformed header, or a key that is not valid
    │   ├── ForbiddenOrigin     an open server was asked by a web page, through a proxy or by another host name
    │   ├── InsufficientBalance the account cannot pay the worst case of the request
    │   └── RateLimited         a limit of the key or the account is reached
    ├── CapacityError           seekd cannot take the request now; the same request may work later
    │   ├── ModerationUnavailable  the moderation service does not answer
    │   ├── Overloaded          the queue is full, or the wait was too long
    │   └── ShuttingDown        the server is stopping
    ├── RequestCancelled        an operator ended the request while it was served
    ├── EngineError             the model's engine failed while it served the request
    ├── DownloadError           a model could not be brought from the hub
    ├── StoreError              a database or block store is away, full or damaged
    └── ConfigError             a setting, a file or the environment keeps seekd from starting

Domain packages raise these and know no HTTP; `wire/failures.py` is the one table from them to statuses. The class
docstring is the default message, facts travel as attributes.
"""

from __future__ import annotations

import inspect


class SeekdError(Exception):
    """seekd failed."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message if message is not None else (inspect.getdoc(type(self)) or type(self).__name__)
        super().__init__(self.message)


class RequestError(SeekdError):
    """The request is not valid."""


class MalformedBody(RequestError):
    """The request body is not valid JSON.

    Attributes:
        is_syntax: the body could not be read at all; otherwise it is JSON, but not of the protocol's shape.
    """

    def __init__(self, message: str | None = None, *, is_syntax: bool = True) -> None:
        self.is_syntax = is_syntax
        super().__init__(message if message is not None else "The request body is not valid JSON.")


class InvalidParameter(RequestError):
    """A request parameter is not valid."""


class ContextTooLong(RequestError):
    """Maximum context length exceeded

    Attributes:
        context_length: tokens that the model's context holds.
        num_prompt_tokens: tokens of the prompt.
        num_requested_tokens: completion tokens asked for, 0 when the request set none.
        is_minimum: the prompt was not read to its end, and has at least these tokens.
    """

    def __init__(
        self,
        *,
        context_length: int,
        num_prompt_tokens: int,
        num_requested_tokens: int = 0,
        is_minimum: bool = False,
    ) -> None:
        self.context_length = context_length
        self.num_prompt_tokens = num_prompt_tokens
        self.num_requested_tokens = num_requested_tokens
        self.is_minimum = is_minimum
        super().__init__("Maximum context length exceeded")


class LimitExceeded(RequestError):
    """The request is larger than this server takes.

    Attributes:
        what: that is counted, in the plural.
        value: of the request.
        limit: the most that is taken.
        setting: that says so.
    """

    def __init__(self, *, what: str, value: int, limit: int, setting: str) -> None:
        self.what = what
        self.value = value
        self.limit = limit
        self.setting = setting
        super().__init__(f"The request has {value} {what}; this server takes {limit} ({setting}).")


class ContentRefused(RequestError):
    """Content Exists Risk"""


class SensitiveContent(RequestError):
    """The request holds sensitive data that this server does not take.

    Attributes:
        rules: that found it; what they found is not kept.
    """

    def __init__(self, *, rules: tuple[str, ...] = ()) -> None:
        self.rules = rules
        names = f": {', '.join(rules)} (guard.block)" if rules else ""
        super().__init__(f"The request holds sensitive data that this server does not take{names}.")


class UnknownModel(RequestError):
    """Model not found

    Attributes:
        model: the name that the request asked for.
        known_models: the names that would have worked.
    """

    def __init__(self, model: str, *, known_models: tuple[str, ...]) -> None:
        self.model = model
        self.known_models = known_models
        super().__init__("Model not found")


class UnpricedModel(RequestError):
    """There is no price for the model.

    Attributes:
        model: the name that has none.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(
            f"There is no price for the model {model!r}, and this server, which has prices, serves no model without "
            "one. Its operator adds it to accounts.prices; a price of 0 makes the model free."
        )


class IdempotencyConflict(RequestError):
    """This idempotency key was already used with another request"""


class BodyTooLarge(RequestError):
    """The request body is too large.

    Attributes:
        limit_bytes: the most that the server takes.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"The request body is larger than the {int(limit_bytes)} bytes that this server takes "
            "(server.max_body_bytes)."
        )


class BodyTimeout(RequestError):
    """The request body did not arrive in time.

    Attributes:
        limit_s: seconds that the server waited.
    """

    def __init__(self, *, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(f"The request body did not arrive within {limit_s:g} seconds.")


class UnsupportedMedia(RequestError):
    """Expected request with `Content-Type: application/json`"""


class AccessError(SeekdError):
    """Access denied."""


class Unauthenticated(AccessError):
    """Authentication Fails

    Attributes:
        key_tail: the last four characters of the key that was sent; None when no usable key was sent.
    """

    def __init__(self, *, key_tail: str | None = None) -> None:
        self.key_tail = key_tail
        super().__init__("Authentication Fails")


class ForbiddenOrigin(AccessError):
    """An open server answers only programs on its own machine."""


class InsufficientBalance(AccessError):
    """Insufficient Balance"""


class RateLimited(AccessError):
    """Rate limit exceeded

    Attributes:
        retry_after_s: seconds after which the same request may pass; None when unknown.
        concurrency: requests that would have run at once, this one included; None when another limit was reached.
        concurrency_limit: how many may; None when another limit was reached.
        is_balance_derived: the concurrency limit follows from the account's balance.
        window: what a limit in time counts, "requests" or "tokens"; None when another limit was reached.
        can_pass_later: False where the request alone is above the limit, so that no wait helps it.
        headers: names and values that tell the caller where it stands, lower case.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: float | None = None,
        concurrency: int | None = None,
        concurrency_limit: int | None = None,
        is_balance_derived: bool = False,
        window: str | None = None,
        can_pass_later: bool = True,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.retry_after_s = retry_after_s
        self.concurrency = concurrency
        self.concurrency_limit = concurrency_limit
        self.is_balance_derived = is_balance_derived
        self.window = window
        self.can_pass_later = can_pass_later
        self.headers = headers
        super().__init__(message if message is not None else "Rate limit exceeded")


class CapacityError(SeekdError):
    """The server cannot take the request now."""


class Overloaded(CapacityError):
    """The server is too busy. Try again in a moment."""


class ModerationUnavailable(CapacityError):
    """The moderation service does not answer, and this server serves nothing without it. Try again in a moment."""


class ShuttingDown(CapacityError):
    """The server is shutting down."""


class RequestCancelled(SeekdError):
    """An operator of this server cancelled the request."""


class EngineError(SeekdError):
    """The engine failed while it served the request. Try again."""


class StoreError(SeekdError):
    """The server's store is not available. Nothing was charged.

    Attributes:
        reason: in the words of the database, which may quote its own data: for logs and the operator's terminal, never
            for a client; empty when there is nothing to add.
    """

    def __init__(self, message: str | None = None, *, reason: str = "") -> None:
        self.reason = reason
        super().__init__(
            message if message is not None else "The server's store is not available. Nothing was charged."
        )


class DownloadError(SeekdError):
    """The model could not be downloaded."""


class ConfigError(SeekdError):
    """The configuration is not valid."""
