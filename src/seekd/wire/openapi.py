"""The OpenAPI document: every public route, as data.

A route of the service answers under several bases; the document says it once, and lists the bases as the path's
servers. A test compares the document with the routes that the server really has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seekd.wire.openapi_admin import ADMIN_OPERATIONS, ADMIN_SCHEMAS
from seekd.wire.openapi_operation import COMMON_REFUSALS, ROOT, SERVICE_BASES, Operation
from seekd.wire.openapi_schemas import SCHEMAS

_EVENTS = "text/event-stream"
_BODY_REFUSALS = (400, 402, 408, 409, 413, 415, 500, 503)
_MEANINGS: Mapping[int, str] = {
    400: "The request is not valid",
    401: "The API key is missing or not valid",
    402: "The balance does not cover the request",
    403: "An open server does not serve web pages, proxies or other host names; or an operator cancelled the request",
    404: "No such model",
    408: "The body came too slowly",
    409: "The idempotency key was used with another request",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    429: "A limit is reached",
    500: "The engine failed",
    503: "The server is busy, loading or stopping",
}


def _posted(
    path: str,
    summary: str,
    *,
    request: str,
    response: str,
    bases: tuple[str, ...] = SERVICE_BASES,
    streams: bool = True,
) -> Operation:
    return Operation(
        method="post",
        path=path,
        bases=bases,
        summary=summary,
        request=request,
        response=response,
        streams=streams,
        refusals=(*COMMON_REFUSALS, *_BODY_REFUSALS),
    )


OPERATIONS: tuple[Operation, ...] = (
    _posted("/chat/completions", "Answer a conversation", request="ChatRequest", response="ChatCompletion"),
    _posted(
        "/completions",
        "Continue a text, or fill the hole before a suffix; on /beta",
        request="CompletionRequest",
        response="TextCompletion",
    ),
    _posted("/responses", "Answer in the Responses format", request="ResponsesRequest", response="Response"),
    _posted("/tokenize", "Count tokens", request="TokenizeRequest", response="TokenCount", streams=False),
    Operation(method="get", path="/models", bases=SERVICE_BASES, summary="List the models", response="ModelList"),
    Operation(
        method="get",
        path="/models/{model_id}",
        bases=SERVICE_BASES,
        summary="Describe one model",
        response="Model",
        refusals=(*COMMON_REFUSALS, 404),
    ),
    Operation(method="get", path="/user/balance", bases=SERVICE_BASES, summary="Show the balance", response="Balance"),
    *(
        operation
        for base in ("/anthropic/v1", "/anthropic")
        for operation in (
            _posted(
                f"{base}/messages",
                "Answer in the Messages format",
                request="MessagesRequest",
                response="Message",
                bases=ROOT,
            ),
            _posted(
                f"{base}/messages/count_tokens",
                "Count the tokens of a Messages request",
                request="MessagesRequest",
                response="MessageCount",
                bases=ROOT,
                streams=False,
            ),
        )
    ),
    Operation(
        method="get",
        path="/healthz",
        bases=ROOT,
        summary="Say whether a request would be answered now",
        response="Health",
        refusals=(503,),
        security=None,
    ),
    Operation(
        method="get",
        path="/livez",
        bases=ROOT,
        summary="Say that the process lives, whatever else is away",
        response="Health",
        security=None,
    ),
    Operation(
        method="get",
        path="/user/usage",
        bases=SERVICE_BASES,
        summary="Report what the account has used",
        response="UsageReport",
        refusals=(400, *COMMON_REFUSALS),
        query=("by", "key_id", "model", "since", "until"),
    ),
    *ADMIN_OPERATIONS,
    Operation(method="get", path="/metrics", bases=ROOT, summary="Show the counters", response=None),
    Operation(
        method="get",
        path="/openapi.json",
        bases=ROOT,
        summary="This document",
        response=None,
        refusals=(),
        security=None,
    ),
    Operation(
        method="get",
        path="/docs",
        bases=ROOT,
        summary="This document as a page",
        response=None,
        refusals=(),
        security=None,
    ),
)


def openapi_document(*, version: str) -> dict[str, Any]:
    """The document. Source: OpenAPI 3.1.

    Args:
        version: of the server.
    """
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {"servers": [{"url": base} for base in operation.bases]})
        path[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "seekd",
            "version": version,
            "description": "The DeepSeek Chat API on your own machines. seekd is independent of DeepSeek.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, **ADMIN_SCHEMAS},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An account's API key."},
                "admin_token": {"type": "http", "scheme": "bearer", "description": "Made at the first start."},
            },
        },
    }


def openapi_body(*, version: str) -> bytes:
    """The document as JSON."""
    return json.dumps(openapi_document(version=version), ensure_ascii=False, separators=(",", ":")).encode()


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "responses": _responses(operation),
    }
    if operation.security != "key":
        described["security"] = [] if operation.security is None else [{operation.security: []}]
    parameters = _parameters(operation)
    if parameters:
        described["parameters"] = parameters
    if operation.request is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.request)}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path] + [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query
    ]


def _operation_id(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace(".", "/").strip("/").split("/")
    return "_".join((operation.method, *words))


def _responses(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": operation.summary}
    if operation.response is not None:
        good["content"] = _json(operation.response)
        if operation.streams:
            good["content"][_EVENTS] = {"schema": {}}
    responses = {"200": good}
    for status in sorted(operation.refusals):
        schema = "Health" if operation.path == "/healthz" else "Error"
        responses[str(status)] = {"description": _MEANINGS[status], "content": _json(schema)}
    return responses


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
