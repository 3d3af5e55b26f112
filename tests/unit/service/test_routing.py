"""Routers, and what becomes of their answers."""

import contextlib
from dataclasses import replace

import pytest

from seekd.accounts.types import Caller
from seekd.engine.scripted import ScriptedEngine, say
from seekd.models.settings import ModelSettings
from seekd.output_rule import OutputRule
from seekd.prompt.render.fim import CompletionBody
from seekd.request import GenerationRequest
from seekd.service.model_pool import Member, ModelPool
from seekd.service.routing import Candidate, RouteQuestion, Routes
from seekd.service.served_model import ServedModel

SETTINGS = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none")
CALLER = Caller(account_id="a", key_id=None, key_prefix="", name="open")
REQUEST = GenerationRequest(
    model="deepseek-chat",
    requested_model="claude-sonnet-4",
    served_model="deepseek-flash",
    stream=True,
    thinking=False,
    body=CompletionBody(prompt="x"),
    max_tokens=7,
    rule=OutputRule(kind="tools"),
    user_id="u",
)


class _Router:
    """Answers what it is told to. Implements `routing.Router`."""

    def __init__(self, answer: str | Exception | None) -> None:
        self.answer = answer
        self.questions: list[RouteQuestion] = []

    def route(self, question: RouteQuestion) -> str | None:
        self.questions.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _pool() -> ModelPool:
    def model() -> ServedModel:
        engine = ScriptedEngine(say("x"))
        return ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=SETTINGS)

    members = [Member(key=name, names=(name,), model=model()) for name in ("small", "large")]
    members[1].num_running = 3
    return ModelPool([*members, Member(key="default", names=(), model=model())])


def test_a_router_sees_the_request_and_every_named_model() -> None:
    router = _Router(None)
    assert Routes(router, _pool()).routed(REQUEST, CALLER) is REQUEST
    assert router.questions == [
        RouteQuestion(
            model="claude-sonnet-4",
            account_id="a",
            user_id="u",
            stream=True,
            thinking=False,
            has_tools=True,
            max_tokens=7,
            candidates=[
                Candidate(name="small", is_loaded=False, num_running=0, num_waiting=0),
                Candidate(name="large", is_loaded=False, num_running=3, num_waiting=0),
            ],
        )
    ]


def test_its_choice_is_what_the_request_is_served_as() -> None:
    assert Routes(_Router("large"), _pool()).routed(REQUEST, CALLER) == replace(REQUEST, served_model="large")


def test_models_that_a_key_is_not_for_are_no_candidates() -> None:
    router = _Router("large")
    caller = replace(CALLER, allowed_models=frozenset({"small", "deepseek-flash"}))
    assert Routes(router, _pool()).routed(REQUEST, caller) is REQUEST
    assert [candidate.name for candidate in router.questions[0].candidates] == ["small"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [("deepseek-chat", "'deepseek-chat' is none of its candidates"), (KeyError("bug"), "it failed: 'bug'")],
)
def test_a_router_that_is_wrong_is_logged_and_not_followed(
    answer: str | Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Routes(_Router(answer), _pool()).routed(REQUEST, CALLER) is REQUEST
    assert words in caplog.text
