"""A model name finds its file, and the file says how it wants to be spoken to."""

from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.models.catalogue import ModelSettings, find_model_file, map_temperature, profile_of


def test_a_path_that_does_not_exist_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_model_file(str(tmp_path / "none.gguf"))


def test_the_bundled_model_is_in_the_package() -> None:
    assert find_model_file("bundled").is_file()


@pytest.mark.parametrize(
    ("metadata", "architecture", "expected"),
    [
        ({"seekd.prompt_format": "deepseek-v4.1"}, "deepseek2", "deepseek-v4.1"),
        ({}, "deepseek4", "deepseek-v4"),
        ({"tokenizer.chat_template": "... dsml_token ..."}, "x", "deepseek-v4"),
        ({"tokenizer.chat_template": "<｜System｜> ... <｜DSML｜ calls>"}, "x", "deepseek-v4.1"),
    ],
)
def test_the_chat_layout_is_read_off_the_file(metadata: dict[str, str], architecture: str, expected: str) -> None:
    assert profile_of(metadata, architecture=architecture, settings=ModelSettings()).prompt_format == expected


def test_an_unknown_chat_layout_is_refused_and_says_how_to_name_it() -> None:
    with pytest.raises(ConfigError, match="prompt_format"):
        profile_of({"tokenizer.chat_template": "{{ messages }}"}, architecture="llama", settings=ModelSettings())


def test_settings_win_over_the_file() -> None:
    settings = ModelSettings(prompt_format="deepseek-v4", temperature_mapping="none")
    profile = profile_of({"seekd.temperature_mapping": "v3"}, architecture="x", settings=settings)
    assert (profile.prompt_format, profile.temperature_mapping) == ("deepseek-v4", "none")


@pytest.mark.parametrize(("api", "model"), [(0.0, 0.0), (0.5, 0.15), (1.0, 0.3), (1.5, 0.8), (2.0, 1.3)])
def test_the_v3_mapping_is_that_of_the_model_card(api: float, model: float) -> None:
    assert map_temperature(api, "v3") == pytest.approx(model)
    assert map_temperature(api, "none") == api
