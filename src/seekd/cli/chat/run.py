"""What `seekd chat` does: one question and its answer, or a conversation until the user leaves."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings

from seekd.cli.chat.client import Answer, ChatClient, Piece
from seekd.cli.chat.commands import COMMANDS, run_command
from seekd.cli.chat.conversation import Conversation
from seekd.errors import ConfigError, InvalidParameter, SeekdError

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_KEPT_CONTROLS = frozenset("\n\t")


def open_conversation(client: ChatClient, *, model: str | None, system: str, **parameters: object) -> Conversation:
    """A conversation with a model, or with the first one that the server lists.

    Raises:
        ConfigError: the server cannot be reached, or has no model.
    """
    if model is None:
        names = client.models()
        if not names:
            raise ConfigError(f"The server at {client.base_url} lists no model. Name one with --model.")
        model = names[0]
    given = {name: value for name, value in parameters.items() if value is not None}
    return Conversation(model=model, system=system, parameters=given)


def ask_once(client: ChatClient, conversation: Conversation, question: str, *, as_json: bool) -> None:
    """Print one answer: its text alone on standard output, reasoning on standard error where that is a terminal."""
    answer = Answer()
    pieces = _ask(client, conversation, question, answer)
    if as_json:
        for _ in pieces:
            pass
        shown = {
            "model": conversation.model,
            "content": answer.content,
            "reasoning_content": answer.reasoning,
            "finish_reason": answer.finish_reason,
            "usage": answer.usage,
        }
        print(json.dumps(shown, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output
        return
    _show(pieces, sys.stdout, sys.stderr if sys.stderr.isatty() else None)


def talk(client: ChatClient, conversation: Conversation, *, history: Path) -> None:
    """Ask what the user writes, until the end of input.

    Args:
        client: of the server.
        conversation: to go on with.
        history: a file that keeps what was written; readable for its owner alone.
    """
    session = _session(history)
    print(f"{conversation.model} at {client.base_url}; /help lists commands, Ctrl-D leaves")  # noqa: T201 - a greeting
    while True:
        try:
            line = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if line == "/quit":
            return
        try:
            if line.startswith("/"):
                print(_clean(run_command(line, conversation, client)))  # noqa: T201 - the command's output
            elif line:
                _answer(client, conversation, line)
        except SeekdError as error:
            print(f"seekd: {_clean(error.message)}", file=sys.stderr)  # noqa: T201 - as every command does


def _answer(client: ChatClient, conversation: Conversation, question: str) -> None:
    answer = Answer()
    pieces = _ask(client, conversation, question, answer)
    try:
        with contextlib.closing(pieces):
            _show(pieces, sys.stdout, sys.stdout)
    except KeyboardInterrupt:
        print(f"{_PLAIN}\n(ended)")  # noqa: T201 - in the place of the rest
    finally:
        conversation.add(question, answer)
    if answer.finish_reason == "length":
        print("(the answer was cut: it reached its limit of tokens)")  # noqa: T201 - not a part of it


def _ask(client: ChatClient, conversation: Conversation, question: str, answer: Answer) -> Generator[Piece, None, None]:
    yield from client.answer(
        conversation.messages(question), answer, model=conversation.model, **conversation.parameters
    )


def _show(pieces: Iterator[Piece], output: TextIO, reasoning: TextIO | None) -> None:
    """Write an answer as it comes, reasoning dimmed."""
    was_reasoning = False
    has_ended_line = True
    for piece in pieces:
        target = reasoning if piece.is_reasoning else output
        if piece.is_reasoning is not was_reasoning and reasoning is not None:
            reasoning.write(_DIM if piece.is_reasoning else f"{_PLAIN}\n\n")
            reasoning.flush()
        was_reasoning = piece.is_reasoning
        if target is not None:
            text = _clean(piece.text)
            target.write(text)
            target.flush()
            has_ended_line = text.endswith("\n")
    if was_reasoning and reasoning is not None:
        reasoning.write(_PLAIN)
    if not has_ended_line:
        output.write("\n")
        output.flush()


def _clean(text: str) -> str:
    """Text that a terminal prints and does not obey: what a model writes must not move the cursor or set a title."""
    if text.isprintable():
        return text
    return "".join(sign for sign in text if sign.isprintable() or sign in _KEPT_CONTROLS)


def _session(history: Path) -> PromptSession[str]:
    try:
        history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(history, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        kept: History = FileHistory(str(history))
    except OSError:  # a place that cannot be written costs the history, not the conversation
        kept = InMemoryHistory()
    keys = KeyBindings()
    keys.add("enter")(lambda event: event.current_buffer.validate_and_handle())
    keys.add("escape", "enter")(lambda event: event.current_buffer.insert_text("\n"))
    return PromptSession(
        "> ",
        history=kept,
        key_bindings=keys,
        multiline=True,
        completer=WordCompleter(sorted([*COMMANDS, "/quit"]), sentence=True),
        complete_while_typing=False,
        prompt_continuation=lambda _width, _line, _wraps: "  ",
    )


def question_of(words: list[str], piped: str) -> str:
    """The one question of a command line: its words, then what was piped into it.

    Raises:
        InvalidParameter: there is neither.
    """
    question = "\n\n".join(part for part in (" ".join(words).strip(), piped.strip()) if part)
    if not question:
        raise InvalidParameter("There is nothing to ask: standard input is empty.")
    return question
