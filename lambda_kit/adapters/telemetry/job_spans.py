"""Spans and metrics of jobs: an observer. Imported only where telemetry is on, in worker processes too."""

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec
from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace import Link, Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lambda_kit.adapters.telemetry.worker import WorkerTelemetry
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.version import VERSION

__all__ = ["JobSpans"]

_NANOSECONDS = 1_000_000_000
_W3C = TraceContextTextMapPropagator()
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class JobSpans(JobObserver):
    """A span ``RUN <tool>`` for each run of a job, and the metrics of jobs.

    The span is made in the server, which learns of every end: of a worker process that was killed, too. What the tool
    does is a child of it, on whatever thread or process.

    Args:
        worker: Sets up telemetry in worker processes.
        is_batch: Whether each run is within a span ``ivcap.job``, as the platform knows it of batch services.
    """

    def __init__(self, worker: WorkerTelemetry, *, is_batch: bool = False) -> None:
        self._worker = worker
        self._is_batch = is_batch
        self._begin()

    def _begin(self) -> None:
        self._outer: dict[str, Span] = {}
        self._spans: dict[str, Span] = {}
        self._contexts: dict[str, context.Context] = {}
        self._tracer = trace.get_tracer("lambda_kit", VERSION)
        meter = metrics.get_meter("lambda_kit", VERSION)
        self._jobs = meter.create_counter("ivcap.jobs_total", "1", "Jobs that have ended.")
        self._durations = meter.create_histogram(
            "ivcap.job_duration_seconds",
            "s",
            "Duration of the runs of jobs.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"_worker": self._worker, "_is_batch": self._is_batch}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    # --- in the server ---

    def creating(self, job: Job) -> Job:
        if self._is_batch:
            parent = context.get_current() if job.traceparent is None else _context_of(job)
            span = self._tracer.start_span("ivcap.job", parent, attributes=_attributes(job, "ivcap.job_id"))
            self._outer[job.id] = span
            return _continuing(job, trace.set_span_in_context(span, parent))
        return job if job.traceparent is not None else _continuing(job, context.get_current())

    def started(self, job: Job) -> None:
        self.released(job)  # where its last run has not ended here
        parent = _context_of(job)
        attributes = _attributes(job, "job.id") | {"job.name": job.tool, "job.attempt": job.attempt}
        links = () if self._is_batch else _links(job)
        span = self._tracer.start_span(f"RUN {job.tool}", parent, attributes=attributes, links=links)
        self._spans[job.id] = span
        self._contexts[job.id] = trace.set_span_in_context(span, parent)

    def ended(self, job: Job) -> None:
        error_type = _error_type(job)
        labels: dict[str, Any] = {"ok": error_type is None, "job.name": job.tool}
        if error_type is not None:
            labels["error_type"] = error_type
        within = self._contexts.pop(job.id, None)
        self._jobs.add(1, labels, within)
        if job.started_at is not None and job.finished_at is not None:
            self._durations.record(max(0.0, job.finished_at - job.started_at), labels, within)
        for spans in (self._spans, self._outer):
            span = spans.pop(job.id, None)
            if span is not None:
                _set_end(span, job, error_type)
                span.end()

    def released(self, job: Job) -> None:
        self._contexts.pop(job.id, None)
        _end_unknown(self._spans, job.id, "it was not ended here: the job is run again, or elsewhere")

    def for_worker(self, job: Job) -> Job:
        within = self._contexts.get(job.id)
        if within is None:
            return job
        return _continuing(job, within)

    def close(self) -> None:
        """End the spans of runs whose end is not learned here any more."""
        self._contexts.clear()
        for spans in (self._spans, self._outer):
            for job_id in list(spans):
                _end_unknown(spans, job_id, "the service has stopped")

    # --- where the tool runs ---

    def around_worker(self) -> AbstractContextManager[object]:
        return self._worker.around_worker()

    def around_run(self, job: Job) -> AbstractContextManager[object]:
        return _attached(self._context_here(job))

    def around_step(self, job: Job) -> AbstractContextManager[object]:
        if trace.get_current_span().get_span_context().is_valid:
            return contextlib.nullcontext()
        return _attached(self._context_here(job))  # a thread of the tool's own, which has inherited nothing

    def _context_here(self, job: Job) -> context.Context:
        within = self._contexts.get(job.id)
        return _context_of(job) if within is None else within


@contextlib.contextmanager
def _attached(within: context.Context) -> Iterator[None]:
    token = context.attach(within)
    try:
        yield
    finally:
        context.detach(token)


def _context_of(job: Job) -> context.Context:
    """The trace that a job's record continues, and its baggage. Else that of the calling code, which submitted it."""
    carrier = {} if job.request_info is None else job.request_info.headers
    if job.traceparent is not None:
        carrier.pop("tracestate", None)  # it belongs to the other one
        carrier["traceparent"] = job.traceparent
        if job.tracestate is not None:
            carrier["tracestate"] = job.tracestate
    if "traceparent" not in carrier:
        return context.get_current()
    # the record always has the W3C's form, whatever OTEL_PROPAGATORS says of others
    return _W3C.extract(carrier, propagate.extract(carrier, context.Context()))


def _links(job: Job) -> tuple[Link, ...]:
    """To the span of the request that made a job, where the job continues another trace than its header fields say."""
    kept = {} if job.request_info is None else job.request_info.headers
    if job.traceparent is None or kept.get("traceparent", job.traceparent) == job.traceparent:
        return ()
    request = trace.get_current_span(_W3C.extract(kept, context.Context())).get_span_context()
    return (Link(request),) if request.is_valid else ()


def _continuing(job: Job, within: context.Context) -> Job:
    """A record that continues the trace of a context, if there is one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, within)
    if "traceparent" not in carrier:
        return job
    return msgspec.structs.replace(job, traceparent=carrier["traceparent"], tracestate=carrier.get("tracestate"))


def _end_unknown(spans: dict[str, Span], job_id: str, reason: str) -> None:
    """End a span without knowing how its job ends."""
    span = spans.pop(job_id, None)
    if span is not None:
        span.set_status(Status(StatusCode.ERROR, reason))
        span.end()


def _attributes(job: Job, id_name: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {id_name: job.id}
    if service_id := os.environ.get("IVCAP_SERVICE_ID"):
        attributes["ivcap.service_id"] = service_id
    return attributes


def _error_type(job: Job) -> str | None:
    """Why a job failed, as a label: a class of exceptions or a kind of failure. None: it has not."""
    if job.status is JobStatus.SUCCEEDED:
        return None
    if job.failure is None:
        return job.status.value
    # a tool may choose any text: what is no word, such as one with a number in it, would be a label of its own
    return job.failure.type if _WORD.fullmatch(job.failure.type) else job.failure.kind.value


def _set_end(span: Span, job: Job, error_type: str | None) -> None:
    span.set_attribute("ivcap.ok", error_type is None)
    if error_type is None:
        span.set_status(Status(StatusCode.OK))
        return
    span.set_attribute("ivcap.error_type", error_type)
    span.set_attribute("error.type", error_type)
    failure = job.failure
    if failure is None:
        span.set_status(Status(StatusCode.ERROR, "the job was cancelled"))
        return
    details = {"exception.type": failure.type, "exception.message": failure.message}
    if failure.traceback is not None:
        details["exception.stacktrace"] = failure.traceback
    finished_at = None if job.finished_at is None else int(job.finished_at * _NANOSECONDS)
    span.add_event("exception", details, finished_at)
    span.set_status(Status(StatusCode.ERROR, failure.message))
