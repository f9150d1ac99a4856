"""`Telemetry`: whether a server has telemetry, and its life. Imports nothing of OpenTelemetry unless there is some."""

import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from lambda_kit.adapters.telemetry.destination import (
    ENDPOINT_VARIABLES,
    Destination,
    asked_for,
    destination,
    is_disabled,
)
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.runtime.threads import DaemonPool

if TYPE_CHECKING:
    from lambda_kit.adapters.telemetry.parts import TelemetryParts

__all__ = ["Telemetry"]

logger = logging.getLogger("lambda_kit.telemetry")

_INSTALL = "pip install 'lambda-kit[otel]'"


class _Observers(Protocol):
    """Those of an engine."""

    def add(self, observer: JobObserver) -> None: ...
    def remove(self, observer: JobObserver) -> None: ...


class _AroundRequests(Protocol):
    """Where to put what is around each request."""

    around_request: Any


class Telemetry:
    """Traces, metrics and logs of a server by OpenTelemetry, where they are wanted (docs/telemetry.md).

    Args:
        name: Of the service.
        version: Says the version of the service.
    """

    def __init__(self, name: str, version: Callable[[], str]) -> None:
        self._name = name
        self._version = version
        self._given: bool | None = None
        self._is_batch = False

    def choose(self, wanted: bool | None, *, is_batch: bool = False) -> None:
        """Take what a flag or an argument says, before the start.

        Args:
            wanted: Whether to have telemetry. None: the environment decides.
            is_batch: Whether this is a batch service.
        """
        if wanted is not None:
            self._given = wanted
        self._is_batch = self._is_batch or is_batch

    @contextlib.asynccontextmanager
    async def live(self, observers: _Observers, requests: _AroundRequests) -> AsyncIterator[None]:
        """The life of a server. Without telemetry, nothing happens.

        Args:
            observers: Gets one that makes the spans and metrics of jobs.
            requests: Gets what makes the spans of requests.
        """
        where = self._destination()
        if where is None:
            yield
            return
        threads: DaemonPool[Any] = DaemonPool("lambda_kit-telemetry")
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(threads.close)
            # on a thread: imports take long, and so may what they read
            begin = partial(_begin, where, self._name, self._version(), is_batch=self._is_batch)
            parts: TelemetryParts | None = await threads.call(begin)
            if parts is None:
                yield
                return
            stack.push_async_callback(threads.call, parts.end)
            observers.add(parts.jobs)
            stack.callback(observers.remove, parts.jobs)
            stack.callback(parts.jobs.close)
            requests.around_request = parts.requests
            stack.callback(setattr, requests, "around_request", None)
            logger.info("telemetry: %s", _sent(where))
            yield

    def _destination(self) -> Destination | None:
        """Where telemetry goes. None: there is none."""
        if is_disabled():
            return None
        wanted = asked_for(self._given)
        if wanted is False:
            return None
        where = destination()
        for trouble in where.troubles:
            logger.warning("telemetry: %s", trouble)
        if where.endpoints or (wanted and _is_provided()):
            return where
        if wanted and not where.troubles:
            logger.warning(
                "telemetry was asked for, and no endpoint is known: serving without it; set one of %s",
                ", ".join(f"${name}" for name in ENDPOINT_VARIABLES),
            )
        return None


def _begin(where: Destination, name: str, version: str, *, is_batch: bool) -> "TelemetryParts | None":
    """Set it up. None: it can't be, and why is in the log; a service does its work without traces, too."""
    try:
        # this loads the SDK, which a service without telemetry must not pay for
        from lambda_kit.adapters.telemetry.parts import TelemetryParts  # noqa: PLC0415

        return TelemetryParts(where, name, version, is_batch=is_batch)
    except ImportError as error:
        text = "telemetry was asked for, and its packages are missing (%s): serving without it; install them: %s"
        logger.warning(text, error, _INSTALL)
    except Exception as error:  # noqa: BLE001 - of OpenTelemetry's: a variable that it does not understand
        text = "telemetry can't be set up: %s: %s: serving without it; look at the variables OTEL_*"
        logger.warning(text, type(error).__name__, error)
    return None


def _is_provided() -> bool:
    """Whether the program has set a tracer provider of its own."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _sent(where: Destination) -> str:
    """What is sent, in words, without what a URL may have of credentials."""
    if not where.endpoints:
        return "recorded for the providers that the program has set"
    signals: dict[str, list[str]] = {}
    for signal, url in where.endpoints.items():
        parts = urlsplit(url)
        signals.setdefault(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", []).append(signal)
    return "; ".join(f"{', '.join(names)} are sent to {host}" for host, names in signals.items())
