"""Threads that don't keep the process alive, and work that is taken off the event loop."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["DaemonPool", "off_loop", "read_off_loop"]

T = TypeVar("T")
P = ParamSpec("P")

_Call = tuple[contextvars.Context, Callable[[], T], asyncio.AbstractEventLoop, "asyncio.Future[T]"]


class DaemonPool(Generic[T]):
    """Threads that are started when they are needed and reused.

    They are daemons, other than those of `concurrent.futures` and `asyncio.to_thread`, which the interpreter waits for
    when it exits: a tool that never returns must not keep the process alive.

    Args:
        name: The start of the threads' names.
        max_threads: How many there are at most; further calls wait for one. None: the caller bounds how many calls
            there are at once.
    """

    def __init__(self, name: str, *, max_threads: int | None = None) -> None:
        self._name = name
        self._max_threads = max_threads
        self._calls: queue.SimpleQueue[_Call[T] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # negative: so many calls wait for a thread
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
            is_free = self._idle > 0 or self._started == self._max_threads
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


# Process-wide, as threads without state may be. Not the event loop's default executor, which belongs to tools: one that
# fills it (`asyncio.to_thread`) must not hold up requests.
_work: DaemonPool[Any] = DaemonPool("lambda_kit-work", max_threads=8)
_files: DaemonPool[Any] = DaemonPool("lambda_kit-files", max_threads=32)


async def off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function of the framework on one of 8 threads of its own, in the caller's context; it must not block."""
    return await _work.call(partial(function, *args, **kwargs))  # type: ignore[no-any-return]


async def read_off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what reads a file of the user's, which may block: on one of 32 other threads."""
    return await _files.call(partial(function, *args, **kwargs))  # type: ignore[no-any-return]
