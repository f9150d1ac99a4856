"""The rows of a `SqliteJobStore`, as its writer changes them."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables, columns and constants

import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain

import msgspec
from cachetools import LRUCache

from lambda_kit.adapters.stores.records import decode_job, encode_event, encode_job, is_expired
from lambda_kit.adapters.stores.sqlite.queries import SMALL_BYTES
from lambda_kit.core.model.events import Event, first_events, status_event
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Change

__all__ = ["Jobs", "Row"]

_COLUMNS = "number, last_seq, event_count, batch_token, batch, request_type IS NULL, record"

_STATUS_COLUMNS = (
    "status = ?, assigned_worker = ?, cancel_requested = ?, lease_expires_at = ?, expires_at = ?, change = ?,"
    " origin = ?, last_seq = ?, event_count = ?, record = ?"
)
_REMEMBERED = 10_000
_EVENTS_AT_ONCE = 100


class Row(msgspec.Struct, gc=False):
    """What is kept of one job, without the bodies and the log."""

    number: int
    """Grows with each job: the order of the list."""
    job: Job
    last_seq: int
    event_count: int
    batch: tuple[int, int]
    """Token and number of the last batch of events."""
    is_request_large: bool
    """Whether its request, while it is kept, is in a table of its own."""


class Jobs:
    """The jobs, within one transaction after the other. One thread uses it, and it alone writes to its connection.

    Numbers, how many jobs are unfinished, and the jobs that were last seen and are not final, are kept here from one
    transaction to the next while no other connection writes.

    Args:
        connection: The one to write to.
        origin: Stands for this writer, beside each change that it makes.
        event_log_size: How many events are kept of each job.
        clock: Gives the time.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, origin: int, event_log_size: int, clock: Callable[[], float]
    ) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.now = clock
        self.changes: dict[str, Change] = {}
        """What changed in this transaction, by job."""
        self._origin = origin
        self._event_log_size = event_log_size
        self._data_version: int | None = None
        self._number = self._change = self._saved_change = 0
        self._sinks: list[str] = []
        self._unfinished: dict[str, int] = {}
        self._rows: LRUCache[str, Row] = LRUCache(_REMEMBERED)

    # --- transactions ---

    def begin(self) -> None:
        """Begin a transaction; waits for that of another process."""
        self.execute("BEGIN IMMEDIATE")
        self.changes = {}
        (data_version,) = self.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version:  # another connection has written since
            self._number, self._change = self.execute("SELECT number, change FROM counters").fetchone()
            self._saved_change = self._change
            self._sinks = [name for (name,) in self.execute("SELECT name FROM sinks")]
            self._unfinished.clear()
            self._rows.clear()
            self._data_version = data_version

    def commit(self) -> None:
        """Keep what was done: it is on the disk when this returns."""
        if self._change != self._saved_change:
            self.execute("UPDATE counters SET number = ?, change = ?", (self._number, self._change))
        self.execute("COMMIT")
        self._saved_change = self._change

    def roll_back(self) -> None:
        """Undo what was done since `begin`."""
        self.changes = {}
        self._data_version = None  # what is remembered may be what was undone
        if self.connection.in_transaction:  # some errors, such as a full disk, may have ended it
            self.execute("ROLLBACK")

    # --- looking up ---

    def find(self, job_id: str) -> Row | None:
        """The job of that id, unless it has expired."""
        row: Row | None = self._rows.get(job_id)
        return row or self._row(self.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)))

    def find_by_key(self, idempotency_key: str) -> Row | None:
        """The job of that key, unless it has expired."""
        return self._row(self.execute(f"SELECT {_COLUMNS} FROM jobs WHERE idempotency_key = ?", (idempotency_key,)))

    def select(self, condition: str, *values: object) -> list[Row]:
        """The jobs for which an SQL condition, which may be followed by an order and a limit, holds."""
        rows = map(_new_row, self.execute(f"SELECT {_COLUMNS} FROM jobs WHERE {condition}", values))
        return [self._rows.get(row.job.id, row) for row in rows]

    def unfinished(self, tool: str) -> int:
        """How many jobs of a tool are not final."""
        count = self._unfinished.get(tool)
        if count is None:
            query = "SELECT count(*) FROM jobs WHERE status IN ('pending', 'executing') AND tool = ?"
            (count,) = self.execute(query, (tool,)).fetchone()
            self._unfinished[tool] = count
        return int(count)

    # --- changing ---

    def insert(self, job: Job, request: Payload) -> bool:
        """Keep a new job. False, and nothing is done, if there is one with its id or key."""
        first = first_events(job)
        log = first[-self._event_log_size :]
        self._number += 1
        self._change += 1
        small_type, small = _if_small(request)
        is_new = self.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, NULL, ?, ?, ?, ?, 0, 0, ?, ?, ?, NULL, NULL)"
            " ON CONFLICT DO NOTHING",
            (
                self._number, job.id, job.idempotency_key, job.tool, job.status.value, job.assigned_worker,
                job.home, job.lease_expires_at, self._change, self._origin, len(first), len(log), encode_job(job),
                small_type, small,
            ),
        ).rowcount  # fmt: skip
        if not is_new:
            return False
        if small is None:
            self._insert_large("requests", self._number, request)
        self._insert_events([(self._number, event.seq, encode_event(event)) for event in log])
        self._rows[job.id] = Row(self._number, job, len(first), len(log), (0, 0), small is None)
        for sink in self._sinks:
            self.execute("INSERT INTO outbox VALUES (?, ?, 0, NULL, NULL)", (sink, self._number))
        if job.tool in self._unfinished:
            self._unfinished[job.tool] += 1
        self._note(job)
        return True

    def transition(self, row: Row, after: Job, now: float, result: Payload | None = None) -> None:
        """Give a job its next status, and log that."""
        row.job = after
        row.last_seq += 1
        self._log(row, [status_event(row.last_seq, after.status, now)])
        self._change += 1
        values = (
            after.status.value, after.assigned_worker, after.cancel_requested, after.lease_expires_at, after.expires_at,
            self._change, self._origin, row.last_seq, row.event_count, encode_job(after),
        )  # fmt: skip
        if after.status.is_final:
            self._end(row, values, result)
        else:
            self.execute(f"UPDATE jobs SET {_STATUS_COLUMNS} WHERE number = ?", (*values, row.number))
        self._note(after)

    def _end(self, row: Row, values: tuple[object, ...], result: Payload | None) -> None:
        small_type, small = (None, None) if result is None else _if_small(result)
        self.execute(
            f"UPDATE jobs SET {_STATUS_COLUMNS}, request_type = NULL, request = NULL, result_type = ?, result = ?"
            " WHERE number = ?",
            (*values, small_type, small, row.number),
        )
        if result is not None and small is None:
            self._insert_large("results", row.number, result)
        if row.is_request_large:
            self.execute("DELETE FROM requests WHERE number = ?", (row.number,))
        self._count_off(row.job.tool)
        self._rows.pop(row.job.id, None)

    def _insert_large(self, table: str, number: int, payload: Payload) -> None:
        # A parameter would be copied while no other thread can run: for 50 MB the event loop would wait for 0.1 s.
        size = len(payload.content)
        self.execute(f"INSERT INTO {table} VALUES (?, ?, zeroblob(?))", (number, payload.content_type, size))
        with self.connection.blobopen(table, "content", number) as blob:
            blob.write(payload.content)

    def _insert_events(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        # in few statements: after each, other threads have their turn
        for start in range(0, len(rows), _EVENTS_AT_ONCE):
            some = rows[start : start + _EVENTS_AT_ONCE]
            self.execute(f"INSERT INTO events VALUES {', '.join(['(?, ?, ?)'] * len(some))}", [*chain(*some)])

    def report(self, row: Row, job: Job, events: Sequence[Event]) -> None:
        """Keep what a tool reported, and the job's new record."""
        row.job = job
        self._log(row, events)
        self._change += 1
        self.execute(
            "UPDATE jobs SET change = ?, origin = ?, last_seq = ?, event_count = ?, batch_token = ?, batch = ?,"
            " record = ? WHERE number = ?",
            (self._change, self._origin, row.last_seq, row.event_count, *row.batch, encode_job(job), row.number),
        )
        self._note(job)

    def ask_to_cancel(self, row: Row, job: Job) -> None:
        """Keep that a job's end was asked for."""
        row.job = job
        self._change += 1
        self.execute(
            "UPDATE jobs SET cancel_requested = 1, change = ?, origin = ?, record = ? WHERE number = ?",
            (self._change, self._origin, encode_job(job), row.number),
        )
        self._note(job)

    def set_lease(self, row: Row, expires_at: float) -> None:
        """Keep for how long a job's lease lasts. Nobody is told."""
        row.job = msgspec.structs.replace(row.job, lease_expires_at=expires_at)
        self.execute(
            "UPDATE jobs SET lease_expires_at = ?, record = ? WHERE number = ?",
            (expires_at, encode_job(row.job), row.number),
        )

    def assign(self, row: Row, worker_id: str) -> None:
        """Keep in whose queue a job waits. Nobody is told."""
        row.job = msgspec.structs.replace(row.job, assigned_worker=worker_id)
        self.execute(
            "UPDATE jobs SET assigned_worker = ?, record = ? WHERE number = ?",
            (worker_id, encode_job(row.job), row.number),
        )

    def drop(self, row: Row) -> None:
        """Forget a job that is not final, and tell of it."""
        self.forget(row.number)
        self._rows.pop(row.job.id, None)
        self._count_off(row.job.tool)
        self._change += 1
        self.execute("INSERT INTO tombstones VALUES (?, ?, ?)", (self._change, row.job.id, self._origin))
        self.changes[row.job.id] = Change(row.job.id)

    def forget(self, number: int) -> None:
        """Forget a job and all that belongs to it. Nobody is told."""
        for table in ("jobs", "requests", "results", "events", "outbox"):
            self.execute(f"DELETE FROM {table} WHERE number = ?", (number,))

    def register_sink(self, sink: str) -> None:
        """From now on a sink is to be told of new jobs."""
        if sink not in self._sinks:
            self.execute("INSERT INTO sinks VALUES (?)", (sink,))
            self._sinks.append(sink)

    def trim_tombstones(self, keep: int) -> None:
        """Keep only the newest tombstones: who has not read the others by now will be told to look at everything."""
        query = "SELECT change FROM tombstones ORDER BY change DESC LIMIT 1 OFFSET ?"
        for (change,) in self.execute(query, (keep,)).fetchall():
            self.execute("DELETE FROM tombstones WHERE change <= ?", (change,))
            self.execute("UPDATE counters SET trimmed = ?", (change,))

    # --- inside ---

    def _row(self, cursor: sqlite3.Cursor) -> Row | None:
        found = cursor.fetchone()
        if found is None:
            return None
        row = _new_row(found)
        if row.job.expires_at is None:
            self._rows[row.job.id] = row
            return row
        return None if is_expired(row.job, self.now()) else row

    def _log(self, row: Row, events: Sequence[Event]) -> None:
        rows = [(row.number, event.seq, encode_event(event)) for event in events[-self._event_log_size :]]
        self._insert_events(rows)
        row.event_count += len(rows)
        surplus = row.event_count - self._event_log_size
        if surplus > 0:
            self.execute(
                "DELETE FROM events WHERE number = ?1 AND seq IN"
                " (SELECT seq FROM events WHERE number = ?1 ORDER BY seq LIMIT ?2)",
                (row.number, surplus),
            )
            row.event_count = self._event_log_size

    def _count_off(self, tool: str) -> None:
        if tool in self._unfinished:
            self._unfinished[tool] -= 1

    def _note(self, job: Job) -> None:
        self.changes[job.id] = Change(job.id, job.status, job.cancel_requested)


def _new_row(row: tuple[int, int, int, int, int, int, bytes]) -> Row:
    number, last_seq, event_count, batch_token, batch, is_request_large, record = row
    return Row(number, decode_job(record), last_seq, event_count, (batch_token, batch), bool(is_request_large))


def _if_small(payload: Payload) -> tuple[str | None, bytes | None]:
    """What is kept of a body with its job."""
    return (payload.content_type, payload.content) if len(payload.content) <= SMALL_BYTES else (None, None)
