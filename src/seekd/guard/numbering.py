"""Which digits are a number of telephone, by the numbering plans of `phonenumbers`.

`phonenumbers` is loaded with the first question, for its plans alone. What it does with a candidate, to
parse a text that people wrote and to put the number together again, takes 20 to 40 µs, and a log has 50,000 candidates
a megabyte. Here the digits are held against the plan's expressions in every form in which they may have been dialled:
as they are, and without what stands before numbers of other countries, of this one, and of other regions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

_KINDS = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a country code stands for.

    Attributes:
        numbers: fully matches the national numbers of all its regions.
        prefix: what is dialled before them inside of the country; None for nothing.
        without_prefix: template of what is left of such a number, where not simply the rest is.
        abroad: what is dialled before numbers of other countries; None for nothing.
    """

    country_code: str
    numbers: re.Pattern[str]
    prefix: re.Pattern[str] | None
    without_prefix: str | None
    abroad: re.Pattern[str] | None

    def has(self, digits: str) -> bool:
        """Whether digits are one of its numbers, dialled inside or outside of the country."""
        return any(self.numbers.fullmatch(form) is not None for form in self._forms(digits))

    def _forms(self, digits: str) -> Iterator[str]:
        for start in (digits, digits.removeprefix(self.country_code)):
            yield start
            match = None if self.prefix is None else self.prefix.match(start)
            if match is not None:
                yield start[match.end() :]
                if self.without_prefix is not None and match.lastindex:
                    yield match.expand(self.without_prefix) + start[match.end() :]


def is_international(digits: str) -> bool:
    """Whether digits after a + are a number of some country."""
    return any(plan.has(digits[len(plan.country_code) :]) for plan in _plans_of(digits))


def is_national(digits: str, region: str) -> bool:
    """Whether digits are a number as it is dialled in a region, two letters."""
    plan = _plan_of_region(region)
    if plan is None or plan.has(digits):
        return plan is not None
    abroad = None if plan.abroad is None else plan.abroad.match(digits)
    return abroad is not None and is_international(digits[abroad.end() :])


def _plans_of(digits: str) -> Iterator[_Plan]:
    for length in (1, 2, 3):  # no code begins with another one
        plan = _plan(digits[:length])
        if plan is not None:
            yield plan


@cache  # the settings name them
def _plan_of_region(region: str) -> _Plan | None:
    import phonenumbers

    code = phonenumbers.country_code_for_region(region)
    return _plan(str(code), region) if code else None


@lru_cache(maxsize=2048)  # up to three digits each; a plan is a few kilobytes
def _plan(country_code: str, region: str | None = None) -> _Plan | None:
    import phonenumbers

    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(country_code or "0"))
    if regions is None or country_code.startswith("0"):
        return None
    found = [_metadata(country_code, name) for name in regions]
    main = _metadata(country_code, region or regions[0])
    prefix = main.national_prefix_for_parsing
    template = main.national_prefix_transform_rule
    return _Plan(
        country_code=country_code,
        numbers=re.compile("|".join(_numbers(metadata) for metadata in found)),
        prefix=re.compile(prefix) if prefix else None,
        without_prefix=template,
        abroad=re.compile(main.international_prefix) if main.international_prefix else None,
    )


def _metadata(country_code: str, region: str) -> Any:  # the library has no types
    import phonenumbers

    if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        return phonenumbers.PhoneMetadata.metadata_for_nongeo_region(int(country_code))
    return phonenumbers.PhoneMetadata.metadata_for_region(region)


def _numbers(metadata: Any) -> str:
    kinds = [getattr(metadata, kind) for kind in _KINDS]
    patterns = dict.fromkeys(kind.national_number_pattern for kind in kinds if kind is not None)
    some = "|".join(pattern for pattern in patterns if pattern)
    return rf"(?=(?:{metadata.general_desc.national_number_pattern})\Z)(?:{some})"
