"""Threads that don't keep the process alive."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["DaemonPool"]

T = TypeVar("T")

_Call = tuple[contextvars.Context, Callable[[], T], asyncio.AbstractEventLoop, "asyncio.Future[T]"]


class DaemonPool(Generic[T]):
    """Threads that are started when they are needed and reused. The caller bounds how many calls there are at once.

    They are daemons, other than those of `concurrent.futures` and `asyncio.to_thread`, which the interpreter waits for
    when it exits: a tool that never returns must not keep the process alive.

    Args:
        name: The start of the threads' names.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call[T] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0
        self._abandoned: set[asyncio.Future[T]] = set()

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a function on a thread, in the caller's context; the future has what it returns or raises.

        Raises:
            RuntimeError: if the system has no thread left. The function is not called.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            is_free = self._idle > 0
            if is_free:
                self._idle -= 1
            else:
                self._started += 1
        if not is_free:
            self._start_thread()
        self._calls.put((contextvars.copy_context(), function, loop, future))
        return future

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        except BaseException:  # the system has none left: the call is refused, and never made
            with self._lock:
                self._started -= 1
            raise

    def abandon(self, call: "asyncio.Future[T]") -> bool:
        """Wait no longer for a call: its future is cancelled, its thread goes on. False: it has just ended."""
        is_abandoned = call.cancel()
        if is_abandoned:
            self._abandoned.add(call)
        return is_abandoned

    @property
    def abandoned(self) -> int:
        """How many threads still are busy with a call that was abandoned."""
        return len(self._abandoned)

    def close(self) -> None:
        """End the idle threads at once, and those that are busy after their call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            self._do(*call)
            del call  # an idle thread must not keep a job's data

    def _do(
        self,
        context: contextvars.Context,
        function: Callable[[], T],
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[T]",
    ) -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = context.run(function)
        except BaseException as raised:  # noqa: BLE001 - it is passed on, whatever it is
            error = raised
        with self._lock:
            self._idle += 1
        try:
            loop.call_soon_threadsafe(self._resolve, future, value, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _resolve(self, future: "asyncio.Future[T]", value: T | None, error: BaseException | None) -> None:
        self._abandoned.discard(future)
        if not future.done():
            _set(future, value, error)


def _set(future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if error is None:
        future.set_result(value)
    elif isinstance(
        error, (StopIteration, KeyboardInterrupt, SystemExit)
    ):  # what a future can't carry, or a loop ends on
        future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        future.set_exception(error)
