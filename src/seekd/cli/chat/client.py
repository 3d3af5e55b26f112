"""Asks a server for one answer and hands it on piece by piece."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx2

from seekd.errors import ConfigError, InvalidParameter

_CONNECT_S = 10.0
Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next text of an answer.

    Attributes:
        text: never empty.
        is_reasoning: belongs to the reasoning before the answer.
    """

    text: str
    is_reasoning: bool = False


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come.

    Attributes:
        content: text of the answer.
        reasoning: text before it.
        finish_reason: None while it goes on, and where the server said none.
        usage: the server's count of tokens; empty until it has told it.
        first_token_s: from sending the request to the first text; None before it.
        total_s: from sending to the last event.
    """

    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    first_token_s: float | None = None
    total_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second behind the first one; 0 where that cannot be said."""
        number, first_s = self.usage.get("completion_tokens", 0), self.first_token_s
        if first_s is None or number < 2 or self.total_s <= first_s:
            return 0.0
        return float((number - 1) / (self.total_s - first_s))


class ChatClient:
    """A connection to a server. A context manager.

    Args:
        base_url: as clients of the API name it, such as `http://127.0.0.1:8000/v1`.
        api_key: None sends none.
    """

    def __init__(self, base_url: str, *, api_key: str | None) -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self.base_url = base_url.rstrip("/")
        # An answer may take as long as it takes; a person ends it with Ctrl-C.
        self._http = httpx2.Client(headers=headers, timeout=httpx2.Timeout(None, connect=_CONNECT_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def models(self) -> list[str]:
        """The names of the models that the server lists.

        Raises:
            ConfigError: no server answers there.
            InvalidParameter: it refuses.
        """
        try:
            response = self._http.get(f"{self.base_url}/models", timeout=_CONNECT_S)
            _check(response)
            return [entry["id"] for entry in response.json()["data"]]
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"What answers at {self.base_url} lists no models. See --base-url.") from error

    def answer(self, messages: Sequence[Message], answer: Answer, **parameters: object) -> Iterator[Piece]:
        """Ask, and fill `answer` while its pieces are given. Closing the iterator ends the request.

        Raises:
            ConfigError: no server answers there, or it went away; what came before stands.
            InvalidParameter: it refuses, or ended the stream with an error.
        """
        body = {"messages": messages, "stream": True, "stream_options": {"include_usage": True}, **parameters}
        started_s = time.monotonic()
        try:
            with self._http.stream("POST", f"{self.base_url}/chat/completions", json=body) as response:
                if response.status_code != 200:
                    response.read()
                    _check(response)
                for event in _events(response.iter_lines()):
                    answer.total_s = time.monotonic() - started_s
                    for piece in _take(event, answer):
                        answer.first_token_s = answer.first_token_s or answer.total_s
                        yield piece
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            if answer.total_s:
                raise ConfigError(f"The connection to {self.base_url} broke in the middle of the answer.") from error
            raise self._unreachable(error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"What answers at {self.base_url} sends no stream of Chat Completions.") from error

    def _unreachable(self, error: Exception) -> ConfigError:
        reason = str(error) or type(error).__name__
        return ConfigError(
            f"No server answers at {self.base_url} ({reason}). Start one with `seekd serve`, or name another with "
            "--base-url."
        )


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:"):
            continue
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise InvalidParameter(str(event["error"].get("message", event["error"])))
        yield event


def _take(event: Mapping[str, Any], answer: Answer) -> Iterator[Piece]:
    answer.usage = event.get("usage") or answer.usage
    for choice in event.get("choices", ())[:1]:
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        delta = choice.get("delta") or {}
        if text := delta.get("reasoning_content"):
            answer.reasoning += text
            yield Piece(text, is_reasoning=True)
        if text := delta.get("content"):
            answer.content += text
            yield Piece(text)


def _check(response: httpx2.Response) -> None:
    if response.status_code == 200:
        return
    try:
        reason = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        reason = response.text[:500]
    if response.status_code == 401:
        reason += " Put a key into DEEPSEEK_API_KEY."
    raise InvalidParameter(f"The server refused ({response.status_code}): {reason}")
