"""The parts of telemetry in a server that has it. Imported only then: this loads OpenTelemetry's SDK."""

import contextlib
import logging

from lambda_kit.adapters.telemetry.destination import Destination
from lambda_kit.adapters.telemetry.job_spans import JobSpans
from lambda_kit.adapters.telemetry.process_wide import telemetry_in_process
from lambda_kit.adapters.telemetry.providers import flush
from lambda_kit.adapters.telemetry.server_spans import ServerSpans
from lambda_kit.adapters.telemetry.worker import WorkerTelemetry

__all__ = ["TelemetryParts"]

logger = logging.getLogger("lambda_kit.telemetry")

_FLUSH_SECONDS = 1.5
"""How long a stop waits until what was recorded is sent."""


class TelemetryParts:
    """What a server has of telemetry. To be made, and ended, on a thread: both may take long.

    Args:
        where: Where signals go.
        name: Of the service.
        version: Of the service.
        is_batch: Whether this is a batch service.
    """

    def __init__(self, where: Destination, name: str, version: str, *, is_batch: bool) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(telemetry_in_process(where, name=name, version=version))
            self.jobs = JobSpans(WorkerTelemetry(name, version), is_batch=is_batch)
            self.requests = ServerSpans()
            self._stack = stack.pop_all()

    def end(self) -> None:
        """Send what was recorded, for a bounded time."""
        self._stack.close()
        if not flush(_FLUSH_SECONDS):
            logger.warning(
                "telemetry: the collector does not take what was recorded within %g s: going on without it",
                _FLUSH_SECONDS,
            )
