from __future__ import annotations

import datetime
import ipaddress
import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pytest

from seekd.constrain import lark
from seekd.constrain.formats import EQUIVALENTS, FORMAT_PATTERNS
from seekd.constrain.schema_check import check_schema
from tests.unit.constrain.random_model import RandomModel


def check_hostname(text: str) -> None:
    assert len(text) <= 253
    for label in text.split("."):
        assert re.fullmatch("[A-Za-z0-9-]{1,63}", label)
        assert not label.startswith("-")
        assert not label.endswith("-")


def check_email(text: str) -> None:
    local, _, host = text.rpartition("@")
    assert len(local) <= 64
    assert all(local.split("."))
    check_hostname(host)


def check_uri(text: str) -> None:
    parts = urlsplit(text)
    assert parts.scheme
    assert parts.hostname
    assert parts.port is None or parts.port < 65536


def check_duration(text: str) -> None:
    date, _, time = text.removeprefix("P").partition("T")
    units = re.findall(r"[0-9]+([YMWD])", date), re.findall(r"[0-9]+([HMS])", time)
    assert text.startswith("P")
    assert units != ([], [])
    assert ("T" in text) == bool(units[1])


JUDGES: Mapping[str, Callable[[str], object]] = {
    "date-time": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "duration": check_duration,
    "email": check_email,
    "hostname": check_hostname,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uuid": uuid.UUID,
    "uri": check_uri,
}

VALID: Mapping[str, tuple[str, ...]] = {
    "date-time": ("2024-02-28T23:59:59Z", "1999-12-31T00:00:00.123+05:30"),
    "date": ("2024-12-31", "2023-02-28", "2024-06-30"),
    "time": ("00:00:00Z", "23:59:59.5-12:00"),
    "duration": ("P1D", "PT5M", "P1Y2M3DT4H5M6S", "P3W"),
    "email": ("ann@example.com", "a.b+c@mail.example.co.uk"),
    "hostname": ("localhost", "a.b-c.example.com"),
    "ipv4": ("0.0.0.0", "255.255.255.255", "192.168.1.10"),
    "ipv6": ("::", "::1", "1::", "fe80::1:2", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "2001:db8::ff00:42:8329"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000",),
    "uri": ("https://example.com", "http://a.example:8080/b/c?d=e&f#g", "ftp://h/%20"),
}

INVALID: Mapping[str, tuple[str, ...]] = {
    "date-time": ("2024-02-28", "2024-02-28 23:59:59Z", "2024-02-28T24:00:00Z", "2024-02-28T23:59:59"),
    "date": ("2023-02-29", "2024-04-31", "2024-13-01", "24-01-01", "2024-00-10"),
    "time": ("24:00:00Z", "12:60:00Z", "12:00:00", "1:00:00Z"),
    "duration": ("P", "PT", "P1H", "P1Y2W", "1D", "P1DT"),
    "email": ("a", "a@", "@b.c", "a..b@c.d", "a b@c.d", "a@-b.c"),
    "hostname": ("", "-a", "a-", "a..b", "a_b", "x" * 64),
    "ipv4": ("256.1.1.1", "1.1.1", "01.1.1.1", "1.1.1.1.1"),
    "ipv6": (":", ":::", "1::2::3", "1:2:3:4:5:6:7", "12345::", "1:2:3:4:5:6:7:8:9", "g::"),
    "uuid": (
        "123e4567e89b12d3a456426614174000",
        "123e4567-e89b-12d3-a456-42661417400",
        "g23e4567-e89b-12d3-a456-426614174000",
    ),
    "uri": ("example.com", "http://", "http://a b", "http://a/%2", "1http://a"),
}


def test_every_format_has_its_judge_and_cases() -> None:
    assert set(FORMAT_PATTERNS) == set(JUDGES) == set(VALID) == set(INVALID)


@pytest.mark.parametrize("name", FORMAT_PATTERNS)
def test_a_format_takes_valid_spellings_and_no_others(name: str) -> None:
    for text in VALID[name]:
        assert re.search(FORMAT_PATTERNS[name], text), text
        JUDGES[name](text)
    for text in INVALID[name]:
        assert not re.search(FORMAT_PATTERNS[name], text), text


@pytest.mark.parametrize("name", FORMAT_PATTERNS)
def test_whatever_a_random_model_writes_in_a_format_is_valid(random_model: RandomModel, name: str) -> None:
    expression = lark.found_in_text(FORMAT_PATTERNS[name])
    assert expression is not None
    texts = [random_model.write(f"start: {lark.regex(expression)}", seed=seed) for seed in range(15)]
    finished = [text for text in texts if text is not None]
    assert len(finished) >= 10
    for text in finished:
        JUDGES[name](text)


PIECES: Mapping[str, tuple[str, ...]] = {
    "@": ("", "a", "1", ".", "-", "@", "'", "a.aa"),
    "P": ("", "P", "1Y", "1M", "1D", "T", "1H", "1S", "1.1S", "1W", "1", "S"),
    "[": ("", "0", ".", "+", "-", "5", "e"),
}
"""By what only one of the expressions has in it: pieces whose texts tell apart every part of it."""


@pytest.mark.parametrize("pattern", EQUIVALENTS)
def test_an_equivalent_without_look_around_matches_the_same_texts(pattern: str) -> None:
    pieces = next(found for mark, found in PIECES.items() if mark in pattern)
    lead = "P" if "P" in pieces else ""
    texts = {lead + "".join(chosen) for chosen in itertools.product(pieces, repeat=5)}
    matching = {text for text in texts if re.search(pattern, text)}
    assert matching == {text for text in texts if re.search(EQUIVALENTS[pattern], text)}
    assert len(matching) > 10


@pytest.mark.parametrize("pattern", EQUIVALENTS)
def test_a_pattern_with_look_around_that_libraries_write_is_enforced(pattern: str) -> None:
    assert check_schema({"pattern": pattern}, name="S").findings == ()
