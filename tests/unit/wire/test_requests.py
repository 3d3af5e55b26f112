import pytest

from seekd.wire.requests import decoded_object, named_choice, text_or_none


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_object_has_no_members(body: bytes) -> None:
    assert decoded_object(body) == {}


def test_of_equal_keys_the_last_counts() -> None:
    assert decoded_object(b'{"a":1,"a":2}') == {"a": 2}


def test_only_text_is_text() -> None:
    assert text_or_none("a") == "a"
    assert text_or_none(5) is None


@pytest.mark.parametrize(("choice", "name"), [({"name": "f"}, "f"), ({"name": 5}, None), ("auto", None), (None, None)])
def test_a_choice_may_name_its_tool(choice: object, name: str | None) -> None:
    assert named_choice(choice) == name
