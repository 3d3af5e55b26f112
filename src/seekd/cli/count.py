"""`seekd count`: how many tokens a text or a chat request is for a model.

Reads the model's token table only; no server and no weights are needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from seekd.engine.factory import make_engine
from seekd.errors import InvalidParameter, MalformedBody
from seekd.models.locate import find_model_file
from seekd.models.profile import profile_of
from seekd.models.store import ModelStore
from seekd.prompt.render.chat_formats import chat_format, facts_of
from seekd.prompt.render.segments import encode
from seekd.prompt.types import PromptFormat
from seekd.settings import Settings, planned_models
from seekd.wire.dialect import CLASSIC
from seekd.wire.tokenize import TextToCount, parse_tokenize


def count(file: Path | None, *, chat: bool, settings: Settings) -> int:
    """The number of tokens.

    Args:
        file: what to count; None reads standard input.
        chat: the input is a Chat Completions body, and its whole prompt is counted.
        settings: name the model.

    Raises:
        ConfigError: the model file cannot be used.
        RequestError: the input cannot be read, is no text, or no valid body.
    """
    plan = planned_models(settings)[0]
    path = find_model_file(plan.source, ModelStore(settings.server.models_folder))
    data = _read(file)
    body = parse_tokenize(data, dialect=CLASSIC) if chat else TextToCount(text=_text(data))
    parts = make_engine(path, plan.engine)
    outline = parts.outline()  # says in a sentence what opening the vocabulary might end the process for
    profile = profile_of(outline.metadata, architecture=outline.architecture, settings=plan.model)
    with parts.open_vocabulary() as vocabulary:
        facts = facts_of(outline.metadata, vocabulary.special_tokens)
        return len(encode(body.render(chat_format(PromptFormat(profile.prompt_format), facts)), vocabulary))


def _read(file: Path | None) -> bytes:
    if file is None:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidParameter(f"The file {file} cannot be read: {error.strerror}.") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The input is not UTF-8 text: {error.reason} at byte {error.start}.") from error
