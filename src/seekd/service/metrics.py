"""Counters and histograms for Prometheus, under the field's usual names.

Request histograms are observed when a generation ends; engine numbers are read from the engine's latest report when
somebody scrapes. Each server has a registry of its own: nothing is registered on import.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from seekd.accounts.types import Outcome
from seekd.engine.types import Engine, EngineStats

_log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_TOKEN_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_TOKEN_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_TOTAL_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedGeneration:
    """What became of one generation.

    Attributes:
        model: that answered, as in the engines of `Metrics`.
        served_model: the name that it was asked for by.
        request_id: as the engine knows it.
        outcome: what ended it.
        num_prompt_tokens: tokens of the prompt.
        num_cached_tokens: of these, not computed.
        num_completion_tokens: generated and delivered.
        queue_s: waited for a slot of the engine; None where the engine does not say.
        first_token_s: from admission to the first token; None when there was none.
        settle_s: spent on the books at the end.
        total_s: from admission to the end.
    """

    model: str
    served_model: str
    request_id: str
    outcome: Outcome
    num_prompt_tokens: int
    num_cached_tokens: int
    num_completion_tokens: int
    queue_s: float | None = None
    first_token_s: float | None = None
    settle_s: float = 0.0
    total_s: float


class Metrics:
    """What this server has done.

    Args:
        engines: by the name of their model.
    """

    def __init__(self, *, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._listeners: list[Callable[[EndedGeneration], None]] = []
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "seekd_request", "Generations, by how they ended.", ("model", "outcome"), registry=self._registry
        )
        self._first_token = Histogram(
            "seekd_time_to_first_token_seconds",
            "From the request's admission to its first token.",
            ("model",),
            buckets=_FIRST_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._queue = Histogram(
            "seekd_request_queue_time_seconds",
            "From the request's arrival at the engine to its slot.",
            ("model",),
            buckets=_FIRST_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._per_token = Histogram(
            "seekd_time_per_output_token_seconds",
            "Between two tokens of one completion, on average.",
            ("model",),
            buckets=_TOKEN_BUCKETS_S,
            registry=self._registry,
        )
        self._total = Histogram(
            "seekd_e2e_request_latency_seconds",
            "From the request's admission to its end.",
            ("model",),
            buckets=_TOTAL_BUCKETS_S,
            registry=self._registry,
        )
        self._findings = Counter(
            "seekd_sensitive_findings",
            "Sensitive data in requests, by the rule that found it and what was done.",
            ("rule", "action"),
            registry=self._registry,
        )
        self._verdicts = Counter(
            "seekd_moderations",
            "Texts that were judged, by when and with which outcome.",
            ("stage", "outcome"),
            registry=self._registry,
        )
        self._context = Counter(
            "seekd_long_conversations",
            "Conversations that left no room for their answer and might be shortened, by what was done.",
            ("model", "action"),
            registry=self._registry,
        )
        self._summaries = Counter(
            "seekd_summaries", "Summaries of old turns.", ("model", "outcome"), registry=self._registry
        )
        self._response_cache = Counter(
            "seekd_response_cache_requests",
            "Requests that the response cache is in use for, by what it did.",
            ("result",),
            registry=self._registry,
        )
        self._registry.register(_EngineCollector(engines))

    def tell(self, listener: Callable[[EndedGeneration], None]) -> None:
        """Tell somebody else about each generation too."""
        self._listeners.append(listener)

    def observe(self, ended: EndedGeneration) -> None:
        """Take note of one generation that has ended."""
        model = ended.model
        self._requests.labels(model, ended.outcome.value).inc()
        self._total.labels(model).observe(ended.total_s)
        engine = self._engines.get(model)
        explanation = None if engine is None else engine.explain(ended.request_id)
        if explanation is not None:
            self._queue.labels(model).observe(explanation.queue_s)
            ended = replace(ended, queue_s=explanation.queue_s) if self._listeners else ended
        if ended.first_token_s is not None:
            self._first_token.labels(model).observe(ended.first_token_s)
            if ended.num_completion_tokens > 1:
                per_token_s = (ended.total_s - ended.first_token_s) / (ended.num_completion_tokens - 1)
                self._per_token.labels(model).observe(per_token_s)
        for listener in self._listeners:
            try:
                listener(ended)
            except Exception:  # it is told before the request is settled, which must not depend on it
                _log.exception("a listener of ended generations failed", extra={"action": "listener_failed"})

    def count_findings(self, *, rule: str, action: str, number: int) -> None:
        """Take note of sensitive data in a request."""
        self._findings.labels(rule, action).inc(number)

    def count_verdict(self, *, stage: str, outcome: str) -> None:
        """Take note of a text that was judged; `outcome` is passed, refused or unavailable."""
        self._verdicts.labels(stage, outcome).inc()

    def observe_context(self, *, model: str, action: str) -> None:
        """Take note of a conversation that did not fit; `action` is dropped, summarised or refused."""
        self._context.labels(model, action).inc()

    def observe_summary(self, *, model: str, outcome: str) -> None:
        """Take note of a summary that was needed; `outcome` is made, reused or failed."""
        self._summaries.labels(model, outcome).inc()

    def count_response_cache(self, result: str) -> None:
        """Take note of what the response cache did for a request."""
        self._response_cache.labels(result).inc()

    def show_response_cache(self, num_bytes: Callable[[], Mapping[str, int]]) -> None:
        """Show how many bytes the response cache holds, by place."""
        self._registry.register(_HeldAnswers(num_bytes))

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _HeldAnswers:
    def __init__(self, num_bytes: Callable[[], Mapping[str, int]]) -> None:
        self._num_bytes = num_bytes

    def collect(self) -> Iterator[Metric]:
        held = GaugeMetricFamily("seekd_response_cache_bytes", "Held by the response cache.", labels=["tier"])
        for tier, number in self._num_bytes().items():
            held.add_metric([tier], number)
        yield held


class _EngineCollector:
    # Read at each scrape, so that nothing has to be copied in between.

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        families = [kind(name, text, labels=["model"]) for kind, name, text, _ in _ENGINE_METRICS]
        hits = CounterMetricFamily(
            "seekd_prefix_cache_hit_tokens",
            "Prompt tokens that were not computed, by where they were.",
            labels=["model", "tier"],
        )
        held = GaugeMetricFamily("seekd_prefix_cache_bytes", "Held by the prefix cache.", labels=["model", "tier"])
        for model, engine in self._engines.items():
            stats = engine.stats
            for family, (*_, read) in zip(families, _ENGINE_METRICS, strict=True):
                family.add_metric([model], read(engine, stats))
            hits.add_metric([model, "running"], stats.num_cached_slot_tokens)
            hits.add_metric([model, "ram"], stats.num_cached_ram_tokens)
            hits.add_metric([model, "disk"], stats.num_cached_disk_tokens)
            held.add_metric([model, "ram"], stats.ram_bytes)
            held.add_metric([model, "disk"], stats.disk_bytes)
        yield from families
        yield hits
        yield held


def _cells_used(_: Engine, stats: EngineStats) -> float:
    return stats.num_cells_used / stats.num_cells if stats.num_cells else 0.0


_Family = type[GaugeMetricFamily] | type[CounterMetricFamily]
_Read = Callable[[Engine, EngineStats], float]
_GAUGE, _COUNTER = GaugeMetricFamily, CounterMetricFamily

_ENGINE_METRICS: Sequence[tuple[_Family, str, str, _Read]] = (
    (_GAUGE, "seekd_model_loaded", "1 while the model is loaded.", lambda e, _: float(e.health.ready)),
    (_COUNTER, "seekd_engine_restarts", "Times that the engine was started again.", lambda e, _: e.num_restarts),
    (_GAUGE, "seekd_num_requests_running", "Sequences that have a slot.", lambda _, s: s.num_running),
    (_GAUGE, "seekd_num_requests_waiting", "Sequences that wait for a slot.", lambda _, s: s.num_waiting),
    (_GAUGE, "seekd_kv_cache_usage_ratio", "Used part of the memory of running sequences, 0 to 1.", _cells_used),
    (_COUNTER, "seekd_prompt_tokens", "Prompt tokens that were computed.", lambda _, s: s.num_prompt_tokens),
    (_COUNTER, "seekd_generation_tokens", "Generated tokens.", lambda _, s: s.num_generation_tokens),
    (_COUNTER, "seekd_forced_tokens", "Generated tokens without a choice.", lambda _, s: s.num_forced_tokens),
    (
        _COUNTER,
        "seekd_prefix_cache_dropped_blocks",
        "Blocks that the disk was too slow for.",
        lambda _, s: s.num_disk_dropped,
    ),
    (_COUNTER, "seekd_num_preemptions", "Sequences that lost their slot for a while.", lambda _, s: s.num_preemptions),
    (_COUNTER, "seekd_engine_steps", "Steps of the engine.", lambda _, s: s.num_steps),
    (_COUNTER, "seekd_engine_step_seconds", "Time in steps.", lambda _, s: s.step_s),
    (_COUNTER, "seekd_engine_model_seconds", "Time in steps inside the model's computation.", lambda _, s: s.model_s),
)
