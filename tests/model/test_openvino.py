"""OpenVINO's kernels against a model in numpy: each architecture, each way to store weights, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf.quants import dequantize

from seekd.engine.kernels import open_runtime
from seekd.engine.llama.binding import C, Library
from seekd.engine.llama.model_file import read_model_file
from seekd.engine.schedule.plan import Chunk
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.settings import EngineSettings, Kernels, KvType
from seekd.engine.types import EngineRequest
from seekd.errors import ConfigError
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture, Shape, write_gguf
from tests.model.kernels import NEEDS_OPENVINO
from tests.model.reference_model import ReferenceModel

pytestmark = NEEDS_OPENVINO

SETTINGS = EngineSettings(
    kernels=Kernels.OPENVINO, kv_type=KvType.F32, context_length=256, max_sequences=4, batch_tokens=64, threads=1
)
SHAPE = Shape(num_layers=2, width=256, num_heads=4, num_kv_heads=2, feed_forward=256)  # as K-quants come in 256

# enum llama_ftype of llama.h; the types of a file's large tensors.
EXACT = {
    "F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7, "Q4_K": 15, "Q5_K": 17, "Q6_K": 18,
}  # fmt: skip
RECODED = {"Q2_K": 10, "Q3_K": 12}


def prompt(num_tokens: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(1).integers(3, 250, num_tokens)]


def in_slot(slot: int, token_ids: list[int]) -> Sequence:
    request = EngineRequest(request_id=str(slot), prompt_token_ids=token_ids, max_tokens=1)
    sequence = Sequence(request=request, arrival=slot, arrival_s=0, max_num_tokens=10**6, token_ids=token_ids)
    sequence.slot = slot
    return sequence


def logits(path: Path, token_ids: list[int], settings: EngineSettings = SETTINGS) -> npt.NDArray[np.float32]:
    """Behind each token of the second half; the first half is computed in two batches, one beside another sequence."""
    half = len(token_ids) // 2
    other, sequence = in_slot(0, prompt(21)), in_slot(1, token_ids)
    rows = []
    with open_runtime(path, settings) as runtime:
        beside = Chunk(sequence=other, start=0, end=21, wants_logits=True)
        assert runtime.model.run([beside, Chunk(sequence=sequence, start=0, end=half // 2, wants_logits=False)])
        assert runtime.model.run([Chunk(sequence=sequence, start=half // 2, end=half, wants_logits=False)])
        for start in range(half, len(token_ids)):
            assert runtime.model.run([Chunk(sequence=sequence, start=start, end=start + 1, wants_logits=True)])
            rows.append(runtime.model.borrowed_logits(0).copy())
    return np.array(rows)


def expected_logits(path: Path, token_ids: list[int]) -> npt.NDArray[np.float32]:
    """Of the reference, behind the same tokens."""
    return ReferenceModel(path).logits(token_ids)[len(token_ids) // 2 :]


def quantised(path: Path, kind: int, architecture: Architecture = Architecture.LLAMA) -> Path:
    """A model file whose large tensors llama.cpp itself has quantised."""
    plain = write_gguf(path.with_suffix(".f32.gguf"), architecture, shape=SHAPE)
    params = C.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.pure = kind, 1, True
    with Library():
        assert C.llama_model_quantize(str(plain).encode(), str(path).encode(), params) == 0
    return path


@pytest.mark.parametrize("architecture", [Architecture.LLAMA, Architecture.QWEN2, Architecture.QWEN3])
def test_every_architecture_computes_what_the_mathematics_says(
    architecture: Architecture, model_file: ModelFiles
) -> None:
    path, token_ids = model_file(architecture), prompt(80)
    expected = expected_logits(path, token_ids)
    found = logits(path, token_ids)
    assert np.abs(found - expected).max() < 1e-4 * np.ptp(expected)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_keys_and_values_in_16_bits_cost_next_to_nothing(model_file: ModelFiles) -> None:
    path, token_ids = model_file(Architecture.QWEN2), prompt(80)
    expected = expected_logits(path, token_ids)
    found = logits(path, token_ids, replace(SETTINGS, kv_type=KvType.F16))
    assert np.abs(found - expected).max() < 2e-3 * np.ptp(expected)


@pytest.mark.parametrize("name", [*EXACT, *RECODED])
def test_every_quantisation_gives_what_its_dequantised_weights_give(name: str, tmp_path: Path) -> None:
    path = quantised(tmp_path / "model.gguf", (EXACT | RECODED)[name])
    assert name in {tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    token_ids = prompt(48)
    expected = expected_logits(path, token_ids)
    found = logits(path, token_ids)
    error = np.abs(found - expected).max() / np.ptp(expected)
    # Measured: 5e-7 where every weight is exact; 0.006 to 0.008 where it is the nearest of 255.
    assert error < (1e-5 if name in EXACT else 0.02)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("name", [name for name in EXACT if name.startswith("Q")])
def test_codes_scales_and_zero_points_are_the_files_own_weights(name: str, tmp_path: Path) -> None:
    from seekd.engine.openvino.weights import GroupedMatrix, WeightsFile

    path = quantised(tmp_path / "model.gguf", EXACT[name])
    tensor = next(one for one in gguf.GGUFReader(path).tensors if one.name == "blk.1.ffn_up.weight")
    with WeightsFile(read_model_file(path)) as weights:
        matrix = weights.matrix("blk.1.ffn_up.weight")
    assert isinstance(matrix, GroupedMatrix)
    codes = matrix.codes.astype(np.int16)
    if matrix.bits == 4:
        codes = np.stack([codes & 0xF, codes >> 4 & 0xF], axis=2).reshape(len(codes), -1)
        codes = np.where(codes > 7, codes - 16, codes) if matrix.zero_points is None else codes
    zero_points = np.float32(0) if matrix.zero_points is None else np.repeat(matrix.zero_points, matrix.group_size, 1)
    found = (codes - zero_points) * np.repeat(matrix.scales.astype(np.float32), matrix.group_size, 1)
    expected = dequantize(tensor.data, tensor.tensor_type)
    if matrix.zero_points is None:
        assert np.array_equal(found, expected)
    else:
        assert np.abs(found - expected).max() < 1e-6 * np.ptp(expected)


def test_a_group_of_equal_weights_is_that_weight(tmp_path: Path) -> None:
    """Q4_1 writes such a group as a scale of 0 and an offset."""
    from seekd.engine.openvino.weights import GroupedMatrix, WeightsFile

    path = quantised(tmp_path / "model.gguf", EXACT["Q4_1"])
    data = bytearray(path.read_bytes())
    offset = read_model_file(path).tensors["blk.1.ffn_up.weight"].offset
    data[offset : offset + 4] = np.array([0, -0.25], np.float16).tobytes()
    path.write_bytes(data)
    with WeightsFile(read_model_file(path)) as weights:
        matrix = weights.matrix("blk.1.ffn_up.weight")
    assert isinstance(matrix, GroupedMatrix)
    assert matrix.zero_points is not None
    assert (matrix.scales[0, 0], matrix.zero_points[0, 0]) == (-0.25, 0)
    assert (matrix.codes[0, :16] == 0x11).all()


def test_rope_factors_of_the_file_are_applied(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", Architecture.LLAMA, rope_factors=[1.0, 1.0, 2.0, 8.0] * 4)
    token_ids = prompt(80)
    expected = expected_logits(path, token_ids)
    assert np.abs(logits(path, token_ids) - expected).max() < 1e-4 * np.ptp(expected)


def test_what_these_kernels_cannot_compute_is_refused_in_a_sentence(model_file: ModelFiles, tmp_path: Path) -> None:
    def refusal(path: Path, settings: EngineSettings = SETTINGS) -> str:
        with pytest.raises(ConfigError) as raised, open_runtime(path, settings):
            pass
        return raised.value.message

    assert "architecture deepseek2" in refusal(model_file(Architecture.DEEPSEEK2))
    assert 'engine.kv_type is "q8_0"' in refusal(model_file(Architecture.LLAMA), replace(SETTINGS, kv_type=KvType.Q8_0))
    damaged = tmp_path / "damaged.gguf"
    whole = model_file(Architecture.LLAMA).read_bytes()
    kv_heads = b"llama.attention.head_count_kv" + (4).to_bytes(4, "little")  # the value's type, and then the value
    at = whole.index(kv_heads) + len(kv_heads)
    damaged.write_bytes(whole[:at] + (3).to_bytes(4, "little") + whole[at + 4 :])
    assert "do not fit together" in refusal(damaged)
    with_sinks = write_gguf(tmp_path / "sinks.gguf", Architecture.QWEN2, extra_tensor="blk.0.attn_sinks.weight")
    assert "nothing here uses its tensor blk.0.attn_sinks.weight" in refusal(with_sinks)
    assert "IQ4_NL" in refusal(quantised(tmp_path / "model.gguf", 25))
    (tmp_path / "none.gguf").write_text("not a model")
    assert "not a GGUF file" in refusal(tmp_path / "none.gguf")


def logits_with(path: Path, weights_dir: Path) -> npt.NDArray[np.float32]:
    with open_runtime(path, SETTINGS, weights_dir=weights_dir) as runtime:
        assert runtime.model.run([Chunk(sequence=in_slot(0, prompt(50)), start=0, end=50, wants_logits=True)])
        return runtime.model.borrowed_logits(0).copy()


def test_weights_are_unpacked_once_and_compute_the_same_from_the_disk(tmp_path: Path) -> None:
    path, weights_dir = quantised(tmp_path / "model.gguf", EXACT["Q4_K"]), tmp_path / "weights"
    first = logits_with(path, weights_dir)
    written = {found.name: found.stat().st_mtime_ns for found in weights_dir.iterdir()}
    assert {Path(name).suffix for name in written} == {".json", ".bin"}
    assert np.array_equal(logits_with(path, weights_dir), first)
    assert {found.name: found.stat().st_mtime_ns for found in weights_dir.iterdir()} == written


@pytest.mark.parametrize("name", ["F16", "BF16", "Q4_0"])
def test_saved_weights_of_every_form_compute_the_same(name: str, tmp_path: Path) -> None:
    path, weights_dir = quantised(tmp_path / "model.gguf", EXACT[name]), tmp_path / "weights"
    assert np.array_equal(logits_with(path, weights_dir), logits_with(path, weights_dir))


def test_saved_weights_are_read_and_not_unpacked_again(tmp_path: Path) -> None:
    path, weights_dir = write_gguf(tmp_path / "model.gguf", Architecture.QWEN2), tmp_path / "weights"
    first = logits_with(path, weights_dir)
    saved = next(weights_dir.glob("*.bin"))
    saved.write_bytes(bytes(saved.stat().st_size))  # weights of 0
    assert not np.array_equal(logits_with(path, weights_dir), first)


def test_a_file_that_was_written_anew_is_unpacked_anew_and_the_old_weights_go(tmp_path: Path) -> None:
    path, weights_dir = tmp_path / "model.gguf", tmp_path / "weights"
    write_gguf(path, Architecture.QWEN2, seed=1)
    first = logits_with(path, weights_dir)
    write_gguf(path, Architecture.QWEN2, seed=2)
    os.utime(path, ns=(10**18, 10**18))
    assert not np.array_equal(logits_with(path, weights_dir), first)
    assert len(list(weights_dir.iterdir())) == 2


def test_saved_weights_that_cannot_be_read_are_unpacked_again(tmp_path: Path) -> None:
    path, weights_dir = write_gguf(tmp_path / "model.gguf", Architecture.QWEN2), tmp_path / "weights"
    first = logits_with(path, weights_dir)
    next(weights_dir.glob("*.json")).write_text("{")
    assert np.array_equal(logits_with(path, weights_dir), first)
    saved = next(weights_dir.glob("*.bin"))
    saved.write_bytes(saved.read_bytes()[:1000])
    assert np.array_equal(logits_with(path, weights_dir), first)


def test_weights_that_cannot_be_kept_are_served_all_the_same(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", Architecture.QWEN2)
    (tmp_path / "weights").write_text("a file where the directory should be")
    assert np.array_equal(logits_with(path, tmp_path / "weights"), logits_with(path, tmp_path / "others"))
