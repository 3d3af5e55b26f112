"""The commands of a conversation in the terminal, which begin with a slash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seekd.cli.chat.client import ChatClient
from seekd.cli.chat.conversation import Conversation
from seekd.errors import InvalidParameter

Run = Callable[[Conversation, ChatClient, str], str]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        argument: what follows its name, for the help; empty for nothing.
        help: what it does.
        run: does it and says what to print.
    """

    argument: str
    help: str
    run: Run


def run_command(line: str, conversation: Conversation, client: ChatClient) -> str:
    """Do what a line that begins with a slash says; what to print.

    Raises:
        InvalidParameter: there is no such command, or it cannot be done.
    """
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise InvalidParameter(f"There is no command {name}. /help lists them; a question may not begin with a slash.")
    return command.run(conversation, client, argument.strip())


def _help(_conversation: Conversation, _client: ChatClient, _argument: str) -> str:
    lines = [f"{name} {command.argument}".ljust(16) + command.help for name, command in COMMANDS.items()]
    return "\n".join(
        [*lines, "/quit           leave; Ctrl-D too", "", "Alt-Enter begins a new line; Ctrl-C ends an answer."]
    )


def _system(conversation: Conversation, _client: ChatClient, argument: str) -> str:
    conversation.system = argument
    return f"system prompt: {argument}" if argument else "no system prompt"


def _model(conversation: Conversation, client: ChatClient, argument: str) -> str:
    names = client.models()
    if not argument:
        return "\n".join(f"{'*' if name == conversation.model else ' '} {name}" for name in names)
    if argument not in names:
        raise InvalidParameter(f"The server lists no model {argument}; it has {', '.join(names)}.")
    conversation.model = argument
    return f"model: {argument}"


def _save(conversation: Conversation, _client: ChatClient, argument: str) -> str:
    path = _path(argument)
    conversation.save(path)
    return f"saved {len(conversation.turns)} messages in {path}"


def _load(conversation: Conversation, _client: ChatClient, argument: str) -> str:
    path = _path(argument)
    conversation.load(path)
    return f"{len(conversation.turns)} messages of {path}, model {conversation.model}"


def _path(argument: str) -> Path:
    if not argument:
        raise InvalidParameter("Name a file, such as /save talk.json.")
    return Path(argument).expanduser()


def _clear(conversation: Conversation, _client: ChatClient, _argument: str) -> str:
    conversation.turns.clear()
    return "a new conversation"


def _stats(conversation: Conversation, _client: ChatClient, _argument: str) -> str:
    totals, last = conversation.totals, conversation.last
    if last is None:
        return "nothing was asked yet"
    usage, first_s = last.usage, last.first_token_s
    first = "no token" if first_s is None else f"first token after {first_s:.2f} s, {last.tokens_per_s:.0f} tokens/s"
    cached = usage.get("prompt_cache_hit_tokens", 0)
    shown = (
        f"last answer: {usage.get('prompt_tokens', 0)} prompt tokens ({cached} from the cache), "
        f"{usage.get('completion_tokens', 0)} in the answer, {first}\n"
    )
    return shown + (
        f"in all: {totals.num_answers} answers, {totals.num_prompt_tokens} prompt tokens ({totals.num_cached_tokens} "
        f"from the cache), {totals.num_completion_tokens} in answers"
    )


COMMANDS: Mapping[str, Command] = {
    "/help": Command("", "list the commands", _help),
    "/system": Command("TEXT", "set the system prompt, or remove it", _system),
    "/model": Command("NAME", "ask another model, or list them", _model),
    "/save": Command("FILE", "write the conversation down", _save),
    "/load": Command("FILE", "go on with one that was saved", _load),
    "/clear": Command("", "begin a new conversation", _clear),
    "/stats": Command("", "tokens and times", _stats),
}
