"""The test kit: rules of what the model answers, what the program under test has sent, and assertions about it.

request ──> first rule that fits and is not used up ──> its next answer; the last one repeats
        └─> no such rule ──> the answers of `reply` and `fail` without a rule
                          └─> none ──> 400 that says why no rule fits, and `verify` fails the test
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from seekd.engine.scripted import ScriptStep
from seekd.engine.types import EngineRequest
from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.conversation import conversation_of
from seekd.testing.faults import Fault, fault, read_fault
from seekd.testing.matching import Match, json_diff, match_of
from seekd.testing.replay import Library
from seekd.testing.replies import Answerer, Reply, Said, ToolCall, reply_of
from seekd.testing.seen import Json, SeenRequest
from seekd.testing.strictness import complaints
from seekd.testing.tap import Canned, Turn, current_turn
from seekd.vocabulary import Vocabulary
from seekd.wire.dialect import CLASSIC
from seekd.wire.failures import failure_response

API_KEY = "seekd-test-key"
"""An open server takes any; this one is no secret."""

DAMAGED_TEXT = "This answer of a scripted model is long enough to be damaged in its middle."
"""What is said where a test names a fault and no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    # What one request gets: a reply, decided now or when it is there, a fault, or a reply with a fault.
    said: Said | Answerer = ""
    fault: Fault | None = None

    def reply(self, seen: SeenRequest) -> Reply:
        said = self.said
        return reply_of(said if isinstance(said, Reply | ToolCall | str) else said(seen))


@dataclass(slots=True)
class Rule:
    """What requests of one kind get, one answer after another; the last one repeats, unless there is an end.

    Made by `Kit.on`; each method returns the rule, so that answers can be strung together.
    """

    _match: Match
    _answers: list[_Answer] = field(default_factory=list)
    _has_model: bool = False
    _num_given: int = 0
    _ends: bool = False

    def reply(
        self,
        said: Said | Answerer = "",
        *more: ToolCall,
        reasoning: str = "",
        fault: Fault | str | None = None,
        **options: Any,
    ) -> Self:
        """Answer with a text, a call, a whole `Reply`, or what a function of the request returns.

        Args:
            said: what the model says.
            more: further calls, after a text or a call.
            reasoning: before it; left out where the request does not think.
            fault: what goes wrong on the way, as `fault` makes it or as its header spells it.
            options: further attributes of `Reply`, such as `cached_tokens`.

        Raises:
            ConfigError: the reply cannot be made of these, or a model answers here.
            InvalidParameter: there is no such fault.
        """
        if self._has_model:
            raise ConfigError("A model answers here; a rule can only fail(). Leave `model` out to script the answers.")
        if more or reasoning or options:
            said = _combined(said, more, reasoning=reasoning, options=options)
        self._answers.append(_Answer(said=said, fault=_fault(fault)))
        return self

    def fail(self, name: str, **options: float | int | None) -> Self:
        """Answer with a fault: `fail("rate-limit", retry_after_s=1)`. Raises `InvalidParameter` for an unknown one."""
        return self.damage(fault(name, **options))

    def damage(self, fault: Fault | str) -> Self:
        """Answer with a fault, as `fault` makes it or as its header spells it. Raises `InvalidParameter`."""
        self._answers.append(_Answer(said=DAMAGED_TEXT, fault=_fault(fault)))
        return self

    def once(self) -> Self:
        """Give each answer once; after the last one the rule is used up."""
        self._ends = True
        return self

    @property
    def is_used_up(self) -> bool:
        """Whether it has nothing more to give."""
        return not self._answers or (self._ends and self._num_given >= len(self._answers))

    def differences(self, seen: SeenRequest) -> Sequence[str]:
        """Why the rule is not for a request; empty where it is."""
        return ["it is used up"] if self.is_used_up else self._match.differences(seen)

    def take(self, seen: SeenRequest) -> Turn:
        """The next answer."""
        answer = self._answers[min(self._num_given, len(self._answers) - 1)]
        self._num_given += 1
        return Turn(reply=None if self._has_model else answer.reply(seen), fault=answer.fault)

    def give_back(self) -> None:
        """Take an answer as not given: the server refused its request."""
        self._num_given -= 1


class Kit:
    """What a test has in hand. Its methods may be called from any thread.

    Attributes:
        url: of the server, without a path.
        requests: what the program has sent, oldest first.
        unmatched: of these, the ones that no rule was for, with the reason.
        complaints: in strict mode, what the hosted API would refuse or ignore, a sentence each, with the request.
    """

    api_key = API_KEY

    def __init__(
        self,
        *,
        url: str = "",
        answers_by_model: bool = False,
        library: Library | None = None,
        is_strict: bool = False,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url
        self._library = library
        self._is_strict = is_strict
        self._release = release
        self._answers_by_model = answers_by_model
        self._lock = threading.RLock()  # a function that makes a reply may make a rule
        self._forget()

    def release(self) -> None:
        """Close the connections of clients that wait in a fault without end."""
        self._release()

    def reset(self) -> None:
        """Forget rules and requests, and release who still waits."""
        self._release()
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            if self._library is not None:
                self._library.rewind()
            self.requests: list[SeenRequest] = []
            self.unmatched: list[tuple[SeenRequest, str]] = []
            self.complaints: list[tuple[SeenRequest, str]] = []
            self._rules: list[Rule] = []
            self._default = Rule(Match(), _has_model=self._answers_by_model)
            self._rates: Mapping[str, float] = {}
            self._dice = random.Random()  # noqa: S311  # repeats by its seed, which is what it is for

    @property
    def base_url(self) -> str:
        """What OpenAI's clients take as `base_url`."""
        return f"{self.url}/v1"

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables by which clients find the server and a key."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "DEEPSEEK_BASE_URL": self.url,
            "DEEPSEEK_API_KEY": self.api_key,
            "ANTHROPIC_BASE_URL": f"{self.url}/anthropic",
            "ANTHROPIC_API_KEY": self.api_key,
        }

    def on(self, **match: Any) -> Rule:
        """A rule for the requests that match; the first rule that matches answers.

        Args:
            match: `text`, `regex` and `role` of the last message, `tool` that is offered, `tool_result` of a tool,
                `path`, `where` (a function of the `SeenRequest`), and members of the body by their names.

        Raises:
            ConfigError: a regular expression cannot be read.
        """
        rule = Rule(match_of(match), _has_model=self._answers_by_model)
        with self._lock:
            self._rules.append(rule)
        return rule

    def reply(self, said: Said | Answerer = "", *more: ToolCall, **options: Any) -> Rule:
        """Answer requests that no rule is for; arguments as for `Rule.reply`."""
        return self._default.reply(said, *more, **options)

    def fail(self, name: str, **options: float | int | None) -> Rule:
        """Let requests that no rule is for meet a fault; arguments as for `Rule.fail`."""
        return self._default.fail(name, **options)

    def chaos(self, rates: Mapping[str, float], *, seed: int) -> None:
        """Let requests meet faults by chance, whatever their rules say; equal seeds give equal runs.

        Args:
            rates: probability of each fault, by its name; in sum at most 1.
            seed: of the draw, one for each request in the order in which they come.

        Raises:
            ConfigError: the probabilities are none.
            InvalidParameter: there is no such fault.
        """
        if min(rates.values(), default=0.0) < 0 or sum(rates.values()) > 1:
            raise ConfigError(f"Probabilities are at least 0 and in sum at most 1, not {dict(rates)}.")
        for name in rates:
            fault(name)
        with self._lock:
            self._rates, self._dice = dict(rates), random.Random(seed)  # noqa: S311  # to repeat is what it is for

    def arrived(self, seen: SeenRequest) -> Turn:
        """See `tap.Desk`."""
        with self._lock:
            self.requests.append(seen)
            if self._is_strict:
                self.complaints += [(seen, sentence) for sentence in complaints(seen)]
            turn = self._turn(seen)
            drawn = self._drawn_fault()
            if drawn is not None:
                turn.fault = drawn
            return turn

    def refused(self, seen: SeenRequest) -> None:
        """See `tap.Desk`."""
        if seen.rule is not None:
            with self._lock:
                self._rule(seen.rule).give_back()

    def _turn(self, seen: SeenRequest) -> Turn:
        reasons = []
        for number, rule in enumerate([*self._rules, self._default]):
            differences = rule.differences(seen)
            if not differences:
                seen.rule = number
                return rule.take(seen)
            if number < len(self._rules):
                reasons.append(f"rule {number}: {'; '.join(differences)}")
        if self._answers_by_model:
            return Turn()
        if self._library is not None:
            return self._recorded(seen, self._library)
        rules = "\n".join(reasons) or "the test has made no rule, by reply(), fail() or on()"
        problem = InvalidParameter(f"The test has no answer for this request: {rules}")
        return Turn(problem=problem, on_problem=lambda: self.unmatched.append((seen, problem.message)))

    def _recorded(self, seen: SeenRequest, library: Library) -> Turn:
        try:
            exchange = library.find(seen)
        except InvalidParameter as error:
            self.unmatched.append((seen, error.message))
            failure = failure_response(error, CLASSIC)
            headers = {"content-type": failure.content_type or ""}
            return Turn(canned=Canned(status=failure.status, headers=headers, sent=(failure.body,)))
        headers = {"content-type": exchange.content_type} if exchange.content_type else {}
        sent = library.sent(exchange)
        return Turn(canned=Canned(status=exchange.status, headers={**headers, **exchange.headers}, sent=sent))

    def _rule(self, number: int) -> Rule:
        return self._rules[number] if number < len(self._rules) else self._default

    def _drawn_fault(self) -> Fault | None:
        draw = self._dice.random()
        for name, rate in self._rates.items():
            if draw < rate:
                return fault(name)
            draw -= rate
        return None

    def verify(self) -> None:
        """Raise `AssertionError` if a request found no rule, or a strict kit has a complaint.

        The fixture calls it when a test ends.
        """
        if self.unmatched:
            seen, reason = self.unmatched[0]
            raise AssertionError(f"{len(self.unmatched)} request(s) without an answer. POST {seen.path}: {reason}")
        if self.complaints:
            lines = [f"- request {_number(seen, self.requests)}: {sentence}" for seen, sentence in self.complaints]
            raise AssertionError("\n".join(["The hosted API would not do what was asked:", *lines]))

    def assert_called_with(self, **match: Any) -> SeenRequest:
        """The last request, which must match; takes what `on` takes. Raises `AssertionError` with the differences."""
        self._assert_called()
        seen = self.requests[-1]
        _demand_no_differences(seen, match, f"The last of {len(self.requests)} request(s)")
        return seen

    def assert_called_once_with(self, **match: Any) -> SeenRequest:
        """The only request, which must match. Raises `AssertionError` with the differences."""
        if len(self.requests) != 1:
            raise AssertionError(f"{len(self.requests)} requests were sent, not 1{_listed(self.requests)}")
        return self.assert_called_with(**match)

    def assert_any_call(self, **match: Any) -> SeenRequest:
        """The first request that matches. Raises `AssertionError` with the differences of the nearest one."""
        self._assert_called()
        wanted = match_of(match)
        found = next((seen for seen in self.requests if not wanted.differences(seen)), None)
        if found is not None:
            return found
        nearest = min(self.requests, key=lambda seen: len(wanted.differences(seen)))
        _demand_no_differences(nearest, match, f"None of {len(self.requests)} request(s) matches; the nearest")
        raise AssertionError("unreachable")

    def assert_not_called(self) -> None:
        """Raise `AssertionError` if anything was sent."""
        if self.requests:
            raise AssertionError(f"{len(self.requests)} request(s) were sent{_listed(self.requests)}")

    def assert_messages(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Compare the messages of the last request. Raises `AssertionError` with a diff."""
        self._assert_called()
        sent = self.requests[-1].body.get("messages")
        if sent != list(messages):
            raise AssertionError(f"The messages differ:\n{json_diff(list(messages), sent)}")

    def conversation(self) -> list[Json]:
        """The messages of the last chat request with the answer to it, without what changes from run to run.

        Ids of calls become `call_1`, `call_2` and so on. Made to be compared, as with `inline_snapshot.snapshot()`.

        Raises:
            AssertionError: no chat request was answered.
        """
        seen = next((one for one in reversed(self.requests) if one.is_chat and one.status == 200), None)
        if seen is None:
            raise AssertionError("No request for Chat Completions has been answered.")
        return conversation_of(seen)

    def _assert_called(self) -> None:
        if not self.requests:
            raise AssertionError("The program has sent no request.")


def play_turn(request: EngineRequest, vocabulary: Vocabulary) -> Iterable[ScriptStep]:
    """The script of a scripted engine behind a kit."""
    turn = current_turn.get()
    assert turn is not None, "a request came past the tap"
    turn.was_played = True
    if turn.problem is not None:
        turn.on_problem()
        raise turn.problem
    assert turn.reply is not None
    return turn.reply.steps(request, vocabulary)


def _fault(wanted: Fault | str | None) -> Fault | None:
    return read_fault(wanted) if isinstance(wanted, str) else wanted


def _combined(said: Said | Answerer, more: Sequence[ToolCall], *, reasoning: str, options: Mapping[str, Any]) -> Reply:
    if not isinstance(said, str | ToolCall):
        raise ConfigError("A Reply or a function says everything itself; give it no further arguments.")
    calls = (said, *more) if isinstance(said, ToolCall) else tuple(more)
    text = said if isinstance(said, str) else ""
    try:
        return Reply(text=text, reasoning=reasoning, tool_calls=calls, **options)
    except TypeError as error:
        raise ConfigError(f"A reply has no such attribute: {error}.") from error


def _demand_no_differences(seen: SeenRequest, match: Mapping[str, Any], which: str) -> None:
    differences = match_of(match).differences(seen)
    if differences:
        raise AssertionError("\n".join([f"{which}, POST {seen.path}, differs:", *(f"- {one}" for one in differences)]))


def _number(seen: SeenRequest, requests: Sequence[SeenRequest]) -> str:
    """Which request it is, and how its last message begins."""
    number = next(i for i, one in enumerate(requests) if one is seen)
    return f"{number} ({seen.text[:40]!r})"


def _listed(requests: Sequence[SeenRequest]) -> str:
    lines = [f"- POST {seen.path}: {seen.role}: {seen.text[:80]!r}" for seen in requests]
    return ":\n" + "\n".join(lines) if lines else "."
