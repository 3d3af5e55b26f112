"""Numbers of telephones, payment cards and bank accounts.

`stdnum` is loaded with the first account number: it
says what those of a country look like. Candidates are cheap to write and texts are full of them: each is judged in
microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from string import ascii_uppercase
from typing import Any

from seekd.guard.numbering import is_international, is_national
from seekd.guard.scan import DigitRun, Scan, is_letter
from seekd.guard.types import Finding

_GROUP = re.compile(r"[0-9]+")

_CARD_SHAPES = frozenset(
    ((16,), (15,), (14,), (18,), (19,), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 13), (8, 8))
)
"""How the digits of a card are grouped, on the card and by people who type them."""

_CARD_NUMBER = re.compile(
    r"4[0-9]{15}"  # Visa; its rare ones of nineteen digits are mostly other numbers
    r"|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)[0-9]{12,14}"  # Mastercard; its length is checked beside it
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[689])[0-9]{11,13}"  # Diners Club
    r"|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12}"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0-9])[0-9]{14}"  # Maestro, of sixteen digits
)

_LETTER_VALUES = {ord(letter): str(value) for value, letter in enumerate(ascii_uppercase, start=10)}
_DOUBLED = {ord(str(digit)): str(2 * digit % 10 + digit // 5) for digit in range(10)}

_INTERNATIONAL = re.compile(r"\+[0-9](?:[ .\-/()\xa0]{0,2}[0-9]){6,14}")
_NATIONAL = re.compile(
    r"(?:1[ -])?\(?[0-9]{2,5}\)?(?:(?:(?<=\)) ?|[ \-/\xa0])[0-9]{2,8}){1,4}"
    r"|(?:1\.)?[0-9]{2,5}(?:\.[0-9]{2,8}){2,4}"  # two groups with a dot are a decimal number
)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ]|[0-3]?[0-9][-./ ][0-3]?[0-9][-./ ](?:19|20)?[0-9]{2}\b"
)
_MAX_PHONE_DIGITS = 15  # ITU-T E.164
_MIN_NATIONAL_DIGITS = 8


_CARD_DIGITS = re.compile(
    r"(?<![0-9])[2-6](?:[0-9]{13,18}"
    r"|[0-9]{3}[ \xa0-][0-9]{4,6}[ \xa0-][0-9]{4,5}(?:[ \xa0-][0-9]{3,4}){0,2}"
    r"|[0-9]{5}[ \xa0-][0-9]{13}|[0-9]{7}[ \xa0-][0-9]{8})(?![0-9])"
)
"""What every card looks like; most runs of digits do not, and are done with."""


def find_cards(scan: Scan) -> Iterator[Finding]:
    """Numbers of payment cards: an issuer's prefix, its length, a usual grouping, and the check digit."""
    for run in scan.digit_runs:
        if run.num_digits >= 14 and _CARD_DIGITS.search(scan.text, run.start, run.end) is not None:
            yield from _cards_in(scan.text, run)


def _cards_in(text: str, run: DigitRun) -> Iterator[Finding]:
    groups = [match.span() for match in _GROUP.finditer(text, run.start, run.end)]
    first = 0
    while first < len(groups):
        last = _card_end(text, groups, first)
        if last is not None:
            yield Finding(start=groups[first][0], end=groups[last][1], rule="card", label="CARD")
            first = last
        first += 1


def _card_end(text: str, groups: Sequence[tuple[int, int]], first: int) -> int | None:
    """The last group of the card that begins with group `first`; None where none begins."""
    begin = groups[first][0]
    if text[begin] not in "23456" or not _may_begin(text, begin):
        return None
    shape: tuple[int, ...] = ()
    for last in range(first, min(first + 5, len(groups))):
        start, end = groups[last]
        if last > first and text[groups[last - 1][1] : start] not in (" ", "-", "\xa0"):
            return None
        shape += (end - start,)
        if shape in _CARD_SHAPES and _may_end(text, end):
            number = "".join(_GROUP.findall(text, begin, end))
            if _CARD_NUMBER.fullmatch(number) is not None and _has_check_digit(number):
                return last
    return None


def _has_check_digit(number: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B (Luhn)."""
    total = sum(map(int, number[-1::-2])) + sum(map(int, number[-2::-2].translate(_DOUBLED)))
    return total % 10 == 0


def find_ibans(scan: Scan) -> Iterator[Finding]:
    """International bank account numbers, in capitals: country, length, structure and checksum."""
    text = scan.text
    for start in scan.country_codes:
        form = _iban_form(text[start : start + 2])
        match = None if form is None else form.match(text, start)
        if match is None or not (_may_begin(text, start) and _may_end(text, match.end())):
            continue
        number = match[0].replace(" ", "")
        if _has_iban_checksum(number) and _keeps_own_rules(number):
            yield Finding(start=start, end=match.end(), rule="iban", label="IBAN")


@lru_cache(maxsize=1024)  # every two capitals
def _iban_form(country: str) -> re.Pattern[str] | None:
    """What an account number of a country looks like, in groups or without; None where there are none."""
    from stdnum import numdb

    structure = numdb.get("iban").info(country)[0][1].get("bban", "")  # such as 4!a6!n8!n
    signs = {"n": "[0-9]", "a": "[A-Z]", "c": "[A-Z0-9]"}
    parts = [f"(?: ?{signs[kind]}){{{number}}}" for number, kind in re.findall("([0-9]+)!([nac])", structure)]
    return re.compile("".join(("[A-Z]{2}[0-9]{2}", *parts))) if parts else None


def _has_iban_checksum(number: str) -> bool:
    """Source: ISO 13616-1, clause 6."""
    return int((number[4:] + number[:4]).translate(_LETTER_VALUES)) % 97 == 1


def _keeps_own_rules(number: str) -> bool:
    """Some countries have check digits of their own inside."""
    rules = _own_rules(number[:2])
    return rules is None or bool(rules.is_valid(number))


@lru_cache(maxsize=1024)
def _own_rules(country: str) -> Any:  # a module, or None
    from stdnum import get_cc_module

    return get_cc_module(country.lower(), "iban")


def find_phones(scan: Scan, regions: Sequence[str]) -> Iterator[Finding]:
    """Telephone numbers that exist: international ones, and those of `regions` that are written in groups."""
    text = scan.text
    for run in scan.digit_runs:
        begin = run.start - 1 if text[run.start - 1 : run.start] == "(" else run.start
        found = None
        if text[begin - 1 : begin] == "+":
            found = _INTERNATIONAL.match(text, begin - 1, run.end)
        elif regions and _MIN_NATIONAL_DIGITS <= run.num_digits <= _MAX_PHONE_DIGITS:
            found = _NATIONAL.match(text, begin, run.end)
        if found is not None and _is_phone(text, found, regions):
            yield Finding(start=found.start(), end=found.end(), rule="phone", label="PHONE")


def _is_phone(text: str, found: re.Match[str], regions: Sequence[str]) -> bool:
    if not _may_begin(text, found.start()) or not _may_end(text, found.end()):
        return False
    digits = "".join(_GROUP.findall(found[0]))
    if found[0].startswith("+"):
        return is_international(digits)
    return _DATE.match(found[0]) is None and any(is_national(digits, region) for region in regions)


def _may_begin(text: str, start: int) -> bool:
    """Whether a number may begin here: not inside a word, an amount, a path or a longer number."""
    before = text[start - 1 : start] if start else ""
    return not before or not (is_letter(before) or before in "_-.,/\\$€£¥#@=+&%")


def _may_end(text: str, end: int) -> bool:
    """Whether a number may end here: not inside a word or a longer number."""
    after = text[end : end + 2]
    if not after:
        return True
    return not (is_letter(after[0]) or after[0] in "_%" or (after[0] in ".,-/" and is_letter(after[1:])))
