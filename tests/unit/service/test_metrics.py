"""A scrape shows what happened, model by model, under the field's names."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from seekd.accounts.types import Outcome
from seekd.engine.scripted import ScriptedEngine, say
from seekd.engine.types import CacheExplanation, EngineStats
from seekd.service.metrics import EndedGeneration, Metrics


def _ended(model: str, request_id: str, outcome: Outcome, **others: float) -> EndedGeneration:
    values: dict[str, float] = {"num_prompt_tokens": 9, "num_cached_tokens": 0, "num_completion_tokens": 0, **others}
    return EndedGeneration(model=model, served_model=model, request_id=request_id, outcome=outcome, **values)  # type: ignore[arg-type]


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


A, B = (("model", "a"),), (("model", "b"),)


def test_a_generation_counts_in_every_histogram_of_its_model() -> None:
    engine = ScriptedEngine(say("x"))
    engine.explanations["1"] = CacheExplanation(
        request_id="1",
        num_known_tokens=9,
        num_slot_tokens=0,
        num_ram_tokens=0,
        num_disk_tokens=0,
        num_used_tokens=0,
        reason="short",
        queue_s=0.5,
    )
    metrics = Metrics(engines={"a": engine})
    metrics.observe(_ended("a", "1", Outcome.STOP, first_token_s=0.2, total_s=1.2, num_completion_tokens=11))
    metrics.observe(_ended("a", "2", Outcome.ERROR, total_s=0.1))
    metrics.observe(_ended("b", "3", Outcome.STOP, total_s=0.1))
    samples = _samples(metrics)
    assert samples["seekd_request_total", (*A, ("outcome", "stop"))] == 1
    assert samples["seekd_request_total", (*A, ("outcome", "error"))] == 1
    assert samples["seekd_time_to_first_token_seconds_sum", A] == 0.2
    assert abs(samples["seekd_time_per_output_token_seconds_sum", A] - 0.1) < 1e-9
    assert samples["seekd_e2e_request_latency_seconds_count", A] == 2
    assert samples["seekd_e2e_request_latency_seconds_count", B] == 1
    assert samples["seekd_request_queue_time_seconds_count", A] == 1
    assert samples["seekd_request_queue_time_seconds_sum", A] == 0.5


async def test_each_engines_latest_report_is_read_at_each_scrape() -> None:
    engines = {"a": ScriptedEngine(say("x")), "b": ScriptedEngine(say("x"))}
    metrics = Metrics(engines=engines)
    await engines["a"].start()
    engines["a"].stats = EngineStats(num_running=2, num_cells=100, num_cells_used=25, num_cached_disk_tokens=64)
    engines["a"].num_restarts = 3
    samples = _samples(metrics)
    assert samples["seekd_num_requests_running", A] == 2
    assert samples["seekd_num_requests_running", B] == 0
    assert samples["seekd_kv_cache_usage_ratio", A] == 0.25
    assert samples["seekd_prefix_cache_hit_tokens_total", (*A, ("tier", "disk"))] == 64
    assert samples["seekd_engine_restarts_total", A] == 3
    assert (samples["seekd_model_loaded", A], samples["seekd_model_loaded", B]) == (1, 0)


def test_two_servers_in_one_process_do_not_mix() -> None:
    first, second = Metrics(engines={}), Metrics(engines={})
    first.observe(_ended("a", "1", Outcome.STOP, total_s=1))
    assert ("seekd_request_total", (*A, ("outcome", "stop"))) not in _samples(second)


def test_a_listener_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(engines={})
    told: list[EndedGeneration] = []

    def fails(_: EndedGeneration) -> None:
        raise RuntimeError("broken")

    metrics.tell(fails)
    metrics.tell(told.append)
    metrics.observe(_ended("a", "1", Outcome.STOP, total_s=1))
    assert len(told) == 1
    assert any(vars(record).get("action") == "listener_failed" for record in caplog.records)
