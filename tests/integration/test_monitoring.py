"""The files of Prometheus and Grafana, against a server's own `/metrics`, in a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.engine.scripted import Cached, EmitText, ScriptStep
from seekd.engine.types import EngineRequest, EngineStats
from seekd.testing.server import ScriptedServer
from tests.integration.programs import DEPLOY, free_port, program
from tests.integration.test_accounts_http import BODY

LIMIT_S = 30.0
RULES = DEPLOY / "prometheus"
Query = Callable[[str], Sequence[Any]]


def _answers_twelve_words(request: EngineRequest) -> list[ScriptStep]:
    return [Cached(num_tokens=min(4, len(request.prompt_token_ids) - 1)), *[EmitText(text="word ")] * 12]


def _dashboard_queries() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "seekd.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    # What Grafana puts in: all servers, and a window of at least four scrapes.
    return [query.replace("$instance", ".*").replace("$__rate_interval", "1m") for query in queries]


def _alert_metrics() -> set[str]:
    return set(re.findall(r"seekd_\w+", " ".join(re.findall(r"(?s)expr: (.*?)\n +(?:for|labels):", _rules()))))


def _rules() -> str:
    return (RULES / "alerts.yml").read_text()


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_prometheus_accepts_the_files_and_each_alert_rises_when_it_should(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=RULES, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test() -> None:
    names = set(re.findall(r"- alert: (\w+)", _rules()))
    assert names
    assert names == set(re.findall(r"alertname: (\w+)", (RULES / "alerts_test.yml").read_text()))


@pytest.fixture
def query(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> Iterator[Query]:
    """Ask a Prometheus that scrapes a server with some requests behind it."""
    server = seekd_server(_answers_twelve_words)
    port = free_port()
    text = (RULES / "prometheus.yml").read_text()
    text = text.replace("interval: 15s", "interval: 100ms").replace(
        "127.0.0.1:8000", server.url.removeprefix("http://")
    )
    (tmp_path / "prometheus.yml").write_text(text)
    shutil.copy(RULES / "alerts.yml", tmp_path)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            _wait_until(lambda: _is_ready(client))

            def ask(text: str) -> Sequence[Any]:
                answer = client.get("/api/v1/query", params={"query": text}).json()
                assert answer["status"] == "success", f"{text}: {answer}"
                found: Sequence[Any] = answer["data"]["result"]
                return found

            def has_seen(number: int) -> Callable[[], bool]:
                return lambda: _value(ask("seekd_engine_steps_total")) == number

            # What increases does so between two scrapes.
            for number in range(1, 3):
                httpx.post(f"{server.url}/v1/chat/completions", json=BODY | {"max_tokens": 30}).raise_for_status()
                server.engine.stats = EngineStats(num_steps=number, step_s=number, model_s=number / 2, num_cells=1)
                _wait_until(has_seen(number))
            yield ask
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _value(found: Sequence[Any]) -> float:
    return float(found[0]["value"][1]) if found else 0.0


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_every_panel_has_something_to_show_and_every_alert_looks_at_something(query: Query) -> None:
    for panel_query in _dashboard_queries():
        assert query(panel_query), panel_query
    # Counters with labels begin with their first event: these names are the server's all the same.
    later = {"seekd_moderations_total"}
    for metric in _alert_metrics() - later:
        assert query(metric), metric
