from __future__ import annotations

import json

import pytest

from seekd.prompt.render.call_writer import MARK, ArgumentsWriter, without_mark


def written(text: str, *, step: int = 1) -> tuple[str, str, bool]:
    writer = ArgumentsWriter()
    markup, rest = "", ""
    for start in range(0, len(text), step):
        piece, left = writer.push(text[start : start + step])
        markup += piece
        rest += left
    return markup.replace(MARK, "‡"), rest, writer.is_done


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_members_become_parameters_and_values_are_copied(step: int) -> None:
    markup, rest, is_done = written('{"city": "Pa\\"ris}", "days" :[1, {"a": "]"} ] , "e":-1.5e3 }tail', step=step)
    assert markup == (
        '<‡ parameter name="city" string="false">"Pa\\"ris}"</‡ parameter>\n'
        '<‡ parameter name="days" string="false">[1, {"a": "]"} ]</‡ parameter>\n'
        '<‡ parameter name="e" string="false">-1.5e3</‡ parameter>\n'
    )
    assert (rest, is_done) == ("tail", True)


@pytest.mark.parametrize("name", ["a b", 'a"b', "a\\b", "a<b>", "é", "", "a=b/c", "\n", "‡"])
def test_names_stay_the_names_they_are(name: str) -> None:
    markup, _, _ = written(json.dumps({name: 1}))
    found = markup.removeprefix('<‡ parameter name="').removesuffix('" string="false">1</‡ parameter>\n')
    assert json.loads(f'"{found}"') == name
    assert not set(found) & set(' "<>')


def test_an_empty_object_has_no_parameters() -> None:
    assert written(" { } ") == ("", " ", True)


@pytest.mark.parametrize("text", ["[1]", "{x: 1}", '{"a" 1}'])
def test_what_is_no_object_ends_at_once(text: str) -> None:
    markup, _, is_done = written(text)
    assert (markup, is_done) == ("", True)


def test_an_unfinished_object_is_not_done() -> None:
    assert written('{"a": "b') == ('<‡ parameter name="a" string="false">"b', "", False)


def test_no_model_can_write_the_mark() -> None:
    assert without_mark(f"a{MARK}b") == "a\ufffdb"
