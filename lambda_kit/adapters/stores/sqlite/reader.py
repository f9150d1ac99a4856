"""`Reader`: the thread that reads, and looks for what other processes have changed."""

import logging
import queue
import sqlite3
import time
from typing import Final

from lambda_kit.adapters.stores.sqlite.file import DatabaseFile
from lambda_kit.adapters.stores.sqlite.queries import changes_since
from lambda_kit.adapters.stores.sqlite.thread import Call, DatabaseThread, OnChanges
from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.runtime.retry import BackOff

__all__ = ["UNKNOWN", "Reader"]

UNKNOWN: Final = -1
"""The number of the last change that was seen, where it is not known."""

logger = logging.getLogger("lambda_kit.store")

_POLL_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0


class Reader(DatabaseThread[sqlite3.Connection]):
    """Reads, and while there are subscribers looks for what others have changed.

    Args:
        name: The thread's name.
        file: The database.
        origin: Whose changes are not looked for.
        on_changes: Called with what others changed.
    """

    def __init__(self, name: str, file: DatabaseFile, origin: int, on_changes: OnChanges) -> None:
        super().__init__(name, file)
        self._origin = origin
        self._on_changes = on_changes
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None
        self._data_version: int | None = None
        self._next_poll = 0.0
        self._back_off = BackOff(_POLL_SECONDS, _LONGEST_PAUSE_SECONDS)
        self._is_deaf = False

    def look_for_changes(self, since: int) -> None:
        """Look for changes with higher numbers than this from now on; `UNKNOWN`: everything may have changed."""
        self.submit(lambda _: self._set_seen(since))

    def stop_looking(self) -> None:
        """Look for changes no longer."""
        self.submit(lambda _: self._set_seen(None))

    def _set_seen(self, seen: int | None) -> None:
        self._seen = seen
        self._data_version = None
        self._next_poll = 0.0

    def _connect(self) -> None:
        self._opened()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._file.open_for_reading()
            self._data_version = None
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _next_calls(self) -> list[Call[sqlite3.Connection]]:
        if self._seen is None:
            return super()._next_calls()
        try:
            return self._queued(self._calls.get(timeout=max(0.0, self._next_poll - time.monotonic())))
        except queue.Empty:
            return []

    def _serve(self, calls: list[Call[sqlite3.Connection]]) -> None:
        for call in calls:
            try:
                call.run(self._opened())
            except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
                self._failed([call], error)
            self._post(call.answer)
        if self._seen is not None and time.monotonic() >= self._next_poll:
            try:
                self._poll(self._seen)
            except Exception as error:  # noqa: BLE001 - to hear of nothing any more is worse than any of them
                self._note_deafness(error)
            else:
                self._next_poll = time.monotonic() + _POLL_SECONDS
                self._back_off.reset()
                self._is_deaf = False

    def _poll(self, seen: int) -> None:
        """Publish what others have changed since the last poll."""
        connection = self._opened()
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return
        changes, self._seen, has_more = changes_since(connection, seen, self._origin)
        self._data_version = None if has_more else data_version
        if changes:
            self._post(self._on_changes, changes)

    def _note_deafness(self, error: Exception) -> None:
        is_expected = isinstance(error, (sqlite3.Error, LambdaKitError))
        if not self._is_deaf:  # once, until a poll succeeds
            logger.warning(
                "changes of jobs by other processes are not heard of for a while: %s",
                error,
                exc_info=None if is_expected else error,
            )
        self._is_deaf = True
        self._next_poll = time.monotonic() + self._back_off.next_pause()
        if is_expected:
            self._failed([], error)
        else:
            self._seen = UNKNOWN  # one of the changes may be the cause: everything is to be looked at
