"""OpenTelemetry, as a collector gets it: traces and histograms of a real server, by OTLP over HTTP."""

from __future__ import annotations

import http.server
import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from seekd.accounts.types import Outcome
from seekd.engine.scripted import EmitText, Fail, Script, say
from seekd.errors import ConfigError, EngineError
from seekd.service.metrics import EndedGeneration
from seekd.service.telemetry import TelemetrySettings, open_telemetry
from seekd.testing.server import serve_script

HELLO = say("Hello")
ENDED = EndedGeneration(
    model="m",
    served_model="m",
    request_id="r",
    outcome=Outcome.STOP,
    num_prompt_tokens=1,
    num_cached_tokens=0,
    num_completion_tokens=1,
    total_s=1.0,
)
TRACE_ID, CALLER_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "a secret question"}], "stream": True}


class Collector:
    """What was sent to it."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}

    @property
    def spans(self) -> list[Any]:
        """Every span, by its begin."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies.get("/v1/traces", ())]
        scopes = [
            scope for request in requests for resource in request.resource_spans for scope in resource.scope_spans
        ]
        return sorted((span for scope in scopes for span in scope.spans), key=lambda span: span.start_time_unix_nano)

    @property
    def metrics(self) -> dict[str, Any]:
        """The histograms by name."""
        requests = [ExportMetricsServiceRequest.FromString(body) for body in self.bodies.get("/v1/metrics", ())]
        scopes = [
            each for request in requests for resource in request.resource_metrics for each in resource.scope_metrics
        ]
        return {metric.name: metric.histogram for scope in scopes for metric in scope.metrics}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.bodies.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        yield collector
        server.shutdown()
        thread.join()


def _values(span: Any) -> dict[str, Any]:
    return {
        entry.key: entry.value.string_value
        or entry.value.int_value
        or [v.string_value for v in entry.value.array_value.values]
        for entry in span.attributes
    }


def _ask(data_dir: Path, settings: TelemetrySettings, script: Script = HELLO) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{CALLER_ID}-01"}
    with serve_script(script, data_dir=data_dir, telemetry=settings) as server:
        httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers=headers, timeout=30)


def test_a_request_is_one_trace_with_its_phases(collector: Collector, tmp_path: Path) -> None:
    _ask(tmp_path, TelemetrySettings(traces=True))
    spans = {span.name: span for span in collector.spans}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE_ID}
    request, chat = spans["POST"], spans["chat deepseek-chat"]
    assert request.parent_span_id.hex() == CALLER_ID
    assert _values(request) == {
        "http.request.method": "POST",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "http.response.status_code": 200,
    }
    assert chat.parent_span_id == request.span_id
    values = _values(chat)
    assert values["gen_ai.provider.name"] == "seekd"
    assert values["gen_ai.response.finish_reasons"] == ["stop"]
    assert values["gen_ai.usage.output_tokens"] == 5
    assert values["gen_ai.usage.input_tokens"] > 10
    assert "gen_ai.usage.cache_read.input_tokens" in values
    phases = [span for span in collector.spans if span.parent_span_id == chat.span_id]
    assert {span.name for span in phases} == {"queue", "prefill", "decode", "settle"}
    ordered = sorted(phases, key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano))
    assert ordered[0].start_time_unix_nano == chat.start_time_unix_nano
    assert all(one.end_time_unix_nano == other.start_time_unix_nano for one, other in itertools.pairwise(ordered))
    assert request.start_time_unix_nano <= chat.start_time_unix_nano
    assert b"secret question" not in b"".join(collector.bodies["/v1/traces"])
    assert collector.metrics == {}


def test_a_failure_is_an_error_of_its_span(collector: Collector, tmp_path: Path) -> None:
    _ask(
        tmp_path,
        TelemetrySettings(traces=True, conventions="1.36"),
        lambda _: (EmitText(text="a"), Fail(error=EngineError("it broke"))),
    )
    [chat] = [span for span in collector.spans if span.name.startswith("chat ")]
    values = _values(chat)
    assert (values["error.type"], values["gen_ai.system"]) == ("error", "seekd")
    assert "gen_ai.provider.name" not in values
    assert chat.status.code == 2


def test_histograms_have_the_names_of_the_conventions(collector: Collector, tmp_path: Path) -> None:
    _ask(tmp_path, TelemetrySettings(metrics=True))
    names = ("request.duration", "time_to_first_token", "time_per_output_token")
    assert {f"gen_ai.server.{name}" for name in names} == collector.metrics.keys()
    assert all(histogram.data_points[0].count == 1 for histogram in collector.metrics.values())
    assert collector.spans == []


def test_a_collector_that_does_not_answer_holds_no_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("seekd.service.telemetry._CLOSE_LIMIT_S", 0.2)
        telemetry = open_telemetry(TelemetrySettings(traces=True))
        assert telemetry is not None
        telemetry.generation_ended(ENDED)
        closing = threading.Thread(target=telemetry.close)
        closing.start()
        closing.join(5.0)  # the exporter itself would wait for ten seconds
        assert not closing.is_alive()


def test_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(ConfigError, match=r"seekd\[otel\]"):
        open_telemetry(TelemetrySettings(traces=True))
    assert open_telemetry(TelemetrySettings()) is None
