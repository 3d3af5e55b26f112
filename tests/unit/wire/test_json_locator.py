import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.wire.json_locator import (
    Path,
    Place,
    end_behind_element,
    offset_of,
    path_at,
    path_text,
    place_of,
    span_of,
)

_json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=20,
)


def _paths(value: object) -> list[tuple[Path, object]]:
    found: list[tuple[Path, object]] = [((), value)]
    if isinstance(value, dict):
        found += [((key, *path), inner) for key in value for path, inner in _paths(value[key])]
    elif isinstance(value, list):
        found += [((index, *path), inner) for index, part in enumerate(value) for path, inner in _paths(part)]
    return found


@given(value=_json_values, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_every_value_is_found_where_it_is(value: object, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    for path, inner in _paths(value):
        span = span_of(body, path)
        assert span is not None
        assert json.loads(body[span.start : span.end]) == inner


def test_a_path_that_is_not_there_is_not_found() -> None:
    assert span_of(b'{"a":[1]}', ("a", 1)) is None
    assert span_of(b'{"a":[1]}', ("b",)) is None


def test_of_equal_keys_the_last_counts() -> None:
    span = span_of(b'{"a":1,"a":22}', ("a",))
    assert span is not None
    assert (span.start, span.end) == (11, 13)


@given(body=st.text(alphabet="ab\né").map(str.encode), offset=st.integers(min_value=0, max_value=30))
def test_places_and_offsets_are_inverse(body: bytes, offset: int) -> None:
    offset = min(offset, len(body))
    assert offset_of(body, place_of(body, offset)) == offset


def test_columns_count_bytes_and_lines_begin_at_one() -> None:
    assert place_of("é\nab".encode(), 4) == Place(line=2, column=1)
    assert place_of("é".encode(), 2) == Place(line=1, column=2)


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("messages", 0, "role"), "messages[0].role"), ((1, "a"), "[1].a"), (("a", "b"), "a.b")],
)
def test_paths_are_written_as_the_service_writes_them(path: Path, text: str) -> None:
    assert path_text(path) == text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("", ()),
        ("{", ()),
        ('{"mod', ()),
        ('{"model"', ()),
        ('{"model":', ("model",)),
        ('{"model":"x', ("model",)),
        ('{"model":"x",', ()),
        ('{"model":"x","messages":[', ("messages", 0)),
        ('{"messages":[{"role":', ("messages", 0, "role")),
        ('{"messages":[{},{"role":tru', ("messages", 1, "role")),
        ('{"messages":[{"content":"a"},', ("messages", 1)),
        ('{"a":{"b":[1,[2,', ("a", "b", 1, 1)),
        ('{"a":{"b":1},"c":', ("c",)),
        ('{"a\\"b":', ('a"b',)),
    ],
)
def test_a_reader_stood_at_the_value_that_broke_off(body: str, path: Path) -> None:
    assert path_at(body.encode(), len(body.encode()), is_between_values=False) == path


@pytest.mark.parametrize(("body", "path"), [('{"a":[1', ("a",)), ('{"a":{"b":1', ("a",)), ('{"a"', ())])
def test_a_reader_between_values_stood_at_their_container(body: str, path: Path) -> None:
    assert path_at(body.encode(), len(body), is_between_values=True) == path


def test_the_end_behind_an_element_is_its_comma_or_bracket() -> None:
    body = b"[1 , 2]"
    first, second = span_of(body, (0,)), span_of(body, (1,))
    assert first is not None
    assert second is not None
    assert end_behind_element(body, first) == 4
    assert end_behind_element(body, second) == 7
