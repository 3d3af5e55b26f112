"""A file that cannot be a model is refused in one sentence, before llama.cpp touches it."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from seekd.engine.llama.model_file import read_model_file
from seekd.engine.llama.vocabulary import open_vocabulary
from seekd.errors import ConfigError
from seekd.models.locate import find_model_file
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_model_file(path)
    message = caught.value.message
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_good_file_says_what_it_is(architecture: Architecture, model_file: ModelFiles) -> None:
    path = model_file(architecture)
    file = read_model_file(path)
    assert file.architecture == architecture
    assert file.number("block_count") == 3
    assert file.number("nothing") is None
    assert file.size_bytes == path.stat().st_size
    assert file.array_lengths["tokenizer.ggml.tokens"] == 275
    assert file.metadata["tokenizer.ggml.add_bos_token"] is False
    assert file.printed_metadata["tokenizer.ggml.add_bos_token"] == "false"


def test_the_header_has_the_special_tokens_that_llama_cpp_finds() -> None:
    path = find_model_file("bundled")
    with open_vocabulary(path) as vocabulary:
        assert read_model_file(path).special_tokens == vocabulary.special_tokens


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a GGUF file"),
        (b"GGU", "not a GGUF file"),
        (b"PK\x03\x04 a zip file", "not a GGUF file"),
        (b"GGUF", "header cannot be read"),
        (b"GGUF" + struct.pack("<I", 99), "version 99"),
        (b"GGUF" + struct.pack("<Iqq", 3, -1, 0), "header cannot be read"),
        (b"GGUF" + struct.pack("<Iqq", 3, 0, 0), "no weights"),
        (b"GGUF" + struct.pack("<Iqq", 3, 1 << 60, 0), "header cannot be read"),
        (b"GGUF" + struct.pack("<IqqQ", 3, 0, 1, 1 << 62), "header cannot be read"),
    ],
)
def test_what_is_no_model_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert says in refusal(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere.gguf")
    assert "is not a file" in refusal(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(model_file: ModelFiles, tmp_path: Path) -> None:
    whole = model_file(Architecture.DEEPSEEK2).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 20_000, 97), len(whole) // 2, len(whole) - 70_000]:
        path.write_bytes(whole[:length])
        refusal(path)


def test_flipped_bytes_of_the_header_raise_nothing_else(model_file: ModelFiles, tmp_path: Path) -> None:
    whole = model_file(Architecture.LLAMA).read_bytes()
    random = np.random.default_rng(1)
    path = tmp_path / "flipped.gguf"
    num_refused = 0
    for _ in range(300):
        data = bytearray(whole)
        data[int(random.integers(0, 12_000))] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(data)
        try:
            read_model_file(path)
        except ConfigError:
            num_refused += 1
    assert num_refused > 50


def write_tiny(path: Path, *, drop: str = "", dtype: type = np.float32) -> Path:
    writer = gguf.GGUFWriter(str(path), "deepseek2")
    values = {
        "attention.head_count_kv": 1,
        "attention.key_length": 64,
        "rope.dimension_count": 32,
        "attention.key_length_mla": 64,
        "attention.value_length_mla": 32,
    }
    for name, value in values.items():
        if name != drop:
            writer.add_uint32(f"deepseek2.{name}", value)
    if drop != "tokens":
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), dtype=dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    "name",
    [
        "attention.head_count_kv",
        "attention.key_length",
        "rope.dimension_count",
        "attention.key_length_mla",
        "attention.value_length_mla",
    ],
)
def test_keys_whose_absence_would_abort_the_process_are_asked_for(name: str, tmp_path: Path) -> None:
    read_model_file(write_tiny(tmp_path / "whole.gguf"))
    assert f"lacks deepseek2.{name}" in refusal(write_tiny(tmp_path / "lacking.gguf", drop=name))


def test_a_file_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    assert "tokenizer.ggml.model" in refusal(write_tiny(tmp_path / "lacking.gguf", drop="tokens"))


def test_64_bit_tensors_are_refused(tmp_path: Path) -> None:
    assert "64 bits" in refusal(write_tiny(tmp_path / "wide.gguf", dtype=np.float64))
