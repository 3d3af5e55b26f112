"""JSON Schemas of bodies, for the OpenAPI document.

They describe what a caller should send and may expect, in the classic API's order; what is refused exactly, and
with which words, is the protocol package's business. Ranges are those of docs/reference/wire.md §6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
"""One JSON Schema; what stands in it is JSON of any shape."""


def _object(properties: Mapping[str, Schema], *, required: tuple[str, ...] = (), text: str | None = None) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    if text:
        schema["description"] = text
    return schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _text(description: str | None = None) -> Schema:
    return {"type": "string", "description": description} if description else {"type": "string"}


_STOP: Schema = {
    "description": "Ends the answer; is not part of it. At most 16.",
    "oneOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16},
        {"type": "null"},
    ],
}
_TEMPERATURE: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 2, "default": 1.0}
_TOP_P: Schema = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1, "default": 1.0}
_PENALTY: Schema = {"type": ["number", "null"], "minimum": -2, "maximum": 2, "default": 0.0}
_MAX_TOKENS: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 393_216}
_SEED: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1}
_STREAM: Schema = {"type": ["boolean", "null"], "default": False}
_STREAM_OPTIONS = _nullable(_object({"include_usage": {"type": "boolean"}}, text="Only with `stream: true`."))
_THINKING = _nullable(_object({"type": {"enum": ["enabled", "disabled", "adaptive"]}}, required=("type",)))
_SAFETY_CHECK = _nullable(
    _object({"level": {"enum": ["high", "low"]}}, required=("level",), text="`high` needs a moderation service.")
)
_MODEL: Schema = {
    "type": "string",
    "description": "`deepseek-chat` answers directly, `deepseek-reasoner` and the newer names think first.",
    "examples": ["deepseek-chat", "deepseek-reasoner", "deepseek-flash", "deepseek-v4-pro"],
}
_CONTENT: Schema = {
    "oneOf": [
        {"type": "string"},
        _array(_object({"type": {"const": "text"}, "text": _text()}, required=("type", "text"))),
        {"type": "null"},
    ]
}
_FUNCTION = _object(
    {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$", "minLength": 1, "maxLength": 128},
        "description": {"type": ["string", "null"]},
        "parameters": {"type": ["object", "null"], "description": "A JSON Schema of type object."},
        "strict": {"type": ["boolean", "null"], "description": "Works on /beta; ignored elsewhere."},
    },
    required=("name",),
)
_CALL = _object(
    {
        "index": {"type": "integer"},
        "id": _text(),
        "type": {"const": "function"},
        "function": _object({"name": _text(), "arguments": _text("A JSON object as text.")}),
    },
    required=("id", "type", "function"),
)
_MESSAGE = _object(
    {
        "role": {"enum": ["system", "user", "assistant", "tool", "latest_reminder", "developer", "function"]},
        "content": _CONTENT,
        "name": _text(),
        "reasoning_content": {"type": ["string", "null"]},
        "tool_calls": _array(_CALL, minItems=1),
        "tool_call_id": _text(),
        "prefix": {"type": "boolean", "description": "Last assistant message only, on /beta."},
        "function_call": _object({"name": _text(), "arguments": _text()}),
    },
    required=("role",),
)
_RESPONSE_FORMAT = _nullable(
    _object(
        {
            "type": {"enum": ["text", "json_object", "json_schema"]},
            "json_schema": _object({"name": _text(), "schema": {"type": "object"}}),
        },
        required=("type",),
    )
)
_TOOL_CHOICE: Schema = {
    "oneOf": [
        {"enum": ["none", "auto", "required", None]},
        _object(
            {"type": {"const": "function"}, "function": _object({"name": _text()}, required=("name",))},
            required=("type", "function"),
        ),
    ]
}
_FINISH: Schema = {
    "enum": ["stop", "length", "tool_calls", "function_call", "content_filter", "insufficient_system_resource", None]
}
_LOGPROBS: Schema = {"type": ["object", "null"]}

_CHAT_REQUEST = _object(
    {
        "model": _MODEL,
        "messages": _array(_MESSAGE, minItems=1),
        "temperature": _TEMPERATURE,
        "max_tokens": {**_MAX_TOKENS, "description": "4096 when unset and not thinking."},
        "max_completion_tokens": _MAX_TOKENS,
        "top_p": _TOP_P,
        "frequency_penalty": _PENALTY,
        "presence_penalty": _PENALTY,
        "stop": _STOP,
        "stream": _STREAM,
        "stream_options": _STREAM_OPTIONS,
        "logprobs": {"type": ["boolean", "null"]},
        "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
        "thinking": _THINKING,
        "reasoning_effort": {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", None]},
        "tools": _array(_object({"type": {"const": "function"}, "function": _FUNCTION}, required=("type", "function"))),
        "tool_choice": _TOOL_CHOICE,
        "functions": {**_array(_FUNCTION), "description": "The older spelling of tools."},
        "function_call": {
            "oneOf": [{"enum": ["auto", "none"]}, _object({"name": _text()}, required=("name",))],
        },
        "response_format": _RESPONSE_FORMAT,
        "seed": _SEED,
        "user_id": {"type": ["string", "null"], "maxLength": 512},
        "n": {"enum": [1, None]},
        "safety_check": _SAFETY_CHECK,
    },
    required=("model", "messages"),
)
_USAGE = _object(
    {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": _object({"cached_tokens": {"type": "integer"}}),
        "completion_tokens_details": _object({"reasoning_tokens": {"type": "integer"}}),
        "prompt_cache_hit_tokens": {"type": "integer"},
        "prompt_cache_miss_tokens": {"type": "integer"},
    },
    required=("prompt_tokens", "completion_tokens", "total_tokens"),
)
_ANSWER = _object(
    {
        "role": {"const": "assistant"},
        "content": {"type": ["string", "null"]},
        "reasoning_content": _text(),
        "tool_calls": _array(_CALL),
        "function_call": _object({"name": _text(), "arguments": _text()}),
    },
    required=("role", "content"),
)


def _answer_of(object_name: str, choice: Schema) -> Schema:
    return _object(
        {
            "id": _text(),
            "object": {"const": object_name},
            "created": {"type": "integer"},
            "model": _text(),
            "choices": _array(choice, minItems=1, maxItems=1),
            "usage": _ref("Usage"),
            "system_fingerprint": {"type": ["string", "null"]},
        },
        required=("id", "object", "created", "model", "choices", "usage"),
    )


def _choice(properties: Mapping[str, Schema]) -> Schema:
    return _object(
        {"index": {"const": 0}, **properties, "logprobs": _LOGPROBS, "finish_reason": _FINISH},
        required=("index", *properties, "finish_reason"),
    )


_COMPLETION_REQUEST = _object(
    {
        "model": _MODEL,
        "prompt": _text(),
        "suffix": {"type": ["string", "null"], "description": "The text behind the hole that is to be filled."},
        "max_tokens": _MAX_TOKENS,
        "echo": {"type": ["boolean", "null"]},
        "logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
        "stop": _STOP,
        "stream": _STREAM,
        "stream_options": _STREAM_OPTIONS,
        "temperature": _TEMPERATURE,
        "top_p": _TOP_P,
        "frequency_penalty": _PENALTY,
        "presence_penalty": _PENALTY,
        "seed": _SEED,
        "n": {"enum": [1, None]},
    },
    required=("model", "prompt"),
)
_MESSAGES_REQUEST = _object(
    {
        "model": _text("A name of `GET /models`, or of one of Anthropic's models; in `classic` any name is served."),
        "messages": _array(
            _object(
                {"role": {"enum": ["user", "assistant", "system", "latest_reminder"]}, "content": _text()},
                required=("role", "content"),
            ),
            minItems=1,
        ),
        "max_tokens": _MAX_TOKENS,
        "system": {"oneOf": [_text(), {"type": "array"}, {"type": "null"}]},
        "temperature": _TEMPERATURE,
        "top_p": _TOP_P,
        "stop_sequences": _array(_text(), maxItems=16),
        "stream": _STREAM,
        "thinking": _THINKING,
        "tools": _array(_object({"name": _text(), "input_schema": {"type": "object"}}, required=("name",))),
        "tool_choice": _object(
            {"type": {"enum": ["none", "auto", "any", "tool"]}, "name": _text()}, required=("type",)
        ),
        "metadata": _object({"user_id": _text()}),
        "safety_check": _SAFETY_CHECK,
    },
    required=("model", "messages"),
)
_RESPONSES_REQUEST = _object(
    {
        "model": _MODEL,
        "input": {"oneOf": [_text(), {"type": "array", "minItems": 1}]},
        "instructions": {"type": ["string", "null"]},
        "max_output_tokens": _MAX_TOKENS,
        "temperature": _TEMPERATURE,
        "top_p": _TOP_P,
        "stream": _STREAM,
        "reasoning": _nullable(_object({"effort": {"type": ["string", "null"]}})),
        "text": _nullable(_object({"format": {"type": "object"}})),
        "tools": {"type": "array"},
        "tool_choice": {},
        "safety_check": _SAFETY_CHECK,
        "user": {"type": ["string", "null"]},
    },
    required=("model",),
)
_MODEL_OBJECT = _object(
    {
        "id": _text(),
        "object": {"const": "model"},
        "owned_by": _text(),
        "name": _text(),
        "context_window": {"type": "integer"},
        "max_output_tokens": {"type": "integer"},
        "abilities": _object(
            {
                "chat": {"type": "boolean"},
                "thinking": {"enum": ["switch", "always", "free", "never"]},
                "tools": {"type": "boolean"},
                "json": {"type": "boolean"},
                "fim": {"type": "boolean", "description": "Fill in the middle."},
            },
            required=("chat", "thinking", "tools", "json", "fim"),
        ),
        "demonstration": {"type": "boolean", "description": "The bundled model: it is small and knows little."},
    },
    required=("id", "object", "owned_by"),
)
_AMOUNT: Schema = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}

SCHEMAS: Mapping[str, Schema] = {
    "ChatRequest": _CHAT_REQUEST,
    "ChatCompletion": _answer_of("chat.completion", _choice({"message": _ANSWER})),
    "CompletionRequest": _COMPLETION_REQUEST,
    "TextCompletion": _answer_of("text_completion", _choice({"text": _text()})),
    "Usage": _USAGE,
    "MessagesRequest": _MESSAGES_REQUEST,
    "Message": _object(
        {"id": _text(), "type": {"const": "message"}, "content": {"type": "array"}, "usage": {"type": "object"}},
        required=("id", "type", "content", "usage"),
    ),
    "MessageCount": _object({"input_tokens": {"type": "integer"}}, required=("input_tokens",)),
    "ResponsesRequest": _RESPONSES_REQUEST,
    "Response": _object(
        {"id": _text(), "object": {"const": "response"}, "output": {"type": "array"}, "status": _text()},
        required=("id", "object", "output", "status"),
    ),
    "TokenizeRequest": {
        "description": "A text, or a Chat Completions body, whose whole prompt is counted.",
        "anyOf": [_object({"text": _text()}, required=("text",)), _ref("ChatRequest")],
    },
    "TokenCount": _object(
        {"object": {"const": "tokenize"}, "num_tokens": {"type": "integer"}, "token_ids": _array({"type": "integer"})},
        required=("object", "num_tokens", "token_ids"),
    ),
    "Model": _MODEL_OBJECT,
    "ModelList": _object({"object": {"const": "list"}, "data": _array(_ref("Model"))}, required=("object", "data")),
    "Balance": _object(
        {
            "is_available": {"type": "boolean"},
            "balance_infos": _array(
                _object(
                    {
                        "currency": _text(),
                        "total_balance": _AMOUNT,
                        "granted_balance": _AMOUNT,
                        "topped_up_balance": _AMOUNT,
                    }
                )
            ),
        },
        required=("is_available", "balance_infos"),
    ),
    "Health": _object(
        {
            "status": _text(),
            "reason": _text(),
            "refused_settlements": {
                "type": "integer",
                "minimum": 1,
                "description": "Answers whose charge the accounts database refuses; `seekd ledger verify` names them.",
            },
        },
        required=("status",),
    ),
    "Error": _object(
        {
            "error": _object(
                {"message": _text(), "type": _text(), "param": {"type": "null"}, "code": _text()},
                required=("message", "type", "param", "code"),
            )
        },
        required=("error",),
    ),
}
