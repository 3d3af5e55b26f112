"""A model file made ready to compute on OpenVINO's kernels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.engine.llama.vocabulary import open_vocabulary
from seekd.engine.openvino.binding import ov
from seekd.engine.openvino.graph import build_graph
from seekd.engine.openvino.memory import KV_BLOCK_TOKENS, PagedMemory, Pages
from seekd.engine.openvino.shape import ModelShape, read_shape
from seekd.engine.openvino.sizing import plan_memory
from seekd.engine.openvino.weights import READER_VERSION, Matrix, WeightsFile
from seekd.engine.openvino.weights_store import WeightsStore
from seekd.engine.runtime import Runtime, binding_of, fingerprint
from seekd.engine.schedule.plan import Chunk
from seekd.engine.settings import EngineSettings, KvType, default_threads
from seekd.engine.types import ModelInfo
from seekd.errors import ConfigError, EngineError

_log = logging.getLogger(__name__)

_DEVICE = "CPU"
_KV_DTYPES: dict[KvType, type[np.float16] | type[np.float32]] = {KvType.F16: np.float16, KvType.F32: np.float32}
_SPARE_BLOCKS_PER_SLOT = 2  # the open end of a slot, and the copy of one that it shares


class OpenVinoModel:
    """Computes the scheduler's chunks. Implements `core.Model`. Used by one thread.

    Args:
        compiled: of the graph of `graph.py`.
        memory: whose block tables the batches use.
        pages: of that memory.
    """

    def __init__(self, compiled: ov.CompiledModel, memory: PagedMemory, pages: Pages) -> None:
        self._memory = memory
        self._request = compiled.create_infer_request()
        self._rows: dict[int, int] = {}
        for layer, (keys, values) in enumerate(pages):
            self._request.set_tensor(f"key_cache.{layer}", ov.Tensor(keys, shared_memory=True))
            self._request.set_tensor(f"value_cache.{layer}", ov.Tensor(values, shared_memory=True))

    def run(self, chunks: Sequence[Chunk]) -> bool:
        """Compute the chunks as one batch; see `core.Model`."""
        ends = [(_slot(chunk), chunk.end) for chunk in chunks]
        missing = sum(self._memory.num_missing_blocks(slot, end) for slot, end in ends)
        if missing > self._memory.num_free_blocks:
            return False
        for slot, end in ends:
            self._memory.reserve(slot, end)
        try:
            self._request.infer(self._inputs(chunks))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed to compute a step: {error}") from error
        return True

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits behind chunk `index`, valid until the next batch."""
        logits: npt.NDArray[np.float32] = self._request.get_output_tensor(0).data[self._rows[index]]
        return logits

    def _inputs(self, chunks: Sequence[Chunk]) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.int32]]:
        tables = [self._memory.table(_slot(chunk))[: -(-chunk.end // KV_BLOCK_TOKENS)] for chunk in chunks]
        begins = _begins([chunk.num_tokens for chunk in chunks])
        wanted = [index for index, chunk in enumerate(chunks) if chunk.wants_logits]
        self._rows = {index: row for row, index in enumerate(wanted)}
        token_ids = [token_id for chunk in chunks for token_id in chunk.sequence.token_ids[chunk.start : chunk.end]]
        return {
            "token_ids": np.array(token_ids, np.int64),
            "positions": np.concatenate([np.arange(chunk.start, chunk.end, dtype=np.int64) for chunk in chunks]),
            # A batch of prompts' first parts wants none; the kernels want one row at least.
            "last_indices": (begins[1:][wanted] - 1 if wanted else np.zeros(1)).astype(np.int64),
            "past_lens": np.array([chunk.start for chunk in chunks], np.int32),
            "subsequence_begins": begins,
            "block_indices": np.array([block for table in tables for block in table], np.int32),
            "block_indices_begins": _begins([len(table) for table in tables]),
            "max_context_len": np.array(max(chunk.end for chunk in chunks), np.int32),
        }


@contextmanager
def open_runtime(path: Path, settings: EngineSettings, *, weights_dir: Path | None) -> Iterator[Runtime]:
    """Load a model, compile its graph, and allocate the memory of its sequences.

    Args:
        path: of the file.
        settings: of the engine.
        weights_dir: where unpacked weights are kept from one start to the next; None keeps none.

    Raises:
        ConfigError: the file cannot be used, or the settings do not fit it or the machine.
    """
    with ExitStack() as stack:
        file = read_model_file(path)
        plan = plan_memory(file, settings)
        shape = read_shape(file)
        threads = settings.threads if settings.threads is not None else default_threads(file.size_bytes)
        graph, borrowed = _build(file, shape, weights_dir)
        compiled = _compile(graph, path, settings, threads=threads)
        num_blocks = plan.num_cells // KV_BLOCK_TOKENS + _SPARE_BLOCKS_PER_SLOT * settings.max_sequences
        pages: Pages = np.zeros(
            (shape.num_layers, 2, num_blocks, shape.num_kv_heads, KV_BLOCK_TOKENS, shape.head_size),
            dtype=_KV_DTYPES[settings.kv_type],
        )
        memory = PagedMemory(pages, num_slots=settings.max_sequences)
        vocabulary = stack.enter_context(open_vocabulary(path))
        info = ModelInfo(
            name=str(file.metadata.get("general.name") or path.stem),
            architecture=file.architecture,
            context_length=plan.context_length,
            vocab_size=vocabulary.size,
            size_bytes=file.size_bytes,
            metadata=file.printed_metadata,
            fingerprint=fingerprint([path], f"{settings.kv_type} {_build_info()}"),
        )
        _log.info(
            "model loaded",
            extra={
                "action": "model_loaded",
                "model": info.name,
                "architecture": info.architecture,
                "context_length": info.context_length,
                "kv_tokens": plan.num_cells,
                "kv_type": str(settings.kv_type),
                "max_sequences": settings.max_sequences,
                "threads": threads,
                "kernels": "openvino",
            },
        )
        stack.callback(borrowed.clear)  # not before the compiled graph is done with
        yield Runtime(
            info=info,
            vocabulary=vocabulary,
            memory=memory,
            model=OpenVinoModel(compiled, memory, pages),
            num_cells=plan.num_cells,
            binding=binding_of(info, [path]),
        )


def _build(file: ModelFile, shape: ModelShape, weights_dir: Path | None) -> tuple[ov.Model, dict[str, Matrix]]:
    """The graph of a file, and the matrices that it borrows: saved ones, or new ones, which are then saved."""
    store = None if weights_dir is None else WeightsStore(weights_dir, file)
    unpacked = None if store is None else store.load()
    with WeightsFile(file, unpacked) as weights:
        try:
            graph = build_graph(weights, shape)
        except (RuntimeError, IndexError) as error:  # of OpenVINO, which checks shapes, and of rows that are not there
            raise ConfigError(f"The model file {file.path} is damaged: its tensors do not fit together.") from error
        if weights.unread:  # some variant of the architecture, whose answers would be silently wrong
            raise ConfigError(
                f"OpenVINO's kernels cannot compute {file.path}: nothing here uses its tensor {weights.unread[0]}."
                ' Serve it with engine.kernels = "llama".'
            )
    if store is not None and unpacked is None:
        store.save(weights.matrices)
    return graph, weights.matrices


def _compile(graph: ov.Model, path: Path, settings: EngineSettings, *, threads: int) -> ov.CompiledModel:
    try:
        return ov.Core().compile_model(graph, _DEVICE, _compile_options(settings, threads=threads))
    except RuntimeError as error:
        raise ConfigError(
            f'OpenVINO cannot compile {path} for this processor: {error}. Serve it with engine.kernels = "llama".'
        ) from error


def _compile_options(settings: EngineSettings, *, threads: int) -> dict[str, str | int | bool]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # two engines would be pinned to the same processors
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # states stay as they are: see docs/decisions/openvino.md
        "KV_CACHE_PRECISION": str(settings.kv_type),
    }


def _build_info() -> str:
    """What could change a computed number: what is computed here, OpenVINO's build and the processor."""
    core = ov.Core()
    capabilities = " ".join(sorted(core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")))
    processor = core.get_property(_DEVICE, "FULL_DEVICE_NAME")
    return f"reader {READER_VERSION}; openvino {ov.__version__}; {processor}; {capabilities}"


def _slot(chunk: Chunk) -> int:
    slot = chunk.sequence.slot
    assert slot is not None, "only sequences with a slot are planned"
    return slot


def _begins(lengths: Sequence[int]) -> npt.NDArray[np.int32]:
    return np.cumsum([0, *lengths]).astype(np.int32)
