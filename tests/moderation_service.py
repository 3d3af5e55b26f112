"""A moderation endpoint on a real port."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ModerationService:
    """Flags texts with a certain word, and remembers every question."""

    def __init__(self) -> None:
        self.url = ""
        self.questions: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: Callable[[str], tuple[int, bytes]] = flags("forbidden")
        self.delay_s = 0.0

    @property
    def texts(self) -> list[str]:
        return [question["input"] for question in self.questions]


def flags(word: str) -> Callable[[str], tuple[int, bytes]]:
    def answer(text: str) -> tuple[int, bytes]:
        result = {"flagged": word in text, "categories": {"rude": word in text, "other": False}, "category_scores": {}}
        return 200, json.dumps({"id": "modr-1", "model": "m", "results": [result]}).encode()

    return answer


@contextlib.contextmanager
def moderation_service() -> Iterator[ModerationService]:
    service = ModerationService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            service.questions.append(question)
            service.keys.append(self.headers["authorization"])
            time.sleep(service.delay_s)
            status, body = service.answer(question["input"])
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/v1/moderations"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
