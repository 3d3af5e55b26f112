"""A model that answers: its engine, its vocabulary and how it wants to be spoken to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import ParamSpec, TypeVar

from seekd.engine.types import Engine, EngineHealth, ModelInfo
from seekd.errors import EngineError
from seekd.models.profile import ModelProfile, map_temperature, profile_of
from seekd.models.settings import ModelSettings
from seekd.prompt.abilities import Abilities, abilities_of
from seekd.prompt.render.chat_formats import chat_format, facts_of
from seekd.prompt.tokenizer_json import tokenizer_json
from seekd.prompt.types import ChatFormat, PromptFormat
from seekd.request import LongConversation
from seekd.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class ServedModel:
    """One engine with what the API process must know of its model.

    Args:
        engine: not started yet.
        open_vocabulary: opens the token table; called in a thread once the engine has loaded the file safely, since a
            malformed file can kill the process that reads it.
        settings: of this model.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        open_vocabulary: Callable[[], AbstractContextManager[Vocabulary]],
        settings: ModelSettings,
    ) -> None:
        self.engine = engine
        self._open_vocabulary = open_vocabulary
        self._settings = settings
        self._resources = ExitStack()
        self._tokenizer_json: str | None = None
        self._vocabulary: Vocabulary | None = None
        self._profile: ModelProfile | None = None
        self._chat_format: ChatFormat | None = None
        self._abilities: Abilities | None = None

    async def start(self) -> None:
        """Load the model; again after a `close`. Raises `ConfigError` when its file cannot be used."""
        await self.engine.start()
        info = self.engine.info
        self._profile = profile_of(info.metadata, architecture=info.architecture, settings=self._settings)
        self._vocabulary = await _to_its_end(self._resources.enter_context, self._open_vocabulary())
        self._chat_format = await asyncio.to_thread(
            chat_format,
            PromptFormat(self._profile.prompt_format),
            facts_of(info.metadata, self._vocabulary.special_tokens),
        )
        self._abilities = abilities_of(self._chat_format)
        _log.info(
            "model loaded",
            extra={
                "action": "model_loaded",
                "model_name": info.name,
                "architecture": info.architecture,
                "context_length": info.context_length,
                "prompt_format": self._profile.prompt_format,
                "abilities": self._abilities.words(),
            },
        )
        trained = info.metadata.get(f"{info.architecture}.context_length", "")
        if trained.isdecimal() and info.context_length > int(trained):
            _log.warning(
                "a context of %d tokens is more than the %s that the model %s was trained for: beyond those, answers "
                "make less sense",
                info.context_length,
                trained,
                info.name,
                extra={"action": "long_context"},
            )

    async def close(self) -> None:
        """Abort what runs and free everything; waits for threads that use the vocabulary."""
        await self.engine.close()
        self._vocabulary = self._tokenizer_json = None  # the latter is 127 MB with a large vocabulary
        await _to_its_end(self._resources.close)

    @property
    def health(self) -> EngineHealth:
        """Whether a request would be answered now."""
        if self._vocabulary is None:
            return EngineHealth(ready=False, reason="The model is being loaded.")
        return self.engine.health

    @property
    def info(self) -> ModelInfo:
        """Of the loaded model. Raises `EngineError` before the first load has succeeded."""
        return self.engine.info

    @property
    def vocabulary(self) -> Vocabulary:
        """The token table. Raises `EngineError` while the model is being loaded."""
        if self._vocabulary is None:
            raise EngineError("The model is still being loaded. Try again in a moment.")
        return self._vocabulary

    @property
    def profile(self) -> ModelProfile:
        """How to speak to the model. Raises `EngineError` while the model is being loaded."""
        if self._profile is None:
            raise EngineError("The model is still being loaded. Try again in a moment.")
        return self._profile

    @property
    def chat_format(self) -> ChatFormat:
        """How the model is spoken to. Raises `EngineError` while the model is being loaded."""
        if self._chat_format is None:
            raise EngineError("The model is still being loaded. Try again in a moment.")
        return self._chat_format

    @property
    def abilities(self) -> Abilities:
        """What requests may ask of the model. Raises `EngineError` while the model is being loaded."""
        if self._abilities is None:
            raise EngineError("The model is still being loaded. Try again in a moment.")
        return self._abilities

    @property
    def long_conversation(self) -> LongConversation:
        """What becomes of a conversation that does not fit, where neither request nor account says it."""
        return LongConversation(self._settings.long_conversations)

    def tokenizer_json(self) -> str:
        """The vocabulary as a `tokenizer.json`; made at the first call, since only logprobs need it."""
        if self._tokenizer_json is None:
            self._tokenizer_json = tokenizer_json(self.vocabulary)
        return self._tokenizer_json

    def temperature(self, requested: float) -> float:
        """The model's temperature for the one that the request asked for."""
        return map_temperature(requested, self.profile.temperature_mapping)


async def _to_its_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work in a thread; who is cancelled waits for its end all the same, since nothing ends a thread."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait((working,))
        raise
