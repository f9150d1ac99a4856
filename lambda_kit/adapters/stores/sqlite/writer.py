"""`Writer`: the thread that writes, with group commit."""

import math
import sqlite3
import time
from collections.abc import Callable, Sequence

from lambda_kit.adapters.stores.sqlite.file import DatabaseFile, is_lock
from lambda_kit.adapters.stores.sqlite.thread import Call, DatabaseThread, OnChanges
from lambda_kit.adapters.stores.sqlite.writes import Operations
from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.ports.store import Change

__all__ = ["Writer"]


class Writer(DatabaseThread[Operations]):
    """Writes. What was asked for while one transaction was committed goes into the next one, all together.

    Args:
        name: The thread's name.
        file: The database.
        make_operations: Called with the connection.
        on_changes: Called with what changed.
    """

    def __init__(
        self,
        name: str,
        file: DatabaseFile,
        make_operations: Callable[[sqlite3.Connection], Operations],
        on_changes: OnChanges,
    ) -> None:
        super().__init__(name, file)
        self._make_operations = make_operations
        self._on_changes = on_changes
        self._operations: Operations | None = None
        self._is_locked = False  # by another process, when a transaction was last begun

    def _connect(self) -> None:
        self._opened()

    def _opened(self) -> Operations:
        if self._operations is None:
            self._operations = self._make_operations(self._file.open())
        return self._operations

    def _disconnect(self) -> None:
        operations, self._operations = self._operations, None
        if operations is not None:
            operations.connection.close()

    def _serve(self, calls: list[Call[Operations]]) -> None:
        if calls:
            changes = self._together(calls)
            self._post(self._answer, calls, list(changes.values()))

    def _together(self, calls: Sequence[Call[Operations]]) -> dict[str, Change]:
        """Run calls in one transaction; returns what changed. Where one fails, each gets its own."""
        try:
            operations, calls = self._begun(calls)
        except (sqlite3.Error, LambdaKitError) as error:
            self._failed(calls, error)
            return {}
        except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
            self._fail_unexpectedly(calls, error)
            return {}
        try:
            for call in calls:
                call.run(operations)
            operations.commit()
        except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
            self._undo(operations)
            if len(calls) > 1:
                return self._one_by_one(calls)
            self._failed(calls, error)
            return {}
        return operations.changes

    def _begun(self, calls: Sequence[Call[Operations]]) -> tuple[Operations, Sequence[Call[Operations]]]:
        """Begin a transaction, for calls or, where another process has the file locked, for those that can still wait.

        The others have failed. What waits behind them is not given all the time again: whoever asks has been waiting
        since then.
        """
        while True:
            operations = self._opened()
            self._file.check_place()
            try:
                self._begin(operations, calls[0])
            except sqlite3.Error as error:
                self._is_locked = is_lock(error)
                in_time = [call for call in calls if self._is_locked and self._seconds_left(call) > 0]
                if not in_time:
                    raise
                late, calls = calls[: -len(in_time)], in_time
                self._failed(late, error)
                for call in late:
                    self._post(call.answer)
            else:
                return operations, calls

    def _begin(self, operations: Operations, oldest: Call[Operations]) -> None:
        was_locked = self._is_locked
        if was_locked:
            _set_timeout(operations, self._seconds_left(oldest))
        operations.begin()
        if was_locked:
            _set_timeout(operations, self._file.busy_timeout_seconds)
        self._is_locked = False

    def _seconds_left(self, call: Call[Operations]) -> float:
        return max(0.0, call.asked_at + self._file.busy_timeout_seconds - time.monotonic())

    def _one_by_one(self, calls: Sequence[Call[Operations]]) -> dict[str, Change]:
        changes: dict[str, Change] = {}
        for call in calls:
            changes |= self._together([call])
        return changes

    def _undo(self, operations: Operations) -> None:
        try:
            operations.roll_back()
        except sqlite3.Error:  # to close it undoes as much
            self._disconnect()

    def _answer(self, calls: Sequence[Call[Operations]], changes: Sequence[Change]) -> None:
        for call in calls:
            call.answer()
        if changes:
            self._on_changes(changes)


def _set_timeout(operations: Operations, seconds: float) -> None:
    operations.execute(f"PRAGMA busy_timeout={math.ceil(seconds * 1000)}")
