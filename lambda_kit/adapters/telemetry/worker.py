"""Telemetry in a worker process of a `ProcessExecutor`."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from lambda_kit.adapters.telemetry.destination import destination
from lambda_kit.adapters.telemetry.process_wide import telemetry_in_process
from lambda_kit.adapters.telemetry.providers import flush

__all__ = ["WorkerTelemetry"]

_FLUSH_SECONDS = 1.0
"""How long the end of a worker process waits for spans that are on their way."""


@dataclass(frozen=True)
class WorkerTelemetry:
    """What a worker process needs to know. It is pickled with the observer."""

    name: str
    """Of the service."""
    version: str
    """Of the service."""

    @contextlib.contextmanager
    def around_worker(self) -> Iterator[None]:
        """Set up what sends spans and metrics, for the life of the process."""
        with telemetry_in_process(destination(), name=self.name, version=self.version, is_worker=True):
            try:
                yield
            finally:
                flush(_FLUSH_SECONDS)
