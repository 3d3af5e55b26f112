import uuid
from dataclasses import fields

import pytest

from seekd.errors import InvalidParameter
from seekd.wire.dialect import CLASSIC, DIALECTS, DIFFERENCES, HOSTED, Dialect, dialect_named

UNIQUE = uuid.UUID("0841b0a3-0321-47fa-a8a5-f08e5a4b3cb3")


def test_ids_have_the_documented_shapes() -> None:
    assert CLASSIC.response_id(UNIQUE, prefix="chatcmpl-") == "chatcmpl-0841b0a3032147faa8a5f08e5a4b3cb3"
    assert HOSTED.response_id(UNIQUE, prefix="chatcmpl-") == "0841b0a3-0321-47fa-a8a5-f08e5a4b3cb3"


@pytest.mark.parametrize("name", ["classic", "hosted", " Hosted "])
def test_a_dialect_is_found_by_name(name: str) -> None:
    assert dialect_named(name) is DIALECTS[name.strip().lower()]


@pytest.mark.parametrize("name", ["", "openai", "classic,hosted"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InvalidParameter, match="classic and hosted"):
        dialect_named(name)


def test_every_field_is_a_difference_and_differs() -> None:
    assert [row.field for row in DIFFERENCES] == [field.name for field in fields(Dialect) if field.name != "name"]
    assert all(row.classic != row.hosted for row in DIFFERENCES)
