"""A model's source stands for a file."""

from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.models.locate import find_model_file


def test_a_path_that_does_not_exist_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_model_file(str(tmp_path / "none.gguf"))


def test_the_bundled_model_is_in_the_package() -> None:
    assert find_model_file("bundled").is_file()
