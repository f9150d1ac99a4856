"""Telemetry in this process, which several servers may share. Imported only where telemetry is on."""

import contextlib
import threading
from collections.abc import Iterator

from opentelemetry import _logs

from lambda_kit.adapters.telemetry.destination import Destination
from lambda_kit.adapters.telemetry.log_export import exported_logs, traced_logs
from lambda_kit.adapters.telemetry.outage_log import spared_log
from lambda_kit.adapters.telemetry.outgoing import instrumented_clients
from lambda_kit.adapters.telemetry.providers import set_up

__all__ = ["telemetry_in_process"]

_changing = threading.Lock()
_users = 0
_undo = contextlib.ExitStack()


@contextlib.contextmanager
def telemetry_in_process(
    destination: Destination, *, name: str, version: str, is_worker: bool = False
) -> Iterator[None]:
    """While the block lasts, for the first that needs it until the last: spans of clients, and log lines, are sent.

    Args:
        destination: Where signals go.
        name: Of the service.
        version: Of the service.
        is_worker: Whether this is a worker process, whose log lines the server exports.
    """
    global _users  # noqa: PLW0603 - what is set up here belongs to the process
    with _changing:
        if _users == 0:
            with contextlib.ExitStack() as stack:
                set_up(destination, name=name, version=version, is_worker=is_worker)
                stack.enter_context(spared_log())
                stack.enter_context(traced_logs())
                if not is_worker and hasattr(_logs.get_logger_provider(), "force_flush"):
                    stack.enter_context(exported_logs())
                stack.enter_context(instrumented_clients(destination))
                _undo.push(stack.pop_all())
        _users += 1
    try:
        yield
    finally:
        with _changing:
            _users -= 1
            if _users == 0:
                _undo.close()
