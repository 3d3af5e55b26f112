"""What stops the start."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import msgspec
import pytest

from seekd.config import load
from seekd.errors import ConfigError
from seekd.guard.settings import GuardSettings, OverridableGuard, OverrideSetting, PatternSetting


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


@dataclass(frozen=True, kw_only=True)
class _Settings:
    guard: GuardSettings = field(default_factory=GuardSettings)


def _loaded(tmp_path: Path, text: str) -> GuardSettings:
    file = tmp_path / "seekd.toml"
    file.write_text(text)
    return load(_Settings, environment={}, file=file).settings.guard


def test_an_override_has_every_key_that_may_differ_between_requests() -> None:
    keys = {key.name for key in msgspec.structs.fields(OverrideSetting)}
    assert keys == {key.name for key in fields(OverridableGuard)} | {"model", "account"}


def test_an_override_is_read_from_the_file(tmp_path: Path) -> None:
    guard = _loaded(tmp_path, '[[guard.overrides]]\nmodel = "m"\nblock = ["ip"]\nmax_tools = 2\nrestore = false\n')
    assert guard.overrides == (OverrideSetting(model="m", block=("ip",), max_tools=2, restore=False),)
    assert guard.named_rules == {"ip"}


@pytest.mark.parametrize(
    ("line", "words"),
    [("patterns = []", "unknown field `patterns`"), ("max_tools = 'x'", "max_tools"), ("max_tools = -1", "-1")],
)
def test_a_wrong_override_is_refused(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _loaded(tmp_path, f"[[guard.overrides]]\n{line}\n")
