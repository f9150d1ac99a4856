"""`Writer`: the thread that writes, with group commit."""

import sqlite3
from collections.abc import Callable, Sequence

from lambda_kit.adapters.stores.sqlite_file import DatabaseFile
from lambda_kit.adapters.stores.sqlite_thread import Call, DatabaseThread, OnChanges
from lambda_kit.adapters.stores.sqlite_writes import Operations
from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.store import Change

__all__ = ["Writer"]


class Writer(DatabaseThread[Operations]):
    """Writes. What was asked for while one transaction was committed goes into the next one, all together.

    Args:
        name: The thread's name.
        file: The database.
        make_operations: Called with the connection.
        on_changes: Is told what changed.
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
            self._post(self._settle, calls, list(changes.values()))

    def _together(self, calls: Sequence[Call[Operations]]) -> dict[str, Change]:
        """Run calls in one transaction; returns what changed. Where one fails, each gets its own."""
        try:
            operations = self._opened()
            self._file.check_place()
            operations.begin()
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

    def _settle(self, calls: Sequence[Call[Operations]], changes: Sequence[Change]) -> None:
        for call in calls:
            call.settle()
        if changes:
            self._on_changes(changes)
