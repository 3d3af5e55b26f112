"""Numbers of telephones, cards and accounts, and the many numbers that are none."""

import importlib
import random

import pytest

from seekd.guard.finding import RuleBook
from seekd.guard.settings import GuardSettings
from tests.unit.guard.finds import finds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("call +49 30 901820 today", "+49 30 901820"),
        ("+4930901820", "+4930901820"),
        ("(415) 555-2671", "(415) 555-2671"),
        ("415-555-2671.", "415-555-2671"),
        ("tel:415.555.2671", "415.555.2671"),
        ("+1 (415) 555-2671", "+1 (415) 555-2671"),
        ("phone 1-415-555-2671 or so", "1-415-555-2671"),
        ("电话415-555-2671或", "415-555-2671"),
        ("请拨打+86 10 6552 9988。", "+86 10 6552 9988"),
    ],
)
def test_a_telephone_number_is_found(text: str, number: str) -> None:
    assert finds(text, "phone") == [number]


def test_national_numbers_are_known_for_the_regions_of_the_settings() -> None:
    text = "Ruf an: 030 901820"
    assert finds(text, "phone") == []
    rules = RuleBook(GuardSettings(phone_regions=("US", "DE")))
    assert [(finding.start, finding.end) for finding in rules.find(text, ["phone"])] == [(8, 18)]
    assert RuleBook(GuardSettings(phone_regions=())).find("(415) 555-2671", ["phone"]) == []


@pytest.mark.parametrize(
    "number", ["4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "3782 822463 10005"]
)
def test_a_card_number_is_found(number: str) -> None:
    assert finds(f"card {number}, 12/27", "card") == [number]
    assert finds(f"{number}", "card") == [number]


def test_a_card_number_between_other_numbers_is_found_alone() -> None:
    assert finds("4111 1111 1111 1111 12 27 123", "card") == ["4111 1111 1111 1111"]


@pytest.mark.parametrize(
    "number",
    ["DE89 3704 0044 0532 0130 00", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NL91ABNA0417164300"],
)
def test_an_iban_is_found(number: str) -> None:
    assert finds(f"to {number} AND more", "iban") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "DE88 3704 0044 0532 0130 00",
        "XX89 3704 0044 0532 0130 00",
        "ID89 and AB12CD34EF56GH78",
    ],
)
def test_a_number_with_a_wrong_checksum_or_country_is_no_iban(text: str) -> None:
    assert finds(text, "iban") == []


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # wrong check digit
        "1234567812345670",  # right check digit, no issuer
        "x4111111111111111 and 4111111111111111x",
        "0.4111111111111111",
        "41111111 1111 1111",
        "/objects/4111111111111111",
    ],
)
def test_what_no_issuer_would_print_is_no_card(text: str) -> None:
    assert finds(text, "card") == []


@pytest.mark.parametrize("module", ["luhn", "iban"])
def test_check_digits_are_those_of_the_standards(module: str) -> None:
    judge = importlib.import_module(f"stdnum.{module}")
    chosen = random.Random(1)
    examples = {
        "luhn": ["4111111111111111", "5500000000000004", "3530111333300000"],
        "iban": [
            *("DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"),
            *("BE68539007547034", "ES9121000418450200051332", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"),
        ],
    }
    for number in examples[module]:
        for _ in range(200):
            place = chosen.randrange(len(number))
            other = number[:place] + chosen.choice("0123456789") + number[place + 1 :]
            found = finds(f"to {other}.", "card" if module == "luhn" else "iban")
            if judge.is_valid(other):
                assert found == [other] or (module == "luhn" and other[0] not in "3456")
            else:
                assert found == []


ORDINARY = [
    "version 1.12.123.4567 of 2024-01-15 10:30:00,123",
    "2024-01-15 10:30, 15.01.2024 10, 01/15/2024 1030, 2019-2020 123456",
    "$1,234,567.89 and 1.234.567,89 EUR and 1 234 567 890",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-1234-1234-123456789012",
    "d6f3ad9a9b3c6a1f2e8b7c5d4e3f2a1b0c9d8e7f",
    "0bd2a87 4155552671abc 4155552671",
    "1700000000 1700000000123 1700000000123456 123456789012345678",
    "ISBN 978-3-16-148410-0",
    "for (i = 0; i < 1000000000; i++) x[i] = 0xDEADBEEF + 3.14159265358979;",
    "range(100, 200, 300), (255, 255, 255), 1920x1080",
    "order 123-4567890-1234567, invoice 2024-000123-001",
    "1234 5678 9012 3456 7890",
    "10.1000/182 and arXiv:2412.19437",
    "a+1234567890 x-415-555-2671 $415-555-2671",
    "+12 3 and +0000000000",
    "5005.689453 and 21  72.100000 and 4220315081820346526",
    "3.14159265358979 2.718281828459045 212.555.2671234 0.415 555 2671",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_numbers_are_nothing_to_any_rule(text: str) -> None:
    assert finds(text) == []
