"""What stops the start."""

import pytest

from seekd.guard.settings import GuardSettings, PatternSetting


@pytest.mark.parametrize(
    ("rule", "pattern", "words"),
    [
        ("email", "x", "not a free name"),
        ("Upper", "x", "not a free name"),
        ("own", "(", "is not valid"),
        ("own", "x*", "matches an empty text"),
    ],
)
def test_a_bad_pattern_is_named(rule: str, pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GuardSettings(patterns=(PatternSetting(rule=rule, pattern=pattern),))


def test_a_region_is_a_country_code() -> None:
    with pytest.raises(ValueError, match="phone_regions: 'usa'"):
        GuardSettings(phone_regions=("usa",))
