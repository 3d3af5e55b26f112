"""What is fuzzed: each target takes bytes, whatever they are, and lets nothing out but seekd's own errors.

A target that finds something raises. `make fuzz` guides the bytes by coverage; `tests/unit/test_fuzz_targets.py` runs
each target on its seeds and on changed seeds, in every run of the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from seekd.config import load
from seekd.engine.cache.block_file import DamagedBlock, read_block, write_block
from seekd.engine.llama.model_file import read_model_file
from seekd.errors import ConfigError, InvalidParameter, SeekdError
from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL
from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.types import PromptUsage, Renderable
from seekd.settings import Settings
from seekd.testing.faults import FAULTS, fault, read_fault
from seekd.testing.scrub import Scrubber
from seekd.testing.seen import SeenRequest
from seekd.testing.stream_check import read_events
from seekd.testing.strictness import complaints
from seekd.wire.chat import parse_chat
from seekd.wire.completions import parse_completion
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.failures import failure_response
from seekd.wire.messages import parse_messages
from seekd.wire.responses import parse_responses
from seekd.wire.sse import frame
from tests.formats import V4, V41
from tests.unit.prompt.reading import IDENTITY, WEATHER, chat_body, user

CALL = (
    'Look.</think>Now: \n\n<｜DSML｜ calls>\n<｜DSML｜ invoke name="get_weather">\n'
    '<｜DSML｜ parameter name="city" string="true">Paris</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n</｜DSML｜ calls>'
)
_CHAT = {
    "model": "deepseek-chat",
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tools": [WEATHER],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "stop": ["a"],
    "logprobs": True,
    "top_logprobs": 2,
}
_MESSAGES = {
    "model": "claude-x",
    "max_tokens": 9,
    "system": "s",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}
_RESPONSES = {
    "model": "deepseek-chat",
    "instructions": "s",
    "input": [{"type": "function_call_output", "call_id": "c", "output": "x"}, {"role": "user", "content": "Hi"}],
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
}
_COMPLETION = {"model": "deepseek-chat", "prompt": "def f", "suffix": "x", "echo": False, "logprobs": 3}
_STREAM = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Gr\xc3\xbc\xc3\x9fe"},"finish_reason":null}]}\n\n'


def _body(parse: Callable[[bytes, Dialect], Renderable], data: bytes) -> None:
    for dialect in (CLASSIC, HOSTED):
        try:
            rendered = parse(data, dialect)
            for chat_format in (V41, V4):
                rendered.render(chat_format)
        except SeekdError as error:
            if failure_response(error, dialect).status != 400:
                raise


def chat(data: bytes) -> None:
    """A body of Chat Completions."""
    _body(lambda body, dialect: parse_chat(body, dialect=dialect, beta=True).request.body, data)


def completions(data: bytes) -> None:
    """A body of Completions."""
    _body(lambda body, dialect: parse_completion(body, dialect=dialect, beta=True).request.body, data)


def messages(data: bytes) -> None:
    """A body of Messages."""
    _body(lambda body, dialect: parse_messages(body, dialect=dialect).request.body, data)


def responses(data: bytes) -> None:
    """A body of Responses."""
    _body(lambda body, dialect: parse_responses(body, dialect=dialect).request.body, data)


def answer(data: bytes) -> None:
    """What a model generates, in two pieces of which the first byte tells the place: every text is an answer."""
    if not data:
        return
    for thinking in (False, True):
        parser = chat_body([user("Hi")], tools=[WEATHER], thinking=thinking).open_parser(IDENTITY, V41)
        detokenizer = Detokenizer()
        events = parser.ready(PromptUsage(num_prompt_tokens=1))
        place = data[0] % len(data)
        for piece in (data[1:place], data[place:]):
            if text := detokenizer.push(piece):
                events += parser.push_text(text, num_tokens=1)
        events += parser.finish(hit_length_limit=False)
        assert events[-1]["choices"][0]["finish_reason"], events[-1]
        parser.response()


def sse(data: bytes) -> None:
    """A text on its way through a frame."""
    text = data.decode(errors="replace")
    written = frame(json.dumps({"content": text}, ensure_ascii=False).encode())
    [event] = read_events(written)
    assert json.loads(event.data) == {"content": text}


@cache
def _folder() -> Path:
    # In memory where there is such a place: a target runs millions of times.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="seekd-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _file(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def model_file(data: bytes) -> None:
    """The header of a GGUF file."""
    with contextlib.suppress(ConfigError):
        read_model_file(_file(data, "x.gguf"))


def cache_block(data: bytes) -> None:
    """A cache block on disk."""
    key, binding = b"k" * 16, b"b" * 16
    try:
        payload = read_block(_file(data, "block"), key, binding)
    except DamagedBlock:
        return
    write_block(_folder() / "again", _folder() / "temporary", key, payload, binding)


def settings_file(data: bytes) -> None:
    """A settings file."""
    with contextlib.suppress(ConfigError):
        load(Settings, environment={}, file=_file(data, "seekd.toml"))


def faulty_stream(data: bytes) -> None:
    """A stream under every fault of the test kit, and what its scrubber makes of it."""
    frames = [part + b"\n\n" for part in data.split(b"\n\n") if part]
    for name in FAULTS:
        fault(name).in_stream(frames, CLASSIC)
    texts = [part.decode(errors="replace") for part in frames]
    assert len(Scrubber(["email"], {}).events(texts)) == len(texts)


def seen_request(data: bytes) -> None:
    """What the test kit sees of a request."""
    for path in ("/v1/chat/completions", "/beta/completions", "/anthropic/v1/messages", "/v1/responses"):
        seen = SeenRequest(path=path, headers={}, raw=data)
        assert isinstance(seen.text + seen.role, str)
        assert isinstance(seen.tool_result, str | None)
        complaints(seen)
    with contextlib.suppress(InvalidParameter):
        read_fault(data.decode(errors="replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target; `seeds` are inputs that get far."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _json(*values: object) -> Sequence[bytes]:
    return tuple(json.dumps(value).encode() for value in values)


@cache
def targets() -> Mapping[str, Target]:
    """Every target by its name; made at the first call, since some seeds are read from disk."""
    return MappingProxyType(
        {
            "chat": Target(run=chat, seeds=_json(_CHAT)),
            "completions": Target(run=completions, seeds=_json(_COMPLETION)),
            "messages": Target(run=messages, seeds=_json(_MESSAGES)),
            "responses": Target(run=responses, seeds=_json(_RESPONSES)),
            "answer": Target(run=answer, seeds=(CALL.encode(), b"\x05plain \xe2\x82\xac text")),
            "sse": Target(run=sse, seeds=(b"a\r\n\xe2\x80\xa8b",)),
            "model-file": Target(run=model_file, seeds=(find_model_file(BUNDLED_MODEL).read_bytes()[:4000], _gguf())),
            "cache-block": Target(run=cache_block, seeds=(_block(),)),
            "settings-file": Target(
                run=settings_file, seeds=(b'[server]\nport = 1\n[[guard.patterns]]\nrule = "x"\n',)
            ),
            "faulty-stream": Target(run=faulty_stream, seeds=(_STREAM * 3 + b"data: [DONE]\n\n",)),
            "seen-request": Target(run=seen_request, seeds=(*_json(_CHAT, _MESSAGES, _RESPONSES), b"stall; after=3")),
        }
    )


def _gguf() -> bytes:
    """A header with one value and no tensor."""
    name = b"general.architecture"
    value = b"llama"
    head = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    entry = len(name).to_bytes(8, "little") + name + (8).to_bytes(4, "little")
    return head + entry + len(value).to_bytes(8, "little") + value


def _block() -> bytes:
    path = _folder() / "seed"
    write_block(path, _folder() / "temporary", b"k" * 16, b"payload", b"b" * 16)
    return path.read_bytes()
