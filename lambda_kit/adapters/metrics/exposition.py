"""Makes families of metrics of the numbers, and text of the families. Imported only when somebody scrapes."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from lambda_kit.core.jobs.permits import Load
from lambda_kit.core.jobs.statistics import BUCKET_BOUNDS_SECONDS, Histogram, JobStatistics
from lambda_kit.version import VERSION

__all__ = ["Exposition"]

_TOOL = ("tool",)
_BUCKETS = [*map(str, BUCKET_BOUNDS_SECONDS), "+Inf"]

# of the text format and of OpenMetrics; without one, the encoder takes its newest
_VERSIONS = frozenset({"", "0.0.1", "0.0.4", "1.0.0"})


class _Collected(Collector):
    """What was collected on the event loop, and what can be collected anywhere."""

    def __init__(self, families: Iterable[Metric], others: Collector) -> None:
        self._families = families
        self._others = others

    def collect(self) -> Iterable[Metric]:
        yield from self._families
        yield from self._others.collect()


class Exposition:
    """The metrics of one server and of its process."""

    def __init__(self) -> None:
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def families(self, statistics: JobStatistics, load: Load, *, is_ready: bool) -> list[Metric]:
        """The numbers as they are now.

        Args:
            statistics: What was counted.
            load: What is waiting and running.
            is_ready: Whether jobs can be taken.
        """
        return [
            InfoMetricFamily("lambda_kit", "The version of lambda_kit.", {"version": VERSION}),
            GaugeMetricFamily("lambda_kit_ready", "1 if jobs are taken, as GET /_healtz says; else 0.", is_ready),
            *_counted(statistics),
            *_waiting_and_running(statistics, load),
            *_of_executors(load),
            *_of_sinks(statistics),
        ]

    def encode(self, families: Sequence[Metric], accept: str) -> tuple[bytes, str]:
        """Families, and those of the process, as text; from any thread.

        Args:
            families: What `families` returned.
            accept: The ``Accept`` header by which the format is chosen.

        Returns:
            The text and its content type.
        """
        encode, content_type = choose_encoder(_understood(accept))
        return encode(_Collected(families, self._process)), content_type


def _counted(statistics: JobStatistics) -> list[Metric]:
    submitted = CounterMetricFamily("lambda_kit_jobs_submitted_total", "Jobs that were made.", labels=_TOOL)
    rejected = CounterMetricFamily(
        "lambda_kit_jobs_rejected_total", "Requests refused with 429, since a queue was full.", labels=_TOOL
    )
    refused = CounterMetricFamily(
        "lambda_kit_requests_refused_total",
        "Requests that were refused, by reason; the tool is empty where it was not looked at.",
        labels=("tool", "reason"),
    )
    for labels, count in statistics.refused_requests.items():
        refused.add_metric(labels, count)
    finished = CounterMetricFamily(
        "lambda_kit_jobs_finished_total", "Jobs that ended, by final status.", labels=("tool", "status")
    )
    duration = HistogramMetricFamily(
        "lambda_kit_job_duration_seconds", "How long jobs ran, from start to end.", labels=_TOOL
    )
    queue = HistogramMetricFamily(
        "lambda_kit_job_queue_seconds", "How long jobs waited, from request to start.", labels=_TOOL
    )
    dropped = CounterMetricFamily(
        "lambda_kit_events_dropped_total", "Events reported faster than they could be stored.", labels=_TOOL
    )
    for tool, counted in statistics.tools.items():
        submitted.add_metric([tool], counted.submitted)
        rejected.add_metric([tool], counted.rejected)
        for status, count in counted.finished.items():
            finished.add_metric([tool, status.value], count)
        _add(duration, tool, counted.duration)
        _add(queue, tool, counted.queue_wait)
        dropped.add_metric([tool], counted.events_dropped)
    return [submitted, rejected, refused, finished, duration, queue, dropped]


def _add(family: HistogramMetricFamily, tool: str, histogram: Histogram) -> None:
    family.add_metric([tool], list(zip(_BUCKETS, accumulate(histogram.counts), strict=True)), histogram.total_seconds)


def _waiting_and_running(statistics: JobStatistics, load: Load) -> list[Metric]:
    queued = GaugeMetricFamily("lambda_kit_jobs_queued", "Jobs that wait for their turn.", labels=_TOOL)
    running = GaugeMetricFamily("lambda_kit_jobs_running", "Jobs that are being run.", labels=_TOOL)
    for tool in dict.fromkeys([*statistics.tools, *load.queued, *load.running]):
        queued.add_metric([tool], load.queued.get(tool, 0))
        running.add_metric([tool], load.running.get(tool, 0))
    return [queued, running]


def _of_executors(load: Load) -> list[Metric]:
    labels = ("executor",)
    capacity = GaugeMetricFamily(
        "lambda_kit_executor_capacity", "Jobs that the executor runs at once; absent if unbounded.", labels=labels
    )
    running = GaugeMetricFamily("lambda_kit_executor_running", "Jobs that the executor is running.", labels=labels)
    abandoned = GaugeMetricFamily(
        "lambda_kit_executor_abandoned_runs", "Runs that could not be ended, and still hold a thread.", labels=labels
    )
    abandoned_total = CounterMetricFamily(
        "lambda_kit_executor_abandoned_total", "Runs that could not be ended, since the start.", labels=labels
    )
    losses = CounterMetricFamily(
        "lambda_kit_executor_worker_losses_total",
        "Workers that were killed, crashed or ran out of memory.",
        labels=labels,
    )
    for name, stats in load.executors.items():
        if stats.capacity is not None:
            capacity.add_metric([name], stats.capacity)
        running.add_metric([name], stats.running)
        abandoned.add_metric([name], stats.abandoned)
        abandoned_total.add_metric([name], stats.abandoned_total)
        losses.add_metric([name], stats.worker_losses_total)
    return [capacity, running, abandoned, abandoned_total, losses]


def _of_sinks(statistics: JobStatistics) -> list[Metric]:
    if not statistics.sinks:
        return []
    labels = ("sink",)
    delivered = CounterMetricFamily(
        "lambda_kit_delivery_delivered_total", "Events and ends of jobs that the sink took.", labels=("sink", "what")
    )
    failures = CounterMetricFamily(
        "lambda_kit_delivery_failures_total", "Calls of the sink that failed and are tried again.", labels=labels
    )
    dropped = CounterMetricFamily(
        "lambda_kit_delivery_dropped_total",
        "Events and ends of jobs that will never be delivered.",
        labels=("sink", "what", "reason"),
    )
    unauthorized = CounterMetricFamily(
        "lambda_kit_delivery_unauthorized_total",
        "Jobs whose end the sink refused for their credentials; it is tried again.",
        labels=labels,
    )
    retrying = GaugeMetricFamily("lambda_kit_delivery_retrying", "Jobs that wait for another try.", labels=labels)
    unreachable = GaugeMetricFamily(
        "lambda_kit_delivery_unreachable", "1 if there is no connection to the sink; else 0.", labels=labels
    )
    for name, counted in statistics.sinks.items():
        delivered.add_metric([name, "event"], counted.delivered_events)
        delivered.add_metric([name, "end"], counted.delivered_ends)
        failures.add_metric([name], counted.failures)
        for (what, reason), count in counted.dropped.items():
            dropped.add_metric([name, what, reason], count)
        unauthorized.add_metric([name], counted.unauthorized)
        retrying.add_metric([name], counted.retrying)
        unreachable.add_metric([name], counted.is_unreachable)
    return [delivered, failures, dropped, unauthorized, retrying, unreachable]


def _understood(accept: str) -> str:
    """The media ranges in a version that is known: at others the encoder fails, or says that it had written them."""
    return ",".join(part for part in accept.split(",") if _versions(part) <= _VERSIONS)


def _versions(media_range: str) -> set[str]:
    parameters = (parameter.strip().partition("=") for parameter in media_range.split(";")[1:])
    return {value for name, _, value in parameters if name == "version"}
