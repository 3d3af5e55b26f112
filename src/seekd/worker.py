"""The engine process: loads one model and serves it over a socket.

Composition root of `python -m seekd.worker`, which `engine.process` starts. It imports no HTTP and no SQL, and the
matchers of output constraints only when a request needs them.

The process ends when it is told to, when its socket closes (the parent has died, even by SIGKILL), or when the
model fails; SIGINT and SIGTERM are left to the parent, which a terminal or a service manager signals along with it and
which must be able to finish its streams first.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from pathlib import Path

from seekd.engine.cache.block_store import BlockStore, open_block_store
from seekd.engine.cache.prefix_cache import BlockPrefixCache, NullPrefixCache, PrefixCache, WholeBlockPrefixCache
from seekd.engine.cache.snapshot_cache import SnapshotPrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.kernels import open_runtime
from seekd.engine.link.messages import REFUSED_STATUS, Loaded, WorkerJob, refusal
from seekd.engine.link.serving import Connection, receive_job, serve
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.settings import EngineSettings, default_cache_disk, default_cache_ram
from seekd.engine.types import Constraint, ConstraintFactory
from seekd.errors import ConfigError
from seekd.log import EngineFormatter
from seekd.vocabulary import Vocabulary

_log = logging.getLogger(__name__)


def main() -> int:
    """Serve the parent on the socket that is standard input; the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = socket.socket(fileno=sys.stdin.fileno())
    job = receive_job(parent)
    handler = logging.StreamHandler(sys.stderr)  # the parent reads it line by line
    handler.setFormatter(EngineFormatter())
    logging.basicConfig(level=job.log_level.upper(), handlers=[handler])
    with Connection(parent) as connection:
        try:
            _run(job, connection)
        except ConfigError as error:
            connection.send(refusal(None, error))
            return REFUSED_STATUS
        except Exception:
            # The supervisor starts another one; the reason must be in the log that it reads.
            _log.exception("the engine failed", extra={"action": "engine_failed"})
            return 1
    return 0


def _run(job: WorkerJob, connection: Connection) -> None:
    settings = job.settings
    weights_dir = None if job.cache_dir is None else Path(job.cache_dir) / "weights"
    with (
        open_runtime(Path(job.model_path), settings, weights_dir=weights_dir) as runtime,
        _open_store(job, runtime) as store,
    ):
        cache = _make_cache(store, runtime, settings)
        limits = SchedulerLimits(
            max_sequences=settings.max_sequences,
            num_cells=runtime.num_cells,
            context_length=runtime.info.context_length,
            batch_tokens=settings.batch_tokens,
            chunk_tokens=settings.chunk_tokens,
            queue_limit=settings.queue_limit,
            is_canonical=settings.deterministic,
        )
        core = EngineCore(
            scheduler=Scheduler(limits, cache),
            cache=cache,
            memory=runtime.memory,
            model=runtime.model,
            vocabulary=runtime.vocabulary,
            build_constraint=_LazyConstraints(),
            clock=time.monotonic,
            store=store,
            share_prefix_cache=settings.share_prefix_cache,
        )
        connection.send(Loaded(runtime.info))
        serve(core, connection, clock=time.monotonic)


def _open_store(job: WorkerJob, runtime: Runtime) -> BlockStore:
    settings = job.settings
    root = None if job.cache_dir is None else Path(job.cache_dir)
    disk_bytes = 0
    if root is not None:
        disk_bytes = default_cache_disk(root) if settings.cache_disk is None else settings.cache_disk
    return open_block_store(
        ram_budget_bytes=default_cache_ram() if settings.cache_ram is None else settings.cache_ram,
        disk_budget_bytes=disk_bytes,
        root=root,
        binding=runtime.binding,
    )


def _make_cache(store: BlockStore, runtime: Runtime, settings: EngineSettings) -> PrefixCache:
    """The cache that the model's memory allows; with both tiers off nothing is shared at all.

    Snapshots are taken behind answers too, which are not computed in the chunks of a prompt: a deterministic engine has
    no use for them.
    """
    stats = store.stats()
    if not stats.ram_budget_bytes and stats.disk is None:
        return NullPrefixCache()
    if settings.deterministic:
        return WholeBlockPrefixCache(store) if runtime.memory.is_cuttable else NullPrefixCache()
    return BlockPrefixCache(store) if runtime.memory.is_cuttable else SnapshotPrefixCache(store)


class _LazyConstraints:
    """Imports the matchers at the first constraint: most requests have none."""

    def __init__(self) -> None:
        self._compile: ConstraintFactory | None = None

    def __call__(self, grammar: str, vocabulary: Vocabulary) -> Constraint:
        """Compile a grammar."""
        if self._compile is None:
            from seekd.constrain.matcher import ConstraintCompiler

            self._compile = ConstraintCompiler()
        return self._compile(grammar, vocabulary)


if __name__ == "__main__":
    sys.exit(main())
