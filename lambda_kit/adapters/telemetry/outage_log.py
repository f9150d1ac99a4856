"""Keeps a collector that is away from filling the log."""

import contextlib
import logging
import time
from collections.abc import Iterator

__all__ = ["spared_log"]

_EXPORTERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.sdk._shared_internal",  # says what it drops
)
_EVERY_SECONDS = 60.0


class _OneAMinute(logging.Filter):
    """Passes one record of a logger a minute: an exporter that can't send says so several times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next.get(record.name, 0.0):
            return False
        self._next[record.name] = now + _EVERY_SECONDS
        return True


@contextlib.contextmanager
def spared_log() -> Iterator[None]:
    """While the block lasts, exporters log at most one line a minute each."""
    one_a_minute = _OneAMinute()
    loggers = [logging.getLogger(name) for name in _EXPORTERS]
    for logger in loggers:
        logger.addFilter(one_a_minute)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(one_a_minute)
