"""`seekd chat`, against a real server: one question from a pipe, and a conversation in a real terminal."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from seekd.cli.chat.client import Answer, ChatClient
from seekd.cli.chat.commands import run_command
from seekd.cli.chat.conversation import Conversation
from seekd.engine.scripted import Delay, EmitText, ScriptStep, say
from seekd.engine.types import EngineRequest
from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.server import ScriptedServer
from tests.unit.cli.terminal import spawn_in_terminal

Start = Callable[..., ScriptedServer]
COMMAND = [sys.executable, "-m", "seekd", "chat"]


@pytest.fixture
def server(seekd_server: Start) -> ScriptedServer:
    return seekd_server(_says)


def _says(request: EngineRequest) -> tuple[ScriptStep, ...]:
    number = len(request.prompt_token_ids)
    return (EmitText(text=f"You wrote{number}.\x1b]0;title\x07 Bye"),)


def _run(server: ScriptedServer, *arguments: str, piped: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--base-url", f"{server.url}/v1", *arguments],
        input=piped or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_question_prints_its_answer_alone_and_nothing_that_a_terminal_obeys(server: ScriptedServer) -> None:
    done = _run(server, "--no-thinking", "How", "are you?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("You wrote")
    assert done.stdout.endswith("]0;title Bye\n")
    assert "\x1b" not in done.stdout


def test_what_is_piped_in_follows_the_question(server: ScriptedServer) -> None:
    done = _run(server, "--json", "--system", "Be brief", "--max-tokens", "50", "review", piped="diff --git\n")
    shown = json.loads(done.stdout)
    assert shown["finish_reason"] == "stop"
    assert shown["usage"]["completion_tokens"] > 0
    prompt = bytes(token for token in server.engine.requests[-1].prompt_token_ids if token < 256).decode()
    assert "Be brief" in prompt
    assert "review\n\ndiff --git" in prompt
    assert server.engine.requests[-1].max_tokens == 50


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--base-url", "http://127.0.0.1:1/v1", "Hi"), "No server answers at http://127.0.0.1:1/v1"),
        (("--model", "nobody", "Hi"), "The server refused (400)"),
        (("--temperature", "9", "Hi"), "The server refused (400)"),
        ((), "There is nothing to ask"),
    ],
)
def test_what_is_wrong_is_one_sentence(server: ScriptedServer, arguments: tuple[str, ...], said: str) -> None:
    done = _run(server, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("events", [b"data: {oops\n\n", b"data: [1]\n\n", b'data: {"choices": 7}\n\n'])
def test_a_stream_of_something_else_is_one_sentence(events: bytes) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(events)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with (
                ChatClient(f"http://127.0.0.1:{server.server_address[1]}", api_key=None) as client,
                pytest.raises(ConfigError, match="no stream of Chat Completions"),
            ):
                list(client.answer([], Answer()))
        finally:
            server.shutdown()
            thread.join()


class Terminal:
    """`seekd chat` in a terminal of its own."""

    def __init__(self, server: ScriptedServer, data_dir: Path, thinking: str) -> None:
        arguments = [*COMMAND[1:], "--base-url", f"{server.url}/v1", thinking, "--data-dir", str(data_dir)]
        environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child = spawn_in_terminal(COMMAND[0], arguments, environment)

    def write(self, line: str) -> None:
        """Write a line once the terminal is asked for one."""
        self.child.expect_exact("\x1b[?2004h")
        self.child.send(f"{line}\r")

    def expect(self, pattern: str) -> str:
        """Wait for a text; its first group, or all of it."""
        self.child.expect(pattern)
        match = self.child.match
        assert isinstance(match, re.Match)
        return str(match.group(match.lastindex or 0))

    def expect_end(self) -> None:
        """Wait until the program has ended."""
        self.child.expect(pexpect.EOF)


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    with contextlib.ExitStack() as stack:

        def opened(server: ScriptedServer, thinking: str = "--no-thinking") -> Terminal:
            terminal = Terminal(server, tmp_path / "data", thinking)
            stack.callback(terminal.child.close, force=True)
            return terminal

        yield opened


OpenTerminal = Callable[..., Terminal]


def test_a_conversation_goes_on_and_is_saved(
    open_terminal: OpenTerminal, server: ScriptedServer, tmp_path: Path
) -> None:
    terminal = open_terminal(server)
    terminal.expect("lists commands")
    terminal.write("Hello")
    first = int(terminal.expect(r"You wrote(\d+)\."))
    terminal.write("And again")
    assert int(terminal.expect(r"You wrote(\d+)\.")) > first, "the request holds the question and answer before"
    kept = tmp_path / "talk.json"
    terminal.write(f"/save {kept}")
    terminal.expect("saved 4 messages")
    terminal.write("/stats")
    terminal.expect("in all: 2 answers")
    terminal.write("/nonsense")
    terminal.expect("There is no command /nonsense")
    terminal.write("/quit")
    terminal.expect_end()
    assert [turn["role"] for turn in json.loads(kept.read_text())["messages"]] == ["user", "assistant"] * 2
    assert kept.stat().st_mode & 0o777 == 0o600
    history = tmp_path / "data" / "chat-history"
    assert "And again" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_ctrl_c_ends_an_answer_and_not_the_conversation(seekd_server: Start, open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(seekd_server(lambda _: (EmitText(text="Once upon"), Delay(delay_s=3600))))
    terminal.write("Tell me")
    terminal.expect("Once upon")
    terminal.child.sendintr()
    terminal.expect(r"\(ended\)")
    terminal.write("/stats")
    terminal.expect("in all: 1 answers")
    terminal.write("/quit")
    terminal.expect_end()


def test_reasoning_is_dimmed_and_the_answer_is_not(seekd_server: Start, open_terminal: OpenTerminal) -> None:
    terminal = open_terminal(seekd_server(say("I ponder</think>It is so")), "--thinking")
    terminal.write("Is it?")
    terminal.child.expect_exact("\x1b[2mI ponder\x1b[0m\r\n\r\nIt is so\r\n")
    terminal.write("/quit")
    terminal.expect_end()


def test_a_file_that_is_no_conversation_changes_nothing(tmp_path: Path) -> None:
    conversation = Conversation(model="m", turns=[{"role": "user", "content": "kept"}])
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"model": "other"}')
    for argument, reason in (
        (str(wrong), "is no conversation"),
        (str(tmp_path), "cannot be read"),
        ("", "Name a file"),
    ):
        with pytest.raises(InvalidParameter, match=reason):
            run_command(f"/load {argument}", conversation, None)  # type: ignore[arg-type]  # no server is asked
    assert (conversation.model, len(conversation.turns)) == ("m", 1)


def test_an_answer_without_text_is_not_kept() -> None:
    conversation = Conversation(model="m")
    conversation.add("question", Answer())
    assert conversation.turns == []
    assert run_command("/stats", conversation, None).startswith("last answer: 0")  # type: ignore[arg-type]
