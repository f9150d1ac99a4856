"""What is looked at in the file of a `SqliteJobStore`: whether it is damaged, and still the one at its path."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables and columns

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["PathCheck", "read_edges"]

# Where each table and index begins and ends: half a millisecond, however large the file is. To check all of it would
# take as long as to read it.
_SORTED: Final = (
    ("jobs", "number"),
    ("jobs", "id"),
    ("jobs", "idempotency_key"),
    ("jobs", "status"),
    ("jobs", "lease_expires_at"),
    ("jobs", "expires_at"),
    ("jobs", "change"),
    ("jobs", "principal"),
    ("jobs", "share"),
    ("requests", "number"),
    ("results", "number"),
    ("events", "number"),
    ("workers", "worker_id"),
    ("slots", "name"),
    ("sinks", "name"),
    ("outbox", "sink"),
    ("outbox", "number"),
    ("due", "sink"),
    ("retired", "number"),
    ("retired", "deliver_until"),
    ("clock", "boot"),
    ("secrets", "name"),
    ("buckets", "name"),
)
# what finds the indexes that do not have all rows
_PARTIAL: Final = {
    "share": "INDEXED BY jobs_by_share WHERE share IS NOT NULL AND status IN ('pending', 'executing')",
    **{
        column: f"WHERE {column} IS NOT NULL"
        for column in ("idempotency_key", "lease_expires_at", "expires_at", "principal")
    },
}


def read_edges(connection: sqlite3.Connection) -> None:
    """Read the first and the last entry of each table and index: a file that is damaged there is of no use.

    Raises:
        sqlite3.DatabaseError: if it is.
    """
    for query in _edges():
        connection.execute(query).fetchone()


def _edges() -> Iterator[str]:
    for table, column in _SORTED:
        condition = _PARTIAL.get(column, "")
        for order in ("ASC", "DESC"):
            yield f"SELECT {column} FROM {table} {condition} ORDER BY {column} {order} LIMIT 1"


class PathCheck:
    """Sees whether the file at a path is still the one that was opened.

    What is written to one that was deleted, or that another one was put in the place of, is gone when it is closed, and
    SQLite does not say so. May be used on any thread.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def forget(self) -> None:
        """Take whatever file is there next."""
        self._opened = None

    def note_opened(self) -> None:
        """The file at the path is open; no other is taken for it from now on."""
        if self._opened is None:
            found = self._path.stat()
            self._opened = (found.st_dev, found.st_ino)

    def is_another(self) -> bool:
        """Whether the file that was opened is not at the path any more."""
        if self._opened is None:
            return False
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # it can't be known
            return False
        return (found.st_dev, found.st_ino) != self._opened
