"""pydantic-ai under faults."""

from __future__ import annotations

import asyncio
import json

from openai import AsyncOpenAI
from probing import QUESTION, TIMEOUT_S, URL, probe
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.deepseek import DeepSeekProvider


class Called(Exception):
    """Ends the run when the tool is called."""


RUNNER = asyncio.Runner()
"""One loop for all: connections of a loop that has ended complain when they are closed."""


def ask(is_stream: bool, is_call: bool) -> str:
    return RUNNER.run(_ask(is_stream, is_call))


async def _ask(is_stream: bool, is_call: bool) -> str:
    client = AsyncOpenAI(api_key="any", base_url=f"{URL}/v1", max_retries=0, timeout=TIMEOUT_S)
    model = OpenAIChatModel("deepseek-chat", provider=DeepSeekProvider(openai_client=client))
    agent: Agent[None, str] = Agent(model, retries=0)
    called: list[str] = []
    if is_call:

        @agent.tool_plain
        def get_weather(city: str) -> str:
            called.append(json.dumps({"city": city}))
            raise Called

    try:
        if is_stream:
            async with agent.run_stream(QUESTION) as result:
                return await result.get_output()
        return (await agent.run(QUESTION)).output
    except Called:
        return called[0]


probe(ask)
