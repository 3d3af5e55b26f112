"""Numbers of telephones, payment cards and bank accounts.

Room: guard. May import: guard.scan, guard.types. `phonenumbers` and `stdnum` are loaded with the first number that
looks right: they judge candidates, they never read a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_IBAN_MAX_CHARS = 42  # 34 in groups of four

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


@dataclass(frozen=True, slots=True)
class _Group:
    start: int
    end: int
    digits: str


def _cards_in(text: str, run: DigitRun) -> Iterator[Finding]:
    groups = [_Group(*match.span(), match[0]) for match in _GROUP.finditer(text, run.start, run.end)]
    first = 0
    while first < len(groups):
        last = _card_end(text, groups, first)
        if last is not None:
            yield Finding(start=groups[first].start, end=groups[last].end, rule="card", label="CARD")
            first = last
        first += 1


def _card_end(text: str, groups: Sequence[_Group], first: int) -> int | None:
    """The last group of the card that begins with group `first`; None where none begins."""
    if not _may_begin(text, groups[first].start):
        return None
    shape: tuple[int, ...] = ()
    for last in range(first, min(first + 5, len(groups))):
        if last > first and text[groups[last - 1].end : groups[last].start] not in (" ", "-", "\xa0"):
            return None
        shape += (len(groups[last].digits),)
        if shape in _CARD_SHAPES and _may_end(text, groups[last].end):
            number = "".join(group.digits for group in groups[first : last + 1])
            if _CARD_NUMBER.fullmatch(number) is not None and _has_check_digit(number):
                return last
    return None


def _has_check_digit(number: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(number))


def find_ibans(scan: Scan) -> Iterator[Finding]:
    """International bank account numbers, in capitals: country, length, structure and checksum."""
    for start in scan.country_codes:
        match = _IBAN.match(scan.text, start, start + _IBAN_MAX_CHARS)
        if match is None or not _may_begin(scan.text, start):
            continue
        end = _iban_end(scan.text, start, match.end())
        if end is not None:
            yield Finding(start=start, end=end, rule="iban", label="IBAN")


def _iban_end(text: str, start: int, end: int) -> int | None:
    # What follows may be letters and digits of the next words; at most a few groups have to be given back.
    from stdnum import iban

    while end - start >= 15:
        if _may_end(text, end) and iban.is_valid(text[start:end]):
            return end
        end = text.rfind(" ", start, end)
    return None


def find_phones(scan: Scan, regions: Sequence[str]) -> Iterator[Finding]:
    """Telephone numbers that exist: international ones, and those of `regions` that are written in groups."""
    for run in scan.digit_runs:
        text = scan.text
        begin = run.start - 1 if text[run.start - 1 : run.start] == "(" else run.start
        if text[begin - 1 : begin] == "+":
            found = _INTERNATIONAL.match(text, begin - 1, run.end)
            yield from _phone(text, found, None)
        elif regions and _MIN_NATIONAL_DIGITS <= run.num_digits <= _MAX_PHONE_DIGITS:
            found = _NATIONAL.match(text, begin, run.end)
            if found is not None and _DATE.match(found[0]) is None:
                for region in regions:
                    findings = list(_phone(text, found, region))
                    if findings:
                        yield from findings
                        break


def _phone(text: str, found: re.Match[str] | None, region: str | None) -> Iterator[Finding]:
    if found is None or not _may_begin(text, found.start()) or not _may_end(text, found.end()):
        return
    import phonenumbers

    try:
        number = phonenumbers.parse(found[0], region)
    except phonenumbers.NumberParseException:
        return
    if phonenumbers.is_valid_number(number):
        yield Finding(start=found.start(), end=found.end(), rule="phone", label="PHONE")


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
