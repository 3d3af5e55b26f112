"""Operations and schemas of `/admin` for the OpenAPI document; those of bodies are made of the bodies' own types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from seekd.wire.admin import AccountChanges, CreditBody, LimitsBody, NewAccountBody, NewKeyBody
from seekd.wire.openapi_operation import ROOT, Operation

Schema = dict[str, Any]
"""One JSON Schema; what stands in it is JSON of any shape."""

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_BALANCES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "currency": _TEXT,
            "total_balance": _TEXT,
            "granted_balance": _TEXT,
            "topped_up_balance": _TEXT,
            "held_balance": _TEXT,
            "available_balance": _TEXT,
        },
    },
}
_LIMITS: Schema = {"$ref": "#/components/schemas/LimitsBody"}


def _requests() -> Mapping[str, Schema]:
    _, components = msgspec.json.schema_components(
        (AccountChanges, CreditBody, LimitsBody, NewAccountBody, NewKeyBody), ref_template="#/components/schemas/{name}"
    )
    return components


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


ADMIN_SCHEMAS: Mapping[str, Schema] = {
    **_requests(),
    "Account": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "name": _TEXT,
            "created_at": _TEXT,
            "disabled_at": _TEXT_OR_NULL,
            "limits": _LIMITS,
            "balances": _BALANCES,
        },
        "required": ["id", "name", "created_at", "limits"],
    },
    "Accounts": _list_of("Account"),
    "AccountBalance": {
        "type": "object",
        "properties": {"id": _TEXT, "balances": _BALANCES},
        "required": ["id", "balances"],
    },
    "Key": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "key": {"type": "string", "description": "The key itself; shown once, when it is created."},
            "account_id": _TEXT,
            "name": _TEXT,
            "shown": _TEXT,
            "created_at": _TEXT,
            "expires_at": _TEXT_OR_NULL,
            "revoked_at": _TEXT_OR_NULL,
            "limits": _LIMITS,
            "allowed_models": {"type": ["array", "null"], "items": _TEXT},
        },
        "required": ["id", "account_id", "name", "shown", "created_at"],
    },
    "Keys": _list_of("Key"),
    "AuditEntries": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "at": _TEXT,
                "actor": _TEXT,
                "action": _TEXT,
                "target": _TEXT,
                "details": {"type": "object"},
                "request_id": _TEXT,
                "outcome": {"type": "string", "enum": ["done", "failed"]},
            },
            "required": ["at", "actor", "action", "target", "details", "request_id", "outcome"],
        },
    },
    "UsageReport": {"type": "array", "items": {"type": "object"}},
    "RunningRequest": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "account_id": _TEXT,
            "key_name": _TEXT,
            "model": _TEXT,
            "route": _TEXT,
            "stream": {"type": "boolean"},
            "state": {"type": "string", "enum": ["waiting", "prefill", "decode"]},
            "prompt_tokens": {"type": ["integer", "null"]},
            "cached_tokens": {"type": "integer"},
            "completion_tokens": {"type": "integer"},
            "age_s": {"type": "number"},
        },
        "required": ["id", "account_id", "model", "route", "stream", "state", "age_s"],
    },
    "RunningRequests": _list_of("RunningRequest"),
    "CacheExplanation": {"type": "object"},
    "ModelView": {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "served_names": {"type": "array", "items": _TEXT},
            "state": {"type": "string", "enum": ["away", "loading", "loaded"]},
            "reason": {"type": ["string", "null"]},
            "memory_bytes": {"type": "integer"},
            "context_length": {"type": ["integer", "null"]},
            "running": {"type": "integer"},
            "waiting": {"type": "integer"},
            "slots": {"type": "integer"},
            "memory_used": {"type": "number"},
            "cache_ram_bytes": {"type": "integer"},
            "cache_disk_bytes": {"type": "integer"},
            "prompt_tokens_total": {"type": "integer"},
            "cached_tokens_total": {"type": "integer"},
            "completion_tokens_total": {"type": "integer"},
            "engine_restarts_total": {"type": "integer"},
        },
        "required": ["name", "served_names", "state", "running", "waiting", "slots"],
    },
    "ModelViews": _list_of("ModelView"),
}


def _admin(
    method: str,
    path: str,
    summary: str,
    response: str,
    *,
    request: str | None = None,
    query: tuple[str, ...] = (),
) -> Operation:
    return Operation(
        method=method,
        path=f"/admin{path}",
        bases=ROOT,
        summary=summary,
        request=request,
        response=response,
        refusals=(400, 401, 408, 413, 500, 503),
        query=query,
        security="admin_token",
    )


ADMIN_OPERATIONS: tuple[Operation, ...] = (
    _admin("get", "/accounts", "List the accounts", "Accounts"),
    _admin("post", "/accounts", "Create an account", "Account", request="NewAccountBody"),
    _admin("get", "/accounts/{account_id}", "Show an account", "Account"),
    _admin(
        "patch", "/accounts/{account_id}", "Rename, disable or enable an account", "Account", request="AccountChanges"
    ),
    _admin("put", "/accounts/{account_id}/limits", "Set an account's limits", "Account", request="LimitsBody"),
    _admin("post", "/accounts/{account_id}/top-up", "Add paid balance", "AccountBalance", request="CreditBody"),
    _admin(
        "post",
        "/accounts/{account_id}/take-back",
        "Take paid balance back by a counter-entry",
        "AccountBalance",
        request="CreditBody",
    ),
    _admin("post", "/accounts/{account_id}/grant", "Grant balance", "AccountBalance", request="CreditBody"),
    _admin("get", "/keys", "List the keys", "Keys", query=("account_id",)),
    _admin("post", "/keys", "Create a key; the only answer that shows it", "Key", request="NewKeyBody"),
    _admin("delete", "/keys/{key_id}", "Revoke a key", "Key"),
    _admin("get", "/audit", "List the latest changes of accounts and keys", "AuditEntries", query=("limit",)),
    _admin(
        "get",
        "/usage",
        "Report what was used, as JSON or with format=csv as a table",
        "UsageReport",
        query=("by", "account_id", "key_id", "model", "since", "until", "format"),
    ),
    _admin("get", "/models", "List the models and what they do", "ModelViews"),
    _admin("get", "/requests", "List the requests that are being served", "RunningRequests"),
    _admin("delete", "/requests/{request_id}", "Cancel a request", "RunningRequest"),
    _admin("get", "/requests/{request_id}/cache", "Explain what the prefix cache gave a request", "CacheExplanation"),
)
