"""Sends log lines by OTLP, with the trace that they belong to. Imported only where telemetry is on."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from opentelemetry import _logs, context, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from lambda_kit.core.model.bounds import bounded_text
from lambda_kit.core.runtime.credentials import redacted
from lambda_kit.core.runtime.tracebacks import TracebackFormatter
from lambda_kit.logs import JobFilter, without_credentials

__all__ = ["exported_logs", "traced_logs"]

_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "asctime", "message", "taskName", "color_message"})
_TRACE_ID, _SPAN_ID = "otelTraceID", "otelSpanID"
"""As OpenTelemetry calls them on log records. Not ``trace_id``: `logging` refuses an `extra` of a taken name."""
_OURS = frozenset({"job_id", "tool", _TRACE_ID, _SPAN_ID})
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (logging.DEBUG, SeverityNumber.DEBUG),
)


@contextlib.contextmanager
def traced_logs() -> Iterator[None]:
    """Have each log record of this process know its trace, as ``otelTraceID`` and ``otelSpanID`` (hexadecimal).

    So JSON lines have them, and those of a worker process keep them on their way to the server, which exports them.
    """
    make = logging.getLogRecordFactory()

    def make_with_trace(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        found = trace.get_current_span().get_span_context()
        if found.is_valid:
            setattr(record, _TRACE_ID, trace.format_trace_id(found.trace_id))
            setattr(record, _SPAN_ID, trace.format_span_id(found.span_id))
        return record

    logging.setLogRecordFactory(make_with_trace)
    try:
        yield
    finally:
        if logging.getLogRecordFactory() is make_with_trace:
            logging.setLogRecordFactory(make)


@contextlib.contextmanager
def exported_logs() -> Iterator[None]:
    """Export what is logged by way of the root logger."""
    if any(type(handler).__module__.startswith("opentelemetry.") for handler in logging.root.handlers):
        yield  # somebody exports them already
        return
    handler = _ExportingHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


class _ExportingHandler(logging.Handler):
    """Hands each record to OpenTelemetry, without credentials. What exporting logs itself says is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._as_text = TracebackFormatter()
        self.addFilter(JobFilter())
        self.addFilter(_is_of_others)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = LogRecord(
                timestamp=int(record.created * 1e9),
                context=_context_of(record),
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=_clean(record.getMessage()),
                attributes=self._attributes(record),
            )
            _logs.get_logger(record.name).emit(line)
        except Exception:  # noqa: BLE001 - as every handler: a line that can't be logged stops nobody
            self.handleError(record)

    def _attributes(self, record: logging.LogRecord) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for name, attribute in (("job_id", "job.id"), ("tool", "job.name")):
            if (value := getattr(record, name, None)) is not None:
                attributes[attribute] = value
        for name, value in vars(record).items():
            if name not in _PLAIN and name not in _OURS:
                attributes[name] = value if isinstance(value, (bool, int, float)) else _clean(str(value))
        if record.exc_info and record.exc_info[0] is not None:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            attributes["exception.message"] = _clean(str(record.exc_info[1]))
            attributes["exception.stacktrace"] = _clean(self._as_text.formatException(record.exc_info))
        elif record.exc_text:
            attributes["exception.stacktrace"] = _clean(record.exc_text)
        return attributes


def _is_of_others(record: logging.LogRecord) -> bool:
    """Whether a record has nothing to do with exporting, which would never come to an end."""
    return not record.name.startswith("opentelemetry") and not context.get_value(_SUPPRESS_INSTRUMENTATION_KEY)


def _context_of(record: logging.LogRecord) -> context.Context | None:
    """The trace that a record has brought from another process. None: that of the calling code."""
    trace_id, span_id = getattr(record, _TRACE_ID, None), getattr(record, _SPAN_ID, None)
    if not isinstance(trace_id, str) or not isinstance(span_id, str):
        return None
    try:
        found = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    except ValueError:  # a service's own `extra` of this name
        return None
    return trace.set_span_in_context(NonRecordingSpan(found), context.Context())


def _severity(level: int) -> SeverityNumber:
    return next((number for least, number in _SEVERITIES if level >= least), SeverityNumber.TRACE)


def _clean(text: str) -> str:
    return bounded_text(without_credentials(redacted(text)).encode(errors="replace").decode())
