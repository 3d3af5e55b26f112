"""A scrape shows what happened, under the field's names."""

from prometheus_client.parser import text_string_to_metric_families

from seekd.engine.messages import Stats
from seekd.service.metrics import Metrics


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_a_generation_counts_in_every_histogram() -> None:
    metrics = Metrics(engine_stats=lambda: None, queue_s={"a": 0.5}.get)
    metrics.observe(request_id="a", finish="stop", first_token_s=0.2, total_s=1.2, num_completion_tokens=11)
    metrics.observe(request_id="b", finish="error", first_token_s=None, total_s=0.1, num_completion_tokens=0)
    samples = _samples(metrics)
    assert samples["seekd_request_total", (("finished_reason", "stop"),)] == 1
    assert samples["seekd_request_total", (("finished_reason", "error"),)] == 1
    assert samples["seekd_time_to_first_token_seconds_sum", ()] == 0.2
    assert abs(samples["seekd_time_per_output_token_seconds_sum", ()] - 0.1) < 1e-9
    assert samples["seekd_e2e_request_latency_seconds_count", ()] == 2
    assert samples["seekd_request_queue_time_seconds_count", ()] == 1
    assert samples["seekd_request_queue_time_seconds_sum", ()] == 0.5


def test_the_engines_latest_report_is_read_at_each_scrape() -> None:
    report = Stats(num_running=2, num_cells=100, num_cells_used=25, num_cached_disk_tokens=64)
    metrics = Metrics(engine_stats=lambda: report, num_restarts=lambda: 3)
    samples = _samples(metrics)
    assert samples["seekd_num_requests_running", ()] == 2
    assert samples["seekd_kv_cache_usage_ratio", ()] == 0.25
    assert samples["seekd_prefix_cache_hit_tokens_total", (("tier", "disk"),)] == 64
    assert samples["seekd_engine_restarts_total", ()] == 3


def test_two_servers_in_one_process_do_not_mix() -> None:
    first, second = Metrics(engine_stats=lambda: None), Metrics(engine_stats=lambda: None)
    first.observe(request_id="a", finish="stop", first_token_s=None, total_s=1, num_completion_tokens=0)
    assert ("seekd_request_total", (("finished_reason", "stop"),)) not in _samples(second)
