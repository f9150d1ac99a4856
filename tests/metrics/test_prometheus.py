"""The exposition for Prometheus: its numbers, its formats, and what it does without prometheus_client."""

import subprocess
import sys
from collections.abc import Awaitable, Callable

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from lambda_kit import Job, JobStatus, MissingExtraError, __version__
from lambda_kit.adapters.metrics.prometheus import PrometheusMetrics
from tests.support.metrics_source import FixedNumbers, a_job, ready

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Scraped:
    """The samples of one scrape."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def all(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(sample.labels, sample.value) for sample in self._samples if sample.name == name]

    def __call__(self, name: str, **labels: str) -> float:
        (value,) = (value for found, value in self.all(name) if found == labels)
        return value


async def scrape(source: FixedNumbers, why_not_ready: Callable[[], Awaitable[str | None]] = ready) -> Scraped:
    content, _ = await PrometheusMetrics(source, why_not_ready).render(None)
    return Scraped([sample for family in parse_text(content.decode()) for sample in family.samples])


async def test_what_has_not_happened_is_there_as_zero() -> None:
    scraped = await scrape(FixedNumbers("echo", "sleep"))
    for tool in ("echo", "sleep"):
        for name in ("jobs_submitted", "jobs_rejected", "events_dropped"):
            assert scraped(f"lambda_kit_{name}_total", tool=tool) == 0
        for status in ("succeeded", "failed", "error", "cancelled"):
            assert scraped("lambda_kit_jobs_finished_total", tool=tool, status=status) == 0
        assert scraped("lambda_kit_job_duration_seconds_count", tool=tool) == 0
    assert scraped("lambda_kit_jobs_queued", tool="sleep") == 0
    assert scraped("lambda_kit_jobs_running", tool="sleep") == 0


async def test_what_was_counted_is_shown() -> None:
    source = FixedNumbers()
    counted = source.statistics
    for _ in range(4):
        counted.submitted(a_job("echo"))
    counted.rejected("echo")
    counted.events_dropped(a_job("echo"), 12)
    for status, seconds in ((JobStatus.SUCCEEDED, 2), (JobStatus.SUCCEEDED, 3), (JobStatus.FAILED, 8000)):
        finished_at = 1000.5 + seconds
        counted.ended(
            Job(id="a", tool="echo", status=status, requested_at=1000.0, started_at=1000.5, finished_at=finished_at)
        )
    scraped = await scrape(source)
    assert scraped("lambda_kit_jobs_submitted_total", tool="echo") == 4
    assert scraped("lambda_kit_jobs_rejected_total", tool="echo") == 1
    assert scraped("lambda_kit_events_dropped_total", tool="echo") == 12
    assert scraped("lambda_kit_jobs_finished_total", tool="echo", status="succeeded") == 2
    assert scraped("lambda_kit_jobs_finished_total", tool="echo", status="failed") == 1
    assert scraped("lambda_kit_job_duration_seconds_sum", tool="echo") == 8005.0
    assert scraped("lambda_kit_job_duration_seconds_count", tool="echo") == 3
    durations = {labels["le"]: value for labels, value in scraped.all("lambda_kit_job_duration_seconds_bucket")}
    assert [durations[bound] for bound in ("0.005", "1.0", "2.5", "5.0", "3600.0", "+Inf")] == [0, 0, 1, 2, 2, 3]
    assert scraped("lambda_kit_job_queue_seconds_sum", tool="echo") == 1.5
    assert scraped("lambda_kit_job_queue_seconds_bucket", tool="echo", le="0.25") == 0
    assert scraped("lambda_kit_job_queue_seconds_bucket", tool="echo", le="0.5") == 3


async def test_what_was_delivered_and_dropped_is_shown() -> None:
    source = FixedNumbers()
    sink = source.statistics.sink("ivcap-sidecar")
    sink.delivered_events, sink.delivered_ends, sink.failures, sink.unauthorized, sink.retrying = 5, 4, 3, 2, 1
    sink.dropped["event", "given-up"] += 7
    sink.is_unreachable = True
    scraped, name = await scrape(source), "ivcap-sidecar"
    assert scraped("lambda_kit_delivery_delivered_total", sink=name, what="event") == 5
    assert scraped("lambda_kit_delivery_delivered_total", sink=name, what="end") == 4
    assert scraped("lambda_kit_delivery_failures_total", sink=name) == 3
    assert scraped("lambda_kit_delivery_unauthorized_total", sink=name) == 2
    assert scraped("lambda_kit_delivery_retrying", sink=name) == 1
    assert scraped("lambda_kit_delivery_unreachable", sink=name) == 1
    assert scraped("lambda_kit_delivery_dropped_total", sink=name, what="event", reason="given-up") == 7
    assert scraped("lambda_kit_delivery_dropped_total", sink=name, what="end", reason="refused") == 0


async def test_what_waits_and_runs_is_shown() -> None:
    scraped = await scrape(FixedNumbers())
    assert scraped("lambda_kit_jobs_queued", tool="echo") == 4
    assert scraped("lambda_kit_jobs_running", tool="echo") == 2
    assert scraped.all("lambda_kit_executor_capacity") == [({"executor": "thread"}, 32)]
    assert scraped("lambda_kit_executor_running", executor="asyncio") == 0
    assert scraped("lambda_kit_executor_running", executor="thread") == 2
    assert scraped("lambda_kit_executor_abandoned_runs", executor="thread") == 1
    assert scraped("lambda_kit_executor_abandoned_total", executor="thread") == 5
    assert scraped("lambda_kit_executor_worker_losses_total", executor="thread") == 3


async def test_the_version_and_the_process_are_shown() -> None:
    scraped = await scrape(FixedNumbers())
    assert scraped("lambda_kit_info", version=__version__) == 1
    ((labels, value),) = scraped.all("python_info")
    assert (labels["major"], value) == (str(sys.version_info.major), 1)
    if sys.platform == "linux":
        ((_, seconds),) = scraped.all("process_cpu_seconds_total")
        assert seconds > 0


async def test_readiness_is_a_number() -> None:
    async def not_ready() -> str | None:
        return "the service is starting or stopping"

    assert (await scrape(FixedNumbers()))("lambda_kit_ready") == 1
    assert (await scrape(FixedNumbers(), not_ready))("lambda_kit_ready") == 0


async def test_each_scrape_has_the_numbers_of_its_moment() -> None:
    source = FixedNumbers()
    metrics = PrometheusMetrics(source, ready)
    for count in range(3):
        content, _ = await metrics.render(None)
        assert f'lambda_kit_jobs_submitted_total{{tool="echo"}} {count}.0\n'.encode() in content
        source.statistics.submitted(a_job("echo"))


async def test_two_servers_share_nothing_with_each_other_and_with_the_process() -> None:
    first, second = FixedNumbers(), FixedNumbers("other")
    first.statistics.submitted(a_job("echo"))
    scraped = await scrape(second)
    assert scraped.all("lambda_kit_jobs_submitted_total") == [({"tool": "other"}, 0)]
    counter = prometheus_client.Counter("of_somebody_else", "In the registry of the process.")
    try:
        assert (await scrape(first)).all("of_somebody_else_total") == []
        assert not any(family.name.startswith("lambda_kit") for family in prometheus_client.REGISTRY.collect())
    finally:
        prometheus_client.REGISTRY.unregister(counter)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,*/*;q=0.8", TEXT),
        ("text/plain; version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        (OF_PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text; version=77.0.0, text/plain; version=0.0.4", TEXT),
        ("application/openmetrics-text; version=new", TEXT),
        ("text/plain; version=é; x", TEXT),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(accept: str | None, content_type: str) -> None:
    content, found = await PrometheusMetrics(FixedNumbers(), ready).render(accept)
    assert found == content_type
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    assert {family.name for family in parse(content.decode())} >= {"lambda_kit_ready", "lambda_kit_jobs_queued"}


async def test_the_names_follow_the_conventions() -> None:
    content, _ = await PrometheusMetrics(FixedNumbers(), ready).render("application/openmetrics-text")
    # this parser refuses families whose names clash, counters without _total, and buckets out of order
    ours = [family for family in parse_openmetrics(content.decode()) if family.name.startswith("lambda_kit")]
    assert len(ours) >= 15
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert {label for sample in family.samples for label in sample.labels} <= {
            "tool", "status", "executor", "le", "version", "sink", "what", "reason",
        }  # fmt: skip


async def test_without_prometheus_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lambda_kit.adapters.metrics.exposition", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lambda-kit\[metrics\]'"):
        await PrometheusMetrics(FixedNumbers(), ready).render(None)


def test_prometheus_client_is_not_loaded_before_the_first_scrape() -> None:
    program = (
        "import sys, lambda_kit.server, lambda_kit.adapters.metrics.prometheus, lambda_kit.adapters.http.metrics_route;"
        "print('prometheus_client' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.strip() == "False"
