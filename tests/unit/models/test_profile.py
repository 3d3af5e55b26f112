"""A model's file says how it wants to be spoken to."""

import pytest

from seekd.models.profile import map_temperature, profile_of
from seekd.models.settings import ModelSettings


def test_the_chat_layout_is_read_off_the_file() -> None:
    profile = profile_of({"seekd.prompt_format": "deepseek-v4.1"}, architecture="x", settings=ModelSettings())
    assert profile.prompt_format == "deepseek-v4.1"


def test_settings_win_over_the_file() -> None:
    settings = ModelSettings(prompt_format="deepseek-v4", temperature_mapping="none")
    profile = profile_of({"seekd.temperature_mapping": "v3"}, architecture="x", settings=settings)
    assert (profile.prompt_format, profile.temperature_mapping) == ("deepseek-v4", "none")


@pytest.mark.parametrize(("api", "model"), [(0.0, 0.0), (0.5, 0.15), (1.0, 0.3), (1.5, 0.8), (2.0, 1.3)])
def test_the_v3_mapping_is_that_of_the_model_card(api: float, model: float) -> None:
    assert map_temperature(api, "v3") == pytest.approx(model)
    assert map_temperature(api, "none") == api


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DeepSeek V3 0324", "v3"),
        ("DeepSeek-V3", "v3"),
        ("deepseek_v3", "v3"),
        ("DeepSeek-V3.1", "none"),
        ("DeepSeek V3.2 Exp", "none"),
        ("DeepSeek R1 Distill Qwen 7B", "none"),
    ],
)
def test_the_mapping_is_on_for_the_models_whose_maker_states_it(name: str, expected: str) -> None:
    metadata = {"general.name": name, "seekd.prompt_format": "deepseek-v4"}
    assert profile_of(metadata, architecture="x", settings=ModelSettings()).temperature_mapping == expected
