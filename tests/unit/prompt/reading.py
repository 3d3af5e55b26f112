"""Chat bodies, and what the API would answer to a text that a model generates for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.recipe import ReadBody, RecipeBody, WireProtocol
from seekd.prompt.types import ChatFormat, OutputChunk, PromptUsage, ResponseIdentity, Segment

IDENTITY = ResponseIdentity(response_id="ID", model="m", created_s=5, system_fingerprint="fp")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def chat_body(messages: Sequence[dict[str, Any]], *, thinking: bool = False, **fields: Any) -> RecipeBody:
    body = json.dumps({"model": "m", "messages": list(messages), "stream": True, **fields}).encode()
    return ReadBody(WireProtocol.CHAT, body).convert(
        models=("m",), thinking_by_default=thinking, requires_reasoning=False
    )


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str = "", *calls: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """Calls are names and arguments; their ids are `c0`, `c1` and so on."""
    message: dict[str, Any] = {"role": "assistant", "content": text, **fields}
    if calls:
        message["tool_calls"] = [
            {"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(calls)
        ]
    return message


def result(text: str, call: int = 0) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{call}", "content": text}


def prompt_of(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments)


@dataclass(slots=True)
class Answer:
    reasoning: str = ""
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    finish_reason: str = ""

    @property
    def arguments(self) -> list[tuple[str, Any]]:
        return [(name, json.loads(text)) for name, text in self.calls]


def merged(chunks: Sequence[OutputChunk]) -> Answer:
    answer = Answer()
    for chunk in chunks:
        choice = chunk["choices"][0]
        answer.finish_reason = choice["finish_reason"] or answer.finish_reason
        answer.reasoning += choice["delta"].get("reasoning_content") or ""
        answer.content += choice["delta"].get("content") or ""
        for piece in choice["delta"].get("tool_calls", ()):
            if "name" in piece["function"]:
                answer.calls.append((piece["function"]["name"], ""))
            name, written = answer.calls[piece["index"]]
            answer.calls[piece["index"]] = (name, written + piece["function"]["arguments"])
    return answer


def read_pieces(body: RecipeBody, chat_format: ChatFormat, pieces: Sequence[str], *, is_cut: bool = False) -> Answer:
    parser = body.open_parser(IDENTITY, chat_format)
    chunks = parser.ready(PromptUsage(num_prompt_tokens=1))
    for piece in pieces:
        if parser.stopped:
            break
        chunks += parser.push_text(piece, num_tokens=1)
    chunks += parser.finish(hit_length_limit=is_cut)
    answer = merged(chunks)
    whole = parser.response()["choices"][0]["message"]
    assert (whole["content"] or "") == answer.content
    assert (whole.get("reasoning_content") or "") == answer.reasoning
    return answer


def read(body: RecipeBody, chat_format: ChatFormat, text: str, *, is_cut: bool = False) -> Answer:
    """Read the text whole, byte by byte and at each two-way split; all must be equal."""
    answer = read_pieces(body, chat_format, [text], is_cut=is_cut)
    for pieces in (_bytewise(text), *_splits(text)):
        assert read_pieces(body, chat_format, pieces, is_cut=is_cut) == answer, pieces
    return answer


def _bytewise(text: str) -> list[str]:
    detokenizer = Detokenizer()
    return [piece for byte in text.encode() if (piece := detokenizer.push(bytes([byte])))]


def _splits(text: str) -> Iterator[list[str]]:
    for index in range(1, len(text)):
        yield [text[:index], text[index:]]
