"""Asking a moderation service over HTTP.

`httpx2` is loaded with the first question.

The endpoint speaks the widely used format of moderation services: `{"input": text}` is answered by
`{"results": [{"flagged": true, "categories": {"violence": true}}]}`. Source: OpenAI API reference, "Create moderation".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from seekd.guard.types import GuardUnavailable, Stage, Verdict

if TYPE_CHECKING:
    import httpx2


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


class HttpGuard:
    """A moderation endpoint. Implements `types.Guard`.

    Args:
        url: of the endpoint.
        key: sent as a Bearer key; empty sends none.
        model: named in the question; None names none.
        timeout_s: for connecting, and for each read.
    """

    def __init__(self, url: str, *, key: str, model: str | None, timeout_s: float) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._model = model
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient | None = None

    async def check(self, text: str, *, stage: Stage) -> Verdict:
        """Ask. Raises `GuardUnavailable` for anything but a verdict."""
        del stage
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=self._timeout_s, headers=self._headers)
        question = {"input": text} if self._model is None else {"input": text, "model": self._model}
        try:
            response = await self._client.post(self._url, json=question)
            if response.status_code != 200:
                raise GuardUnavailable(f"status {response.status_code}")
            answer = msgspec.json.decode(response.content, type=_Answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.DecodeError) as error:
            raise GuardUnavailable(str(error) or type(error).__name__) from error
        if not answer.results:
            raise GuardUnavailable("an answer without a result")
        flagged = [result for result in answer.results if result.flagged]
        categories = sorted({name for result in flagged for name, applies in result.categories.items() if applies})
        return Verdict(allowed=not flagged, reason=", ".join(categories))

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()
