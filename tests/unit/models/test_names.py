"""A hub file's name is read as it is written, and what cannot be one is refused."""

import pytest

from seekd.errors import ConfigError
from seekd.models.names import HubFile, parse_hub_file, split_names, suggestion


def test_a_hub_file_reads_and_prints_alike() -> None:
    text = "hf:unsloth/DeepSeek-V3.1-GGUF:UD-Q2_K_XL/m-00001-of-00002.gguf"
    source = parse_hub_file(text)
    assert (source.repo, str(source)) == ("unsloth/DeepSeek-V3.1-GGUF", text)
    assert source.paths == ("UD-Q2_K_XL/m-00001-of-00002.gguf", "UD-Q2_K_XL/m-00002-of-00002.gguf")


def test_a_file_that_is_not_split_is_its_own_only_part() -> None:
    assert HubFile(repo="o/r", path="m-Q4.gguf").paths == ("m-Q4.gguf",)


@pytest.mark.parametrize(
    "text",
    [
        "o/r:f.gguf",
        "hf:o:f.gguf",
        "hf:o/r",
        "hf:o/r:",
        "hf:o/r:../f.gguf",
        "hf:o/r:/f.gguf",
        "hf:o/r:a\\f.gguf",
        "hf:../r:f.gguf",
        "hf:o/r/x:f.gguf",
        "hf:o/r:f.safetensors",
        "hf:o/r:f-00002-of-00003.gguf",
        "hf:o/r:f-00001-of-00000.gguf",
    ],
)
def test_what_names_no_model_file_on_the_hub_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_hub_file(text)


def test_a_later_part_is_answered_with_the_first() -> None:
    with pytest.raises(ConfigError, match=r"m-00001-of-00005\.gguf"):
        split_names("m-00003-of-00005.gguf")


def test_only_a_close_word_is_suggested() -> None:
    assert suggestion("deepseek-r2", ["deepseek-r1"]) == "; did you mean deepseek-r1?"
    assert suggestion("gpt", ["deepseek-r1"]) == ""
