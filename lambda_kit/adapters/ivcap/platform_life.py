"""Has the platform told of a server's jobs while the server runs."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from lambda_kit.adapters.ivcap.environment import sidecar_url
from lambda_kit.adapters.ivcap.result_callback import ResultCallback
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.runtime.threads import read_off_loop

__all__ = ["platform_told"]

_CALLBACK_SECONDS = 5.0
"""For how long a stop waits for results that are passed to the callback of `ivcap_service.set_result_callback`."""


class _Host(Protocol):
    """What is needed of a server: a `JobEngine` that has not started."""

    observers: Observers

    def has_sink(self, name: str) -> bool: ...

    def add_sink(self, sink: JobSink) -> Callable[[], None]: ...


@contextlib.asynccontextmanager
async def platform_told(host: _Host, result_types: Mapping[str, Any]) -> AsyncIterator[None]:
    """While the block lasts, the sidecar is told of jobs where ``$IVCAP_BASE_URL`` is set; so is the result callback.

    Args:
        host: Starts and stops within the block. A sink for the sidecar that it has already takes the place of ours.
        result_types: The return annotations of the tools, by name.
    """
    callback = ResultCallback(result_types)
    host.observers.on_end = callback.ended
    remove: Callable[[], None] | None = None
    if sidecar_url() is not None:
        from lambda_kit.adapters.ivcap.sidecar_sink import IvcapSidecarSink  # noqa: PLC0415 - it is not always needed

        if not host.has_sink(IvcapSidecarSink.name):
            remove = host.add_sink(IvcapSidecarSink())
    try:
        yield
    finally:
        host.observers.on_end = None
        if remove is not None:
            remove()
        thread = callback.stop()
        if thread is not None:
            await read_off_loop(thread.join, _CALLBACK_SECONDS)
