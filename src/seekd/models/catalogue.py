"""Models of DeepSeek's families that are known to exist as GGUF files.

Facts only: repositories, file names and sizes as the hub's own pages list them (read in November 2026),
contexts and licences as the models' cards state them, bytes of keys and values from the shapes in the original
configurations. What could not be read is left out. Sizes are for choosing; `pull` asks the hub for the exact ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from seekd.errors import ConfigError
from seekd.models.names import HubFile, suggestion

_GB = 1000**3
_MIT_QWEN = "MIT; base model Apache-2.0"
_MIT_LLAMA_31 = "MIT; base model Llama 3.1 Community"
_MIT_LLAMA_33 = "MIT; base model Llama 3.3 Community"
_DEEPSEEK = "DeepSeek Model License"

OVERHEAD_BYTES = 512 << 20
"""For the process itself and llama.cpp's buffers."""

USUAL_CONTEXT = 8192
"""Tokens of the context that a memory need is stated for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One model file, or the parts of one.

    Attributes:
        name: what the user writes.
        source: where it lies.
        parameters: total, and active ones where they differ.
        quantization: of the weights.
        size_bytes: of all parts, as the hub rounds it.
        context_length: tokens, as the model's card says.
        kv_bytes_per_token: of keys and values in 16 bits, in the layout of this file.
        licence: of the weights.
    """

    name: str
    source: HubFile
    parameters: str
    quantization: str
    size_bytes: int
    context_length: int
    kv_bytes_per_token: int
    licence: str

    @property
    def memory_bytes(self) -> int:
        """What it needs to run with one conversation of `USUAL_CONTEXT` tokens."""
        return self.size_bytes + self.kv_bytes_per_token * USUAL_CONTEXT + OVERHEAD_BYTES


def find_entry(name: str) -> CatalogueEntry | None:
    """The entry of that name; None when there is none."""
    return next((entry for entry in CATALOGUE if entry.name == name), None)


def entry_named(name: str) -> CatalogueEntry:
    """The entry of that name. Raises `ConfigError` when there is none."""
    entry = find_entry(name)
    if entry is None:
        close = suggestion(name, (entry.name for entry in CATALOGUE)) or "; `seekd models list` shows the known ones."
        raise ConfigError(f"The catalogue has no model {name}{close}")
    return entry


def _entry(
    name: str,
    repo: str,
    path: str,
    *,
    parameters: str,
    size_gb: float,
    kv_bytes: int,
    licence: str,
    quantization: str = "Q4_K_M",
    context_length: int = 131072,
) -> CatalogueEntry:
    return CatalogueEntry(
        name=name,
        source=HubFile(repo=repo, path=path),
        parameters=parameters,
        quantization=quantization,
        size_bytes=int(size_gb * _GB),
        context_length=context_length,
        kv_bytes_per_token=kv_bytes,
        licence=licence,
    )


CATALOGUE: tuple[CatalogueEntry, ...] = (
    _entry(
        "deepseek-r1-distill-qwen-1.5b",
        "unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF",
        "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
        parameters="1.5B",
        size_gb=1.12,
        kv_bytes=28 * 2 * 256 * 2,  # layers, heads of keys and values, key and value width, bytes
        licence=_MIT_QWEN,
    ),
    _entry(
        "deepseek-r1-distill-qwen-7b",
        "unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF",
        "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf",
        parameters="7B",
        size_gb=4.68,
        kv_bytes=28 * 4 * 256 * 2,
        licence=_MIT_QWEN,
    ),
    _entry(
        "deepseek-r1-distill-llama-8b",
        "unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF",
        "DeepSeek-R1-Distill-Llama-8B-Q4_K_M.gguf",
        parameters="8B",
        size_gb=4.92,
        kv_bytes=32 * 8 * 256 * 2,
        licence=_MIT_LLAMA_31,
    ),
    _entry(
        "deepseek-r1-0528-qwen3-8b",
        "unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF",
        "DeepSeek-R1-0528-Qwen3-8B-Q4_K_M.gguf",
        parameters="8B",
        size_gb=5.03,
        kv_bytes=36 * 8 * 256 * 2,
        licence=_MIT_QWEN,
    ),
    _entry(
        "deepseek-r1-distill-qwen-14b",
        "second-state/DeepSeek-R1-Distill-Qwen-14B-GGUF",
        "DeepSeek-R1-Distill-Qwen-14B-Q4_K_M.gguf",
        parameters="14B",
        size_gb=8.99,
        kv_bytes=48 * 8 * 256 * 2,
        licence=_MIT_QWEN,
    ),
    _entry(
        "deepseek-v2-lite-chat",
        "mradermacher/DeepSeek-V2-Lite-Chat-GGUF",
        "DeepSeek-V2-Lite-Chat.Q4_K_S.gguf",
        parameters="16B, 2.4B active",
        size_gb=9.53,
        kv_bytes=27 * 16 * (192 + 128) * 2,  # files of 2024 keep keys and values uncompressed
        licence=_DEEPSEEK,
        quantization="Q4_K_S",
        context_length=32768,
    ),
    _entry(
        "deepseek-coder-v2-lite",
        "lmstudio-community/DeepSeek-Coder-V2-Lite-Instruct-GGUF",
        "DeepSeek-Coder-V2-Lite-Instruct-Q4_K_M.gguf",
        parameters="16B, 2.4B active",
        size_gb=10.4,
        kv_bytes=27 * 16 * (192 + 128) * 2,
        licence=_DEEPSEEK,
    ),
    _entry(
        "deepseek-r1-distill-qwen-32b",
        "unsloth/DeepSeek-R1-Distill-Qwen-32B-GGUF",
        "DeepSeek-R1-Distill-Qwen-32B-Q4_K_M.gguf",
        parameters="32B",
        size_gb=19.9,
        kv_bytes=64 * 8 * 256 * 2,
        licence=_MIT_QWEN,
    ),
    _entry(
        "deepseek-r1-distill-llama-70b",
        "unsloth/DeepSeek-R1-Distill-Llama-70B-GGUF",
        "DeepSeek-R1-Distill-Llama-70B-Q4_K_M.gguf",
        parameters="70B",
        size_gb=42.5,
        kv_bytes=80 * 8 * 256 * 2,
        licence=_MIT_LLAMA_33,
    ),
    _entry(
        "deepseek-r1",
        "unsloth/DeepSeek-R1-GGUF",
        "DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf",
        parameters="671B, 37B active",
        size_gb=226.6,
        kv_bytes=61 * 128 * (192 + 128) * 2,  # files of January 2025 keep keys and values uncompressed
        licence="MIT",
        quantization="UD-Q2_K_XL",
    ),
    _entry(
        "deepseek-v3.1",
        "unsloth/DeepSeek-V3.1-GGUF",
        "UD-Q2_K_XL/DeepSeek-V3.1-UD-Q2_K_XL-00001-of-00006.gguf",
        parameters="671B, 37B active",
        size_gb=255.8,
        kv_bytes=61 * (512 + 64) * 2,
        licence="MIT",
        quantization="UD-Q2_K_XL",
    ),
)
