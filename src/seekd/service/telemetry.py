"""OpenTelemetry: what became of each generation, as spans and histograms under the conventions for generative AI.

    POST                                   api/tracing.py, under the caller's own trace
      chat deepseek-chat                   from its turn to its settlement
        queue | prefill | decode | settle

Spans are made when a generation has ended, of the times that were taken for the books and the log anyway, so that a
token costs nothing more. Texts of users and models are never part of them. Source of the names: OpenTelemetry's
semantic conventions for generative AI, 1.36 and the latest of 2026.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seekd import __version__
from seekd.accounts.types import Outcome
from seekd.errors import ConfigError
from seekd.service.metrics import EndedGeneration

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_NS = 1_000_000_000
_CLOSE_LIMIT_S = 3.0
_FAILED = frozenset({Outcome.ERROR, Outcome.DEADLINE, Outcome.SHUTDOWN})
# The buckets that the conventions ask for, in seconds.
_FIRST_TOKEN_BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN_BUCKETS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_DURATION_BUCKETS_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

Attributes = Mapping[str, str | int | tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """OpenTelemetry; needs the optional part `otel`. The standard `OTEL_…` variables name where to send.

    Attributes:
        traces: send a trace of each request.
        metrics: send histograms of generations; `/metrics` has more, for Prometheus.
        conventions: names of attributes: `latest`, or those of version `1.36`, which older dashboards know.
    """

    traces: bool = False
    metrics: bool = False
    conventions: Literal["latest", "1.36"] = "latest"


class Telemetry:
    """Sends what became of requests. Made by `open_telemetry`."""

    def __init__(
        self, settings: TelemetrySettings, *, traces: TracerProvider | None, metrics: MeterProvider | None
    ) -> None:
        self._provider_name = "gen_ai.provider.name" if settings.conventions == "latest" else "gen_ai.system"
        self._is_latest = settings.conventions == "latest"
        self._traces = traces
        self._metrics = metrics
        self.tracer: Tracer | None = None if traces is None else traces.get_tracer("seekd", __version__)
        if metrics is not None:
            meter = metrics.get_meter("seekd", __version__)
            self._duration = meter.create_histogram(
                "gen_ai.server.request.duration",
                unit="s",
                description="From a request's turn to its end.",
                explicit_bucket_boundaries_advisory=_DURATION_BUCKETS_S,
            )
            self._first_token = meter.create_histogram(
                "gen_ai.server.time_to_first_token",
                unit="s",
                description="From a request's turn to its first token.",
                explicit_bucket_boundaries_advisory=_FIRST_TOKEN_BUCKETS_S,
            )
            self._per_token = meter.create_histogram(
                "gen_ai.server.time_per_output_token",
                unit="s",
                description="Between two tokens behind the first, on average.",
                explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS_S,
            )

    def generation_ended(self, ended: EndedGeneration) -> None:
        """Take note of one generation, in the trace of the request that it runs in."""
        end_ns = time.time_ns()
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            self._provider_name: "seekd",
            "gen_ai.request.model": ended.served_model,
            **({"error.type": ended.outcome.value} if ended.outcome in _FAILED else {}),
        }
        if self.tracer is not None:
            self._trace(self.tracer, ended, {**attributes, **self._usage(ended)}, end_ns)
        if self._metrics is None:
            return
        self._duration.record(ended.total_s, attributes)
        if ended.first_token_s is not None:
            self._first_token.record(ended.first_token_s, attributes)
            if ended.num_completion_tokens > 1:
                decode_s = ended.total_s - ended.settle_s - ended.first_token_s
                self._per_token.record(decode_s / (ended.num_completion_tokens - 1), attributes)

    def _usage(self, ended: EndedGeneration) -> Attributes:
        cached = "gen_ai.usage.cache_read.input_tokens" if self._is_latest else "seekd.usage.cached_tokens"
        return {
            "gen_ai.response.finish_reasons": (ended.outcome.value,),
            "gen_ai.usage.input_tokens": ended.num_prompt_tokens,
            "gen_ai.usage.output_tokens": ended.num_completion_tokens,
            cached: ended.num_cached_tokens,
            "seekd.request.id": ended.request_id,
        }

    @staticmethod
    def _trace(tracer: Tracer, ended: EndedGeneration, attributes: Attributes, end_ns: int) -> None:
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        start_ns = end_ns - int(ended.total_s * _NS)
        span = tracer.start_span(f"chat {ended.served_model}", attributes=attributes, start_time=start_ns)
        if ended.outcome in _FAILED:
            span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        for name, begin_s, end_s in _phases(ended):
            child = tracer.start_span(name, context=inside, start_time=start_ns + int(begin_s * _NS))
            child.end(start_ns + int(end_s * _NS))
        span.end(end_ns)

    def close(self) -> None:
        """Send what waits. Blocks for seconds at most: a collector that is away must not hold up a server's end."""
        providers = [provider for provider in (self._traces, self._metrics) if provider is not None]
        threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
        deadline_s = time.monotonic() + _CLOSE_LIMIT_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))


def _phases(ended: EndedGeneration) -> Iterator[tuple[str, float, float]]:
    """Names, begins and ends, in seconds from the generation's begin."""
    decoded_s = max(ended.total_s - ended.settle_s, 0.0)
    computing_s = decoded_s if ended.first_token_s is None else min(ended.first_token_s, decoded_s)
    queued_s = min(ended.queue_s or 0.0, computing_s)
    yield "queue", 0.0, queued_s
    yield "prefill", queued_s, computing_s
    if ended.first_token_s is not None:
        yield "decode", computing_s, decoded_s
    yield "settle", decoded_s, ended.total_s


def open_telemetry(settings: TelemetrySettings) -> Telemetry | None:
    """What sends telemetry; None where nothing is to be sent.

    Raises:
        ConfigError: the optional part is not installed.
    """
    if not (settings.traces or settings.metrics):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            "telemetry.traces and telemetry.metrics need the optional part otel: pip install 'seekd[otel]', or "
            "make serve EXTRAS=otel."
        ) from error
    resource = Resource.create({"service.name": "seekd", "service.version": __version__})
    traces = metrics = None
    if settings.traces:
        traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if settings.metrics:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return Telemetry(settings, traces=traces, metrics=metrics)
