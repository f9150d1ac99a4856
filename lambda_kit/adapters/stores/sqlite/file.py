"""The file of a `SqliteJobStore`: how it is opened, and what its errors mean."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from lambda_kit.adapters.stores.alarm import Alarm
from lambda_kit.adapters.stores.sqlite.checks import PathCheck, read_edges
from lambda_kit.adapters.stores.sqlite.schema import MIGRATIONS, OLDEST_VERSION
from lambda_kit.core.errors import ConfigurationError, LambdaKitError, PayloadTooLargeError, UnavailableError

__all__ = ["DatabaseFile", "is_lock", "transaction"]

T = TypeVar("T")

_APPLICATION_ID: Final = 0x6C6B6A73  # marks the file as ours: "lkjs"
_WAL_BYTES: Final = 64 * 1024 * 1024  # what is kept of the write-ahead log after large bodies went through it

# What retrying does not mend, and what does. Anything else (disk full, input/output error) may pass.
_DAMAGED: Final = (
    "it is damaged: restore it from a backup, save what can be read by `sqlite3 jobs.db .recover`, or move it (and its "
    "-wal and -shm files) away"
)
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REMEDIES: Final = {
    sqlite3.SQLITE_NOTADB: "it is not a database: name another file, or move this one away",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_READONLY: "it can't be written: this process needs write permission for the file and its directory",
    sqlite3.SQLITE_PERM: "this process may not open it: give it read and write permission",
    sqlite3.SQLITE_AUTH: "this process may not open it: give it read and write permission",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: this process needs write permission for the file and its directory",
}
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PAUSE_SECONDS: Final = 0.01
_MENDING_SECONDS: Final = 60.0  # what somebody must mend takes at least so long


class DatabaseFile:
    """Opens connections to one database file. May be used on any thread.

    Args:
        path: The file. It is made if it is not there; its directory must be.
        busy_timeout_seconds: For how long a connection waits for the lock of another one.
    """

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        self.path = path
        self.busy_timeout_seconds = busy_timeout_seconds
        self._place = PathCheck(path)
        self._alarm = Alarm()

    def renew(self) -> None:
        """Whatever file is at the path may be opened next. Until this is called again, no other one is taken for it."""
        self._place.forget()

    def check_place(self) -> None:
        """See whether the file that is open is still the one at the path.

        Raises:
            UnavailableError: if what is written to it would be lost.
        """
        if self._place.is_another():
            raise self._to_be_mended(
                f"the job store {self.path} can't be used: the file was removed, or replaced by another, while it was "
                "in use; restart the service"
            )

    def open(self) -> sqlite3.Connection:
        """Open for writing; makes or migrates the schema where that is needed.

        Raises:
            ConfigurationError: if the file can't be used as it is.
            UnavailableError: if it may be possible later.
        """
        try:
            if self.path.is_dir():
                raise self._unusable("it is a directory: name a file")
            if not self.path.parent.is_dir():
                raise self._unusable(f"there is no directory {self.path.parent}: make it, or name another file")
        except PermissionError as error:
            raise self._unusable(f"{error}: this process needs permission to enter the directories above it") from error
        connection = self._guarded(self._open_for_writing)
        self._place.note_opened()
        return connection

    def open_for_reading(self) -> sqlite3.Connection:
        """Open for reading what `open` has made. Raises as `open`."""
        return self._guarded(self._open_for_reading)

    def open_without_waiting(self) -> sqlite3.Connection:
        """Open for reading; no call waits for a lock. May be used on another thread. Raises as `open`."""
        return self._guarded(lambda: self._open_for_reading(timeout=0.0))

    def translated(self, error: Exception) -> Exception:
        """The error that a caller gets for one of an open database. One that is a fault of ours is as it was.

        What somebody must mend is logged, too.
        """
        if isinstance(error, UnavailableError):
            return error
        if isinstance(error, LambdaKitError):  # the file could not be opened again
            return self._to_be_mended(str(error))
        if isinstance(error, (sqlite3.DataError, OverflowError)):
            return PayloadTooLargeError(f"more bytes than a job store in an SQLite file can keep in one piece: {error}")
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
            if _code(error) in _DAMAGE:
                return self._to_be_mended(f"the job store {self.path} can't be used: {error}; {_DAMAGED}")
            return UnavailableError(f"the job store {self.path} can't be used now: {error}")
        return error

    def _guarded(self, opener: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        try:
            return opener()
        except sqlite3.Error as error:
            remedy = _REMEDIES.get(_code(error))
            raise self._unusable(f"{error}; {remedy}") if remedy else self.translated(error) from error

    def _to_be_mended(self, what: str) -> UnavailableError:
        self._alarm.sound(what)
        return UnavailableError(what, retry_after_seconds=_MENDING_SECONDS)

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"the job store {self.path} can't be used: {why}")

    def _open_for_writing(self) -> sqlite3.Connection:
        return self._connected(self.busy_timeout_seconds, self._prepare)

    def _open_for_reading(self, timeout: float | None = None) -> sqlite3.Connection:
        def prepare(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT change FROM counters").fetchone()  # reads the schema, which takes a while

        return self._connected(self.busy_timeout_seconds if timeout is None else timeout, prepare)

    def _connected(self, timeout: float, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        self.check_place()  # SQLite would make a file that is not there
        connection = sqlite3.connect(
            self.path, timeout=timeout, isolation_level=None, cached_statements=256, check_same_thread=False
        )
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # before anything is changed in it: it may be another application's
        self._version(connection)
        mode = self._patiently(lambda: str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]))
        if mode != "wal":
            raise self._unusable(
                f"its file system can't do write-ahead logging (journal mode '{mode}'), as that of a network drive: "
                "name a file on a local disk"
            )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        connection.execute("PRAGMA temp_store=MEMORY")
        with transaction(connection):
            # somebody else may have been first
            migrations = MIGRATIONS[max(self._version(connection) - OLDEST_VERSION + 1, 0) :]
            for statement in (statement for statements in migrations for statement in statements):
                connection.execute(statement)
            if migrations:
                connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={_newest_version()}")
            connection.execute("UPDATE counters SET change = change")  # fails for a file that may only be read
        read_edges(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the schema in the file; 0: it is empty."""
        query = (
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        )
        application_id, version, tables = self._patiently(lambda: connection.execute(query).fetchone())
        if application_id == 0 and version == 0 and tables == 0:
            return 0
        if application_id != _APPLICATION_ID:
            raise self._unusable("it is the database of another application: name another file")
        if version < OLDEST_VERSION:
            raise self._unusable(
                f"it was written by an older version of lambda_kit (schema {version}; this one reads schemas from "
                f"{OLDEST_VERSION} on): let that version finish its jobs, then name another file, or move this one "
                "(and its -wal and -shm files) away"
            )
        if version > _newest_version():
            raise self._unusable(
                f"it was written by a newer version of lambda_kit (schema {version}; this one knows schemas up to "
                f"{_newest_version()}): install that version, or name another file"
            )
        return int(version)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call again while the database is locked: not each lock of an opening file is one that SQLite waits for."""
        deadline = time.monotonic() + self.busy_timeout_seconds
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if not is_lock(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)


def _newest_version() -> int:
    return OLDEST_VERSION - 1 + len(MIGRATIONS)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing of what is done within. `kind` is IMMEDIATE for writing, DEFERRED for reading one state."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, may have ended it
            connection.execute("ROLLBACK")
        raise


def is_lock(error: sqlite3.Error) -> bool:
    """Whether another connection's lock has failed a call."""
    return _code(error) in _BUSY


def _code(error: Exception) -> int:
    """SQLite's primary result code; -1: the error is none of SQLite's."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF
