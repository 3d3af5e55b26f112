"""Counters and histograms for Prometheus, under the field's usual names.

Room: service. May import: engine and below.

Request histograms are observed when a generation ends; engine numbers are read from the engine's latest report when
somebody scrapes. Each server has a registry of its own: nothing is registered on import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from seekd.engine.messages import Stats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_TOKEN_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_TOKEN_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_TOTAL_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What this server has done.

    Args:
        engine_stats: the engine's latest report; None while the engine gives none.
        num_restarts: how often the engine was started again after it died.
        queue_s: how long a recent request waited for its slot; None when it is not known.
    """

    def __init__(
        self,
        *,
        engine_stats: Callable[[], Stats | None],
        num_restarts: Callable[[], int] = lambda: 0,
        queue_s: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        self._queue_s = queue_s
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "seekd_request", "Generations, by how they ended.", ("finished_reason",), registry=self._registry
        )
        self._first_token = Histogram(
            "seekd_time_to_first_token_seconds",
            "From the request's admission to its first token.",
            buckets=_FIRST_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._queue = Histogram(
            "seekd_request_queue_time_seconds",
            "From the request's arrival at the engine to its slot.",
            buckets=_FIRST_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._per_token = Histogram(
            "seekd_time_per_output_token_seconds",
            "Between two tokens of one completion, on average.",
            buckets=_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._total = Histogram(
            "seekd_e2e_request_latency_seconds",
            "From the request's admission to its end.",
            buckets=_TOTAL_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_EngineCollector(engine_stats, num_restarts))

    def observe(
        self, *, request_id: str, finish: str, first_token_s: float | None, total_s: float, num_completion_tokens: int
    ) -> None:
        """Take note of one generation that has ended.

        Args:
            request_id: as the engine knows it.
            finish: what ended it.
            first_token_s: from admission to the first token; None when there was none.
            total_s: from admission to the end.
            num_completion_tokens: generated and delivered.
        """
        self._requests.labels(finish).inc()
        self._total.observe(total_s)
        queued_s = self._queue_s(request_id)
        if queued_s is not None:
            self._queue.observe(queued_s)
        if first_token_s is not None:
            self._first_token.observe(first_token_s)
            if num_completion_tokens > 1:
                self._per_token.observe((total_s - first_token_s) / (num_completion_tokens - 1))

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _EngineCollector:
    # Read at each scrape, so that nothing has to be copied in between.

    def __init__(self, stats: Callable[[], Stats | None], num_restarts: Callable[[], int]) -> None:
        self._stats = stats
        self._num_restarts = num_restarts

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        yield _counter("seekd_engine_restarts", "Times that the engine was started again.", self._num_restarts())
        if stats is None:
            return
        yield _gauge("seekd_num_requests_running", "Sequences that have a slot.", stats.num_running)
        yield _gauge("seekd_num_requests_waiting", "Sequences that wait for a slot.", stats.num_waiting)
        usage = stats.num_cells_used / stats.num_cells if stats.num_cells else 0.0
        yield _gauge("seekd_kv_cache_usage_ratio", "Used part of the memory of running sequences, 0 to 1.", usage)
        yield _counter("seekd_prompt_tokens", "Prompt tokens that were computed.", stats.num_prompt_tokens)
        yield _counter("seekd_generation_tokens", "Generated tokens.", stats.num_generation_tokens)
        yield _counter("seekd_forced_tokens", "Generated tokens without a choice.", stats.num_forced_tokens)
        hits = CounterMetricFamily(
            "seekd_prefix_cache_hit_tokens",
            "Prompt tokens that were not computed, by where they were.",
            labels=["tier"],
        )
        hits.add_metric(["running"], stats.num_cached_slot_tokens)
        hits.add_metric(["ram"], stats.num_cached_ram_tokens)
        hits.add_metric(["disk"], stats.num_cached_disk_tokens)
        yield hits
        held = GaugeMetricFamily("seekd_prefix_cache_bytes", "Held by the prefix cache.", labels=["tier"])
        held.add_metric(["ram"], stats.ram_bytes)
        held.add_metric(["disk"], stats.disk_bytes)
        yield held
        yield _counter(
            "seekd_prefix_cache_dropped_blocks", "Blocks that the disk was too slow for.", stats.num_disk_dropped
        )
        yield _counter("seekd_num_preemptions", "Sequences that lost their slot for a while.", stats.num_preemptions)
        yield _counter("seekd_engine_steps", "Steps of the engine.", stats.num_steps)
        yield _counter("seekd_engine_step_seconds", "Time in steps.", stats.step_s)
        yield _counter("seekd_engine_model_seconds", "Time in steps inside llama.cpp.", stats.model_s)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)
