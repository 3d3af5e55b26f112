"""Nothing secret and nothing personal is left of an exchange, wherever it stands and however it is cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.errors import ConfigError
from seekd.testing.scrub import Scrubber

MAIL = "ann.smith@example.com"
KEY = "sk-0123456789abcdef0123456789abcdef"


def chunk(text: str, name: str = "content") -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {name: text}}]})}\n\n"


def told(blocks: list[str], name: str = "content") -> str:
    data = [json.loads(block.removeprefix("data: ")) for block in blocks if block.startswith("data: {")]
    return "".join(one["choices"][0]["delta"].get(name, "") for one in data)


def test_equal_values_have_equal_placeholders_in_names_and_values() -> None:
    scrubber = Scrubber(["email"], {})
    body = {"messages": [{"content": f"I am {MAIL}"}], MAIL: [MAIL, 1, None, True]}
    assert scrubber.value(body) == {
        "messages": [{"content": "I am [EMAIL_1]"}],
        "[EMAIL_1]": ["[EMAIL_1]", 1, None, True],
    }
    assert scrubber.text(f"{MAIL}, bob@example.com") == "[EMAIL_1], [EMAIL_2]"


def test_keys_go_always_and_the_rest_only_if_asked() -> None:
    assert Scrubber([], {}).text(f"{KEY} {MAIL}") == f"[KEY_1] {MAIL}"


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "cookie"])
def test_what_proved_the_caller_goes_wherever_it_is_repeated(header: str) -> None:
    value = "Bearer my own secret-1" if header == "authorization" else "my own secret-1"
    scrubber = Scrubber([], {header: value})
    assert "secret-1" not in scrubber.text("The key secret-1 (my own secret-1) is wrong")


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=6))
def test_what_a_stream_sends_in_pieces_is_found_as_a_whole(places: list[int]) -> None:
    text = f"Write to {MAIL} or use {KEY}."
    cuts = sorted({0, len(text), *(place for place in places if place < len(text))})
    blocks = [chunk(text[start:end]) for start, end in itertools.pairwise(cuts)]
    scrubbed = Scrubber(["email"], {}).events([": keep-alive\n\n", *blocks, "data: [DONE]\n\n"])
    assert told(scrubbed) == "Write to [EMAIL_1] or use [KEY_1]."
    assert (scrubbed[0], scrubbed[-1], len(scrubbed)) == (": keep-alive\n\n", "data: [DONE]\n\n", len(blocks) + 2)


def test_texts_of_different_kinds_are_not_joined() -> None:
    blocks = [chunk("ann.smith@", "reasoning_content"), chunk("example.com")]
    scrubbed = Scrubber(["email"], {}).events(blocks)
    assert (told(scrubbed, "reasoning_content"), told(scrubbed)) == ("ann.smith@", "example.com")


def test_named_events_keep_their_names() -> None:
    block = (
        f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":0,"delta":{{"text":"{MAIL}"}}}}\n\n'
    )
    assert Scrubber(["email"], {}).events([block]) == [block.replace(MAIL, "[EMAIL_1]")]


def test_what_is_no_json_is_scrubbed_as_text() -> None:
    assert Scrubber(["email"], {}).events([f"data: {{{MAIL}\n\n", f"data: [1]\n\n{MAIL}"]) == [
        "data: {[EMAIL_1]\n\n",
        "data: [1]\n\n[EMAIL_1]",
    ]


def test_a_rule_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="no rule mail; there are key, email"):
        Scrubber(["mail"], {})
