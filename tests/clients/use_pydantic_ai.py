"""pydantic-ai with its DeepSeek provider."""

from __future__ import annotations

from checks import FORECAST, GREETING, KEY, LIMITED_MODEL, MODEL_URL, REASONING, URL, raised, raised_by_the_second, run
from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelHTTPError
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.deepseek import DeepSeekProvider

ASK = "What's the weather like in New York?"


def _model(name: str = "deepseek-chat", key: str = KEY) -> OpenAIChatModel:
    client = AsyncOpenAI(api_key=key, base_url=f"{URL}/v1", max_retries=0, timeout=30)
    return OpenAIChatModel(name, provider=DeepSeekProvider(openai_client=client))


def _agent(name: str = "deepseek-chat") -> Agent[None, str]:
    agent: Agent[None, str] = Agent(_model(name))

    @agent.tool_plain
    def get_weather(location: str) -> str:
        """Get current weather."""
        assert location == "New York"
        return "sunny"

    return agent


def check_whole_answer_and_usage() -> None:
    result = Agent(_model()).run_sync("Hello, how are you?")
    assert result.output == GREETING
    assert result.usage.output_tokens >= len(GREETING)


async def check_stream() -> None:
    async with Agent(_model()).run_stream("Hello, how are you?") as result:
        pieces = [piece async for piece in result.stream_text(delta=True)]
    assert "".join(pieces) == GREETING
    assert result.usage.output_tokens >= len(GREETING)


def check_thinking() -> None:
    result = Agent(_model("deepseek-reasoner")).run_sync("Hello!")
    [thought] = [part for part in result.new_messages()[-1].parts if isinstance(part, ThinkingPart)]
    assert thought.content == REASONING
    assert result.output == GREETING


def check_tools_round_trip() -> None:
    assert _agent().run_sync(ASK).output == FORECAST


def check_tools_round_trip_while_thinking() -> None:
    assert _agent("deepseek-reasoner").run_sync(ASK).output == FORECAST


async def check_tools_streamed() -> None:
    async with _agent().run_stream(ASK) as result:
        assert await result.get_output() == FORECAST


def check_errors_carry_the_status() -> None:
    assert raised(ModelHTTPError, Agent(_model("no-such-model")).run_sync, "Hello!").status_code == 400
    assert raised(ModelHTTPError, Agent(_model(key="sk-0000")).run_sync, "Hello!").status_code == 401
    limited = raised_by_the_second(ModelHTTPError, Agent(_model(LIMITED_MODEL)).run_sync, "Hello!")
    assert limited.status_code == 429
    assert raised(ModelHTTPError, Agent(_model()).run_sync, "fail at once").status_code == 503


def check_the_bundled_model() -> None:
    client = AsyncOpenAI(api_key=KEY, base_url=f"{MODEL_URL}/v1", max_retries=0)
    model = OpenAIChatModel("deepseek-chat", provider=DeepSeekProvider(openai_client=client))
    assert Agent(model, model_settings={"max_tokens": 40}).run_sync("Hello, how are you?").output


if __name__ == "__main__":
    run(globals())
