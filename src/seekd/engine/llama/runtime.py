"""A model file made ready to compute: sized to the machine, with its kind of memory found out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.llama.apart import NUM_SLOTS, ApartMemory, ApartModel
from seekd.engine.llama.batch import Batch
from seekd.engine.llama.binding import Library, build_info
from seekd.engine.llama.context import Context, ContextSettings, DecodeStatus
from seekd.engine.llama.devices import list_gpus
from seekd.engine.llama.memory import LlamaMemory
from seekd.engine.llama.model import Model
from seekd.engine.llama.model_file import read_model_file
from seekd.engine.llama.sizing import gpu_layers, parts, plan_memory, weights_bytes
from seekd.engine.llama.vocabulary import LlamaVocabulary
from seekd.engine.runtime import Runtime, binding_of, fingerprint
from seekd.engine.schedule.plan import Chunk
from seekd.engine.settings import EngineSettings, default_threads
from seekd.engine.types import MemoryPlan, ModelInfo
from seekd.errors import ConfigError, EngineError

_log = logging.getLogger(__name__)

_SMALL_MODEL_BYTES = 256 << 20
_SHORT_PROBE_TOKENS = 8


class LlamaModel:
    """Computes the scheduler's chunks. Implements `core.Model`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._batch = Batch(context.settings.batch_tokens)
        self._indices: list[int] = []

    def run(self, chunks: Sequence[Chunk]) -> bool:
        """Compute the chunks as one batch; see `core.Model`."""
        self._batch.clear()
        self._indices = []
        for chunk in chunks:
            slot = chunk.sequence.slot
            assert slot is not None, "only sequences with a slot are planned"
            token_ids = chunk.sequence.token_ids[chunk.start : chunk.end]
            self._indices.append(
                self._batch.add(token_ids, start=chunk.start, slot=slot, wants_logits=chunk.wants_logits)
            )
        return self._context.decode(self._batch) is DecodeStatus.DONE

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits behind chunk `index`, valid until the next batch."""
        return self._context.borrowed_logits(self._indices[index])


@contextmanager
def open_runtime(path: Path, settings: EngineSettings) -> Iterator[Runtime]:
    """Load a model and open a context on it. May abort the process on a malformed file.

    Raises:
        ConfigError: the file cannot be used, or the settings do not fit it or the machine.
    """
    with ExitStack() as stack:
        stack.enter_context(Library())
        file = read_model_file(path)
        plan = plan_memory(file, settings)
        num_gpu_layers = gpu_layers(file, settings, gpu_bytes=sum(gpu.free_bytes for gpu in list_gpus()))
        model = stack.enter_context(Model(path, num_gpu_layers=num_gpu_layers))
        if not model.has_decoder:
            raise ConfigError(f"The model file {path} holds no model that generates text.")
        size_bytes = weights_bytes(model.file)
        threads = settings.threads if settings.threads is not None else default_threads(size_bytes)
        context_settings = _context_settings(settings, plan, threads=threads)
        num_contexts = settings.max_sequences if settings.deterministic else 1
        contexts = [stack.enter_context(Context(model, context_settings)) for _ in range(num_contexts)]
        context = contexts[0]
        num_cells = sum(context.num_cells for context in contexts)
        vocabulary = LlamaVocabulary(model)
        stack.callback(vocabulary.close)  # constraints are compiled in a thread
        metadata = model.metadata()
        files = parts(model.file)
        info = ModelInfo(
            name=metadata.get("general.name") or path.stem,
            architecture=model.file.architecture,
            context_length=plan.context_length,
            vocab_size=model.vocab_size,
            size_bytes=size_bytes,
            metadata=metadata,
            fingerprint=fingerprint(files, f"{settings.kv_type} {build_info()}{_mode(settings, threads)}"),
        )
        is_small = size_bytes <= _SMALL_MODEL_BYTES
        is_cuttable = find_cuttable(context, vocabulary, num_tokens=BLOCK_SIZE if is_small else _SHORT_PROBE_TOKENS)
        _log.info(
            "model loaded",
            extra={
                "action": "model_loaded",
                "model": info.name,
                "architecture": info.architecture,
                "context_length": info.context_length,
                "kv_tokens": num_cells,
                "kv_type": str(settings.kv_type),
                "max_sequences": settings.max_sequences,
                "threads": threads,
                "gpu_layers": num_gpu_layers,
                "cache_unit": "block" if is_cuttable else "snapshot",
                "deterministic": settings.deterministic,
            },
        )
        kept_apart = settings.deterministic
        yield Runtime(
            info=info,
            vocabulary=vocabulary,
            memory=(
                ApartMemory(contexts, is_cuttable=is_cuttable)
                if kept_apart
                else LlamaMemory(context, is_cuttable=is_cuttable)
            ),
            model=ApartModel(contexts) if kept_apart else LlamaModel(context),
            num_cells=num_cells,
            binding=binding_of(info, files),
        )


def _context_settings(settings: EngineSettings, plan: MemoryPlan, *, threads: int) -> ContextSettings:
    """Of the context of all slots, or of each slot's own."""
    if settings.deterministic:
        num_cells, num_slots, batch_tokens = plan.num_cells // settings.max_sequences, NUM_SLOTS, BLOCK_SIZE
    else:
        num_cells, num_slots = plan.num_cells, settings.max_sequences + 1  # and the scratch slot
        batch_tokens = settings.batch_tokens
    return ContextSettings(
        num_cells=num_cells, num_slots=num_slots, batch_tokens=batch_tokens, threads=threads, kv_type=settings.kv_type
    )


def _mode(settings: EngineSettings, threads: int) -> str:
    """What tells a deterministic engine's numbers from others; attention is split between threads."""
    return f" deterministic, {threads} threads" if settings.deterministic else ""


def find_cuttable(context: Context, vocabulary: LlamaVocabulary, *, num_tokens: int = BLOCK_SIZE) -> bool:
    """Find out whether the context's memory can be cut into blocks; leaves it empty.

    A recurrent state cannot drop its last tokens, which is seen at once. Otherwise a block is cut out, everything is
    cleared, the block is put back, and the logits that follow must be those of the uncut memory. Both are computed in
    batches of one shape: another shape moves the logits of some models by more than 2 % of their range
    (SmolLM2-135M Q4_1 with AVX512-VNNI).

    Args:
        context: empty.
        vocabulary: of its model.
        num_tokens: of the block. It and four more are computed, which takes a minute with the largest models.
    """
    usable = (i for i in itertools.cycle(range(vocabulary.size)) if i not in vocabulary.end_token_ids)
    token_ids = list(itertools.islice(usable, num_tokens + 2))
    probe = _Probe(context)
    memory = LlamaMemory(context, is_cuttable=True)
    try:
        probe.logits(token_ids[:num_tokens], start=0)
        expected = probe.logits(token_ids[num_tokens:], start=num_tokens)
        if not context.remove(0, num_tokens + 1):
            return False
        payload = memory.save(0, 0, num_tokens)
        context.clear()
        if not memory.restore(0, 0, num_tokens, payload):
            return False
        found = probe.logits(token_ids[num_tokens:], start=num_tokens)
        return bool(np.abs(found - expected).max() <= 0.02 * max(1.0, float(np.ptp(expected))))
    except EngineError:
        return False
    finally:
        context.clear()


class _Probe:
    """Runs a few tokens through slot 0."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._batch = Batch(context.settings.batch_tokens)

    def logits(self, token_ids: Sequence[int], *, start: int) -> npt.NDArray[np.float32]:
        """The logits behind the last token; a copy."""
        index = 0
        for offset in range(0, len(token_ids), self._batch.capacity):
            part = token_ids[offset : offset + self._batch.capacity]
            self._batch.clear()
            index = self._batch.add(part, start=start + offset, slot=0, wants_logits=True)
            if self._context.decode(self._batch) is not DecodeStatus.DONE:
                raise EngineError("The model's memory has no room for a block.")
        return self._context.borrowed_logits(index).copy()
