"""The library that knows the numbering plans, and its own judgement of whole numbers, agree with what is read here."""

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat

from seekd.guard.numbering import is_international, is_national


def _judged_by_the_library(number: str, region: str | None) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, region)))
    except phonenumbers.NumberParseException:
        return False


def _dialled(region: str) -> Iterator[str]:
    """Numbers of a region as they are written at home and abroad."""
    for kind in range(11):
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            for form in (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL):
                yield phonenumbers.format_number(example, form)
            yield phonenumbers.format_out_of_country_calling_number(example, region)
            code = str(example.country_code)
            yield f"+{code} (0) {phonenumbers.national_significant_number(example)}"


def _changed(number: str, chosen: random.Random) -> str:
    place = chosen.randrange(len(number))
    return number[:place] + str(chosen.randrange(10)) * chosen.randrange(2) + number[place + 1 :]


@pytest.mark.parametrize("batch", range(5))
def test_the_library_agrees_but_for_one_number_in_a_thousand(batch: int) -> None:
    chosen = random.Random(batch)
    num_asked, num_valid, differing = 0, 0, []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)[batch::15]:
        for example in _dialled(region):
            for number in (example, _changed(example, chosen), _changed(example, chosen)):
                digits = "".join(filter(str.isdecimal, number))
                own = is_international(digits) if number.startswith("+") else is_national(digits, region)
                expected = _judged_by_the_library(number, None if number.startswith("+") else region)
                num_asked += 1
                num_valid += expected
                if own != expected:
                    differing.append(number)
    assert num_asked > 1000
    assert 0.3 < num_valid / num_asked < 0.9
    assert len(differing) <= num_asked / 1000, differing


def test_numbers_of_no_country_and_regions_of_no_plan_are_none() -> None:
    for digits in ("", "0", "000", "999123456789", "210123456"):
        assert not is_international(digits)
    assert not is_national("4155552671", "ZZ")
    assert is_international("80012345678")  # a service of the whole world, of no region
