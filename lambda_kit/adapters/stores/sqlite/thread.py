"""`DatabaseThread`: a thread with a connection of its own."""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from lambda_kit.adapters.stores.sqlite.file import DatabaseFile
from lambda_kit.core.errors import LambdaKitError, UnavailableError
from lambda_kit.core.ports.store import Change

__all__ = ["Call", "DatabaseThread", "OnChanges"]

logger = logging.getLogger("lambda_kit.store")

C = TypeVar("C")
T = TypeVar("T")

OnChanges = Callable[[Sequence[Change]], None]
"""Called on the event loop with what changed."""

_MAX_CALLS: Final = 1000
_MAX_BYTES: Final = 16 * 1024 * 1024
_HARMLESS: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)  # to the connection


class Call(Generic[C]):
    """A function to be called on a thread, and who waits for it."""

    __slots__ = ("asked_at", "error", "function", "future", "size", "value")

    def __init__(self, function: Callable[[C], Any], future: "asyncio.Future[Any]", size: int) -> None:
        self.function = function
        self.future = future
        self.size = size
        self.asked_at = time.monotonic()
        self.value: Any = None
        self.error: Exception | None = None

    def run(self, argument: C) -> None:
        """Call the function. What it refuses is its answer; other errors are raised."""
        self.value = self.error = None
        try:
            self.value = self.function(argument)
        except LambdaKitError as error:
            self.error = error

    def answer(self) -> None:
        """Give the caller its answer."""
        if self.future.done():  # nobody does: it was cancelled
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class DatabaseThread(ABC, Generic[C]):
    """A thread that has a database connection, and calls functions with it.

    Args:
        name: The thread's name.
        file: The database.
    """

    def __init__(self, name: str, file: DatabaseFile) -> None:
        self._name = name
        self._file = file
        self._thread: threading.Thread | None = None
        self._is_ending = False

    async def start(self) -> None:
        """Start the thread, and open its connection. Raises as `DatabaseFile.open`."""
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[Call[C] | None] = queue.SimpleQueue()
        self._is_ending = False
        opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(opened,), name=self._name, daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the thread, after what it was asked to do before. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            await self._ended
            thread.join()

    def submit(self, function: Callable[[C], T], size: int = 0) -> "asyncio.Future[T]":
        """Have a function called on the thread.

        Args:
            function: What to call.
            size: How many bytes it handles, where these are many.

        Raises:
            UnavailableError: if the thread is not there.
        """
        if self._thread is None:
            raise UnavailableError("the job store is not open")
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.put(Call(function, future, size))
        return future

    @abstractmethod
    def _connect(self) -> None:
        """Open the connection, if it is not open. Raises as `DatabaseFile.open`."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connection, if it is open."""

    @abstractmethod
    def _serve(self, calls: list[Call[C]]) -> None:
        """Run calls, and post their answers."""

    def _next_calls(self) -> list[Call[C]]:
        """What there is to do. Waits until there is something; empty: the end."""
        return self._queued(self._calls.get())

    def _queued(self, call: Call[C] | None) -> list[Call[C]]:
        """A call, and others that wait behind it, as many as should be done at once."""
        calls: list[Call[C]] = []
        size = 0
        while call is not None:
            calls.append(call)
            size += call.size
            if len(calls) == _MAX_CALLS or size > _MAX_BYTES or self._calls.empty():
                return calls
            call = self._calls.get()
        self._is_ending = True
        return calls

    def _work(self, opened: "asyncio.Future[None]") -> None:
        try:
            self._connect()
        except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
            self._post(_fail, opened, error)
        else:
            self._post(_succeed, opened)
            while not self._is_ending:
                self._work_once()
        try:
            self._disconnect()
        finally:
            self._post(_succeed, self._ended)

    def _work_once(self) -> None:
        """Do what there is to do, and go on whatever becomes of it: without this thread each call would wait for ever.

        A function of its own, so that a thread that waits does not keep a job's data.
        """
        calls: list[Call[C]] = []
        try:
            calls = self._next_calls()
            self._serve(calls)
        except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
            self._fail_unexpectedly(calls, error)
            for call in calls:
                self._post(call.answer)

    def _failed(self, calls: Sequence[Call[C]], error: Exception) -> None:
        """Note the failure of calls, and give up a connection that may not be good any more."""
        for call in calls:
            call.error = self._file.translated(error)
        is_harmless = getattr(error, "sqlite_errorcode", 0) & 0xFF in _HARMLESS
        if isinstance(self._file.translated(error), UnavailableError) and not is_harmless:
            self._disconnect()

    def _fail_unexpectedly(self, calls: Sequence[Call[C]], error: Exception) -> None:
        """Note the failure of calls by an error that is not one of theirs, and begin anew with another connection."""
        logger.error("the job store %s can't be used now: %s", self._file.path, error, exc_info=error)
        for call in calls:
            call.error = UnavailableError(f"the job store {self._file.path} can't be used now: {error!r}")
            call.error.__cause__ = error
        try:
            self._disconnect()
        except Exception:
            logger.exception("a connection to the job store %s can't be closed", self._file.path)

    def _post(self, function: Callable[..., None], *args: object) -> None:
        """Have a function called on the event loop."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._is_ending = True


def _succeed(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: "asyncio.Future[None]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
