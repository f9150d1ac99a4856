"""`FileClock`: one time for all processes that have an SQLite file open, whatever becomes of the wall clock."""

import sqlite3
import time
from collections.abc import Callable

from lambda_kit.core.runtime.steady_clock import boot_seconds
from lambda_kit.core.runtime.worker_id import machine_boot

__all__ = ["FileClock"]


class FileClock:
    """Seconds since the epoch by `boot_seconds`, and by how much that is behind, as the file says.

    The first process that opens the file while no other uses it writes that difference by the wall clock. It holds for
    all that come while there is a living worker, so a step of the wall clock changes no lease and no retention. On
    systems that do not name their boots this is the wall clock.

    Args:
        clock: Gives the time in place of all that. For tests.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._ahead: float | None = None

    def __call__(self) -> float:
        """The time now, in seconds since the epoch. From any thread."""
        if self._clock is not None:
            return self._clock()
        return time.time() if self._ahead is None else boot_seconds() + self._ahead

    def agree(self, connection: sqlite3.Connection) -> None:
        """Take over the time of those that have the file open, or begin with the wall clock's. In a transaction."""
        if self._clock is not None:
            return
        try:
            boot = machine_boot()
        except OSError:
            boot = ""
        if not boot:
            return
        ahead = next((row[0] for row in connection.execute("SELECT ahead FROM clock WHERE boot = ?", (boot,))), None)
        if ahead is None or not self._is_in_use(connection, boot_seconds() + ahead):
            ahead = time.time() - boot_seconds()
            connection.execute("DELETE FROM clock")
            connection.execute("INSERT INTO clock VALUES (?, ?)", (boot, ahead))
        self._ahead = ahead

    @staticmethod
    def _is_in_use(connection: sqlite3.Connection, now: float) -> bool:
        return connection.execute("SELECT 1 FROM workers WHERE alive_until > ? LIMIT 1", (now,)).fetchone() is not None
