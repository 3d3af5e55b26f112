from pathlib import Path

import pytest

from seekd.config import load
from seekd.errors import ConfigError
from seekd.settings import Settings


def _loaded(folder: Path, text: str) -> Settings:
    file = folder / "seekd.toml"
    file.write_text(text)
    return load(Settings, environment={}, file=file).settings


def test_accounts_have_a_choice_of_their_own(tmp_path: Path) -> None:
    settings = _loaded(tmp_path, '[context.accounts]\nacct_1 = "drop"\n[context]\nsummary_prompt = "Sum up."\n')
    assert settings.context.accounts == {"acct_1": "drop"}
    assert settings.context.summary_prompt == "Sum up."


@pytest.mark.parametrize(
    "text",
    [
        '[context]\nsummary_prompt = " "\n',
        "[context]\nsummary_tokens = 4\n",
        '[context.accounts]\nacct_1 = "keep"\n',
        '[model]\nlong_conversations = "keep"\n',
    ],
)
def test_a_bad_value_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        _loaded(tmp_path, text)
