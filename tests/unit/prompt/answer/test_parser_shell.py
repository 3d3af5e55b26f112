"""A shell that changes nothing."""

from seekd.prompt.answer.parser_shell import ParserShell
from seekd.prompt.types import PromptUsage
from tests.unit.prompt.parsers import ListeningParser


def test_everything_goes_through() -> None:
    inner = ListeningParser()
    shell = ParserShell(inner)
    shell.ready(PromptUsage(num_prompt_tokens=1))
    shell.push_text("a", num_tokens=2)
    shell.push_tokens(b"b", [(0.0, ())])
    shell.finish(hit_length_limit=True)
    shell.close()
    assert inner.pushed == [("ready", 1), ("a", 2), ("b", 1), ("finish", 1)]
    assert inner.closed
    assert (shell.num_reasoning_tokens, shell.stopped, shell.response()) == (7, False, {})
