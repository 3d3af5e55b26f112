"""A generation service with a scripted model that summarises by repeating the facts that it read."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seekd.accounts.books import Books, open_books
from seekd.accounts.limiter import Limiter
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import OPEN_ACCOUNT_ID, Caller
from seekd.engine.scripted import EmitText, Script, ScriptedEngine, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.models.settings import LongConversationName, ModelSettings
from seekd.request import LongConversation
from seekd.service.billing import Billing
from seekd.service.generation import Generation
from seekd.service.long_conversations.summaries import Waiting
from seekd.service.metrics import Metrics
from seekd.service.model_pool import single_model
from seekd.service.opening import GenerationService
from seekd.service.served_model import ServedModel
from seekd.service.settings import ContextSettings
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC

CALLER = Caller(account_id=OPEN_ACCOUNT_ID, key_id=None, key_prefix="", name="open", is_open=True)
QUESTION = "Sum it up."
CONTEXT = ContextSettings(summary_prompt=QUESTION, summary_tokens=200)


def read(request: EngineRequest) -> str:
    """The prompt as text; markers are left out."""
    return bytes(token for token in request.prompt_token_ids if token < 256).decode()


def is_summary(request: EngineRequest) -> bool:
    return QUESTION in read(request)


def repeat_facts(request: EngineRequest) -> Iterable[ScriptStep]:
    if is_summary(request):
        facts = dict.fromkeys(re.findall(r"FACT\d+", read(request)))
        return [EmitText(text=" " + " ".join(facts))]
    return [EmitText(text="ok")]


@dataclass(slots=True, kw_only=True)
class Talk:
    """One server, and a conversation that grows."""

    service: GenerationService
    engine: ScriptedEngine
    books: Books
    metrics: Metrics

    async def open(
        self,
        messages: Sequence[dict[str, Any]],
        *,
        long_conversation: LongConversation | None = None,
        caller: Caller = CALLER,
        waiting: Waiting | None = None,
        **fields: Any,
    ) -> Generation:
        body = json.dumps({"model": "deepseek-chat", "messages": list(messages), **fields}).encode()
        call = parse_chat(body, dialect=CLASSIC, beta=False)
        return await self.service.open(
            replace(call.request, long_conversation=long_conversation),
            caller=caller,
            request_id=uuid.uuid4().hex,
            response_id="r",
            waiting=waiting,
        )

    async def ask(self, messages: Sequence[dict[str, Any]], **fields: Any) -> Generation:
        generation = await self.open(messages, **fields)
        async for _ in generation.chunks():
            pass
        return generation


@contextlib.asynccontextmanager
async def talking(
    script: Script = repeat_facts,
    *,
    choice: LongConversationName = "summarise",
    context: ContextSettings = CONTEXT,
    context_length: int = 2000,
    deadline_s: float | None = None,
) -> AsyncIterator[Talk]:
    engine = ScriptedEngine(script, context_length=context_length)
    settings = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none", long_conversations=choice)
    model = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=settings)
    with tempfile.TemporaryDirectory() as data_dir:
        books = open_books(AccountsSettings(), Path(data_dir), allows_open=True)
        await books.start()
        pool = single_model(model)
        await pool.start()
        metrics = Metrics(engines={})
        billing = Billing(books, Limiter(AccountsSettings(), total_micros=books.total_micros))
        service = GenerationService(
            models=pool, billing=billing, metrics=metrics, deadline_s=deadline_s, context=context
        )
        try:
            yield Talk(service=service, engine=engine, books=books, metrics=metrics)
        finally:
            await pool.close()
            await books.close()


def turns(num_turns: int, *, num_chars: int = 100, system: str = "Be brief.") -> list[dict[str, Any]]:
    """A conversation whose users state one fact each; the last one waits for its answer."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for index in range(num_turns):
        messages.append({"role": "user", "content": f"FACT{index} {'x' * num_chars}"})
        messages.append({"role": "assistant", "content": "ok"})
    return messages[:-1]
