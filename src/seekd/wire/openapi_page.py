"""The OpenAPI document as a page for people: plain HTML, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from seekd.wire.openapi import openapi_document

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c1e21;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f5f6f8;padding:.75rem;overflow:auto;border-radius:6px}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .5rem .25rem 0}
td{border-top:1px solid #eee}.method{font-weight:600;text-transform:uppercase}
@media(prefers-color-scheme:dark){body{color:#e4e6eb;background:#18191a}pre{background:#242526}td{border-color:#333}
h2{border-color:#444}a{color:#8ab4f8}}
"""


def docs_page(*, version: str) -> bytes:
    """The page, UTF-8."""
    document = openapi_document(version=version)
    info = document["info"]
    routes = "".join(
        _route(path, method, item, item[method])
        for path, item in document["paths"].items()
        for method in item
        if method != "servers"
    )
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>seekd API</title><style>{_STYLE}</style>"
        f"<h1>seekd API</h1><p>{escape(info['description'])} Version {escape(info['version'])}; as data: "
        "<a href=/openapi.json>openapi.json</a>.</p>"
        "<p>Send your key as <code>Authorization: Bearer …</code>. Errors are "
        f"<a href='#Error'>one object</a> everywhere.</p>{routes}{schemas}</html>"
    ).encode()


def _route(path: str, method: str, item: dict[str, Any], operation: dict[str, Any]) -> str:
    bases = [server["url"] for server in item["servers"]]
    under = f"<p>Under {', '.join(f'<code>{escape(base)}</code>' for base in bases)}.</p>" if len(bases) > 1 else ""
    body = operation.get("requestBody", {}).get("content", {})
    sends = "".join(f"<p>Body: {_link(content['schema'])}</p>" for content in body.values())
    rows = "".join(_answer(status, response) for status, response in operation["responses"].items())
    return (
        f"<h2 id='{escape(operation['operationId'])}'><span class=method>{escape(method)}</span> "
        f"<code>{escape(path)}</code></h2><p>{escape(operation['summary'])}.</p>{under}{sends}<table>{rows}</table>"
    )


def _answer(status: str, response: dict[str, Any]) -> str:
    kinds = ", ".join(
        f"{escape(media_type)}: {_link(content['schema'])}"
        for media_type, content in response.get("content", {}).items()
    )
    return f"<tr><td><code>{status}</code><td>{escape(response['description'])}<td>{kinds}</tr>"


def _link(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else "events"


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = json.dumps(schema, ensure_ascii=False, indent=2)
    return f"<h2 id='{escape(name)}'>{escape(name)}</h2><pre>{escape(text)}</pre>"
