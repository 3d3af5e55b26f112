"""A model's source stands for a file."""

from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.models.catalogue import entry_named
from seekd.models.locate import find_model_file, hub_file_of
from seekd.models.store import ModelStore

NAME = "deepseek-r1-distill-qwen-1.5b"


def test_a_path_that_does_not_exist_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        find_model_file(str(tmp_path / "none.gguf"))


def test_a_directory_is_said_to_be_one_and_its_file_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a directory\. It holds no GGUF file"):
        find_model_file(str(tmp_path))
    (tmp_path / "some.gguf").touch()
    with pytest.raises(ConfigError, match=f"Name the file: {tmp_path / 'some.gguf'}"):
        find_model_file(str(tmp_path))


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match=f"did you mean {NAME}"):
        find_model_file("deepseek-r1-distil-qwen-1.5b")


def test_the_bundled_model_is_in_the_package() -> None:
    assert find_model_file("bundled").is_file()


def test_names_of_the_catalogue_and_of_the_hub_are_told_from_paths() -> None:
    assert hub_file_of(NAME) == entry_named(NAME).source
    assert str(hub_file_of("hf:o/r:f.gguf")) == "hf:o/r:f.gguf"
    assert hub_file_of("bundled") is None
    assert hub_file_of("some/file.gguf") is None


@pytest.mark.parametrize("source", [NAME, str(entry_named(NAME).source)])
def test_a_downloaded_model_is_found_by_either_name(tmp_path: Path, source: str) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ConfigError, match="seekd models pull"):
        find_model_file(source, store)
    hub_file = entry_named(NAME).source
    path = store.path_of(hub_file.repo, hub_file.path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert find_model_file(source, store) == path
