"""Carries log lines from worker processes to the server, whose configuration they follow."""

import logging
from collections.abc import Callable
from typing import Any

from lambda_kit.adapters.executors.process.messages import Logged
from lambda_kit.core.model.bounds import bounded_text
from lambda_kit.core.runtime.credentials import redacted
from lambda_kit.core.runtime.tracebacks import TracebackFormatter
from lambda_kit.core.tools.results import encodable
from lambda_kit.logs import JobFilter

__all__ = ["LogForwarder", "handle_logged"]

_SENT_AS_TEXT = frozenset({"args", "exc_info", "msg", "message"})
_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "job_id", "tool"})


class LogForwarder(logging.Handler):
    """Sends each record to the server, with the job that it belongs to. The only handler of a worker's root logger.

    Args:
        send: Sends a message; from any thread.
    """

    def __init__(self, send: Callable[[Logged], None]) -> None:
        super().__init__()
        self._send = send
        self._as_text = TracebackFormatter()
        self.addFilter(JobFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; one that can't be encoded is sent without what was added by `extra`."""
        try:
            attributes = self._attributes(record)
            try:
                self._send(Logged(attributes))
            except Exception:  # noqa: BLE001 - an extra can be anything
                self._send(Logged({name: value for name, value in attributes.items() if name in _PLAIN}))
        except Exception:  # noqa: BLE001 - as every handler: a line that can't be logged stops nobody
            self.handleError(record)

    def _attributes(self, record: logging.LogRecord) -> dict[str, Any]:
        attributes = {name: value for name, value in vars(record).items() if name not in _SENT_AS_TEXT}
        attributes["msg"] = encodable(record.getMessage())
        if record.exc_info:
            attributes["exc_text"] = encodable(self._as_text.formatException(record.exc_info))
        attributes = {name: redacted(value) for name, value in attributes.items()}
        # the server reads it on its event loop
        return {name: bounded_text(value) if isinstance(value, str) else value for name, value in attributes.items()}


def handle_logged(message: Logged) -> None:
    """Log in the server what was logged in a worker."""
    record = logging.makeLogRecord(message.record)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
