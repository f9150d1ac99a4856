"""The providers of OpenTelemetry in this process: those that are set already, else ours, which send by OTLP.

Imported only where telemetry is on. OpenTelemetry has one provider of each kind for a process, and never takes it back:
what is set here stays until the process ends.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider

from lambda_kit.adapters.telemetry.clean_spans import CleanSpanProcessor
from lambda_kit.adapters.telemetry.destination import Destination

__all__ = ["flush", "has_provider", "set_up"]

logger = logging.getLogger("lambda_kit.telemetry")

_WORKER_DELAY_MILLIS = 1000.0
"""How long a worker process keeps spans: it may be killed at any time."""


def has_provider() -> bool:
    """Whether a tracer provider was set for this process, by whoever it was."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def set_up(destination: Destination, *, name: str, version: str, is_worker: bool = False) -> None:
    """Set those providers that nobody has set yet, for the signals that have an endpoint.

    Args:
        destination: Where signals go.
        name: Of the service; ``OTEL_SERVICE_NAME`` wins.
        version: Of the service.
        is_worker: Whether this is a worker process: the server exports its log lines.
    """
    ours = Resource.create({"service.name": name, "service.version": version})
    resource = ours.merge(OTELResourceDetector().detect())  # what the operator says of the service wins
    endpoints, headers = destination.endpoints, destination.headers
    if "traces" in endpoints and not has_provider():
        exporter = OTLPSpanExporter(endpoint=endpoints["traces"], headers=headers["traces"])
        delay = _WORKER_DELAY_MILLIS if is_worker and "OTEL_BSP_SCHEDULE_DELAY" not in os.environ else None
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(CleanSpanProcessor(exporter, schedule_delay_millis=delay))
        trace.set_tracer_provider(tracers)
    if "metrics" in endpoints and _is_unset(metrics.get_meter_provider()):
        meters = OTLPMetricExporter(endpoint=endpoints["metrics"], headers=headers["metrics"])
        reader = PeriodicExportingMetricReader(meters, export_interval_millis=_interval_millis())
        metrics.set_meter_provider(MeterProvider([reader], resource, shutdown_on_exit=False))
    if "logs" in endpoints and not is_worker and _is_unset(_logs.get_logger_provider()):
        lines = LoggerProvider(resource, shutdown_on_exit=False)
        log_exporter = OTLPLogExporter(endpoint=endpoints["logs"], headers=headers["logs"])
        lines.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
        _logs.set_logger_provider(lines)


def _is_unset(provider: object) -> bool:
    """Whether this is what OpenTelemetry's API gives where nobody has set a provider."""
    kind = type(provider)
    return kind.__module__.startswith(("opentelemetry.metrics", "opentelemetry._logs")) and "Proxy" in kind.__name__


def _interval_millis() -> float | None:
    """How often metrics are sent, as ``OPENOBSERVE_METRICS_INTERVAL`` says in seconds. None: as OpenTelemetry does."""
    try:
        seconds = float(os.environ.get("OPENOBSERVE_METRICS_INTERVAL", ""))
    except ValueError:
        return None
    return seconds * 1000 if math.isfinite(seconds) and seconds > 0 else None


def flush(seconds: float) -> bool:
    """Send what is waiting, for a bounded time. Blocks.

    An exporter does not look at its bound: it is called on a thread that nobody waits for at the exit, all at once.

    Returns:
        Whether all was done in time.
    """
    until = time.monotonic() + seconds
    threads = [_flush(provider, seconds) for provider in _own_providers()]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _own_providers() -> list[Any]:
    providers = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
    return [provider for provider in providers if hasattr(provider, "force_flush")]


def _flush(provider: Any, seconds: float) -> threading.Thread:
    thread = threading.Thread(
        target=_quietly, args=(provider.force_flush, int(seconds * 1000)), name="lambda_kit telemetry", daemon=True
    )
    thread.start()
    return thread


def _quietly(force_flush: Callable[[int], object], millis: int) -> None:
    try:
        force_flush(millis)
    except Exception as error:
        logger.debug("telemetry could not be sent", exc_info=error)
