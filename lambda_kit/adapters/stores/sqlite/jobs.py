"""The rows of a `SqliteJobStore`, as its writer changes them."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables, columns and constants

import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain

import msgspec
from cachetools import LRUCache

from lambda_kit.adapters.stores.sqlite.queries import SMALL_BYTES
from lambda_kit.core.model.events import Event, first_events
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.store_base import Decide, Step, StoredJob, log_of
from lambda_kit.core.ports.store_records import decode_job, encode_event, encode_job, is_expired

__all__ = ["Jobs", "Row"]

_COLUMNS = "number, last_seq, event_count, batch_token, batch, request_type IS NULL, record"

_STATE_COLUMNS = (
    "status = ?, assigned_worker = ?, cancel_requested = ?, lease_expires_at = ?, expires_at = ?, change = ?,"
    " origin = ?, last_seq = ?, event_count = ?, batch_token = ?, batch = ?, record = ?"
)
_INSERTED_COLUMNS = (
    "number, id, idempotency_key, tool, status, assigned_worker, home, principal, cancel_requested, lease_expires_at,"
    " expires_at, change, origin, last_seq, event_count, batch_token, batch, record, request_type, request, share"
)
_REMEMBERED = 10_000
_EVENTS_AT_ONCE = 100


class Row(StoredJob, gc=False):
    """What is kept of one job, without the bodies and the log. It is replaced, never changed."""

    number: int
    """Grows with each job: the order of the list."""
    event_count: int
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

    def has_share_room(self, share: bytes, most: int) -> bool:
        """Whether fewer than `most` jobs of a share are not final."""
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE share = ? AND status IN ('pending', 'executing') LIMIT ?)"
        )
        return bool(self.execute(query, (share, most)).fetchone()[0] < most)

    # --- changing ---

    def insert(self, job: Job, request: Payload) -> bool:
        """Keep a new job. False, and nothing is done, if there is one with its id or key."""
        first = first_events(job)
        log = first[-self._event_log_size :]
        self._number += 1
        self._change += 1
        small_type, small = _if_small(request)
        is_new = self.execute(
            f"INSERT INTO jobs ({_INSERTED_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, NULL, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                self._number, job.id, job.idempotency_key, job.tool, job.status.value, job.assigned_worker,
                job.home, job.principal, job.lease_expires_at, self._change, self._origin, len(first), len(log),
                encode_job(job), small_type, small, job.share,
            ),
        ).rowcount  # fmt: skip
        if not is_new:
            return False
        if small is None:
            self._insert_large("requests", self._number, request)
        self._insert_events([(self._number, event.seq, encode_event(event)) for event in log])
        self._rows[job.id] = Row(job, len(first), (0, 0), self._number, len(log), small is None)
        for sink in self._sinks:
            self.execute("INSERT INTO outbox VALUES (?, ?, 0, NULL, NULL)", (sink, self._number))
        if job.tool in self._unfinished:
            self._unfinished[job.tool] += 1
        self._note(job)
        return True

    def change(self, job_id: str, decide: Decide[Row]) -> Row | None:
        """As `JobStoreBase._change`, within this transaction."""
        row = self.find(job_id)
        if row is None:
            return None
        now = self.now()
        step = decide(row, now)
        if step is None:
            return row
        if step.is_quiet:
            return self.set_job(row, step.job)
        return self._write(row, step, now)

    def set_job(self, row: Row, job: Job) -> Row:
        """Write who has a job, and until when. Subscribers are not called."""
        self.execute(
            "UPDATE jobs SET assigned_worker = ?, lease_expires_at = ?, record = ? WHERE number = ?",
            (job.assigned_worker, job.lease_expires_at, encode_job(job), row.number),
        )
        after = self._rows[job.id] = msgspec.structs.replace(row, job=job)
        return after

    def _write(self, row: Row, step: Step, now: float) -> Row:
        job = step.job
        log = log_of(row, step, now)
        last_seq = log[-1].seq if log else row.last_seq + step.dropped
        event_count = self._log(row, log)
        after = Row(job, last_seq, step.batch or row.batch, row.number, event_count, row.is_request_large)
        self._change += 1
        values = (
            job.status.value, job.assigned_worker, job.cancel_requested, job.lease_expires_at, job.expires_at,
            self._change, self._origin, last_seq, event_count, *after.batch, encode_job(job),
        )  # fmt: skip
        if job.status.is_final:
            self._end(row, values, step.result)
        else:
            self.execute(f"UPDATE jobs SET {_STATE_COLUMNS} WHERE number = ?", (*values, row.number))
            self._rows[job.id] = after
        self._note(job)
        return after

    def _end(self, row: Row, values: tuple[object, ...], result: Payload | None) -> None:
        small_type, small = (None, None) if result is None else _if_small(result)
        self.execute(
            f"UPDATE jobs SET {_STATE_COLUMNS}, request_type = NULL, request = NULL, result_type = ?, result = ?"
            " WHERE number = ?",
            (*values, small_type, small, row.number),
        )
        if result is not None and small is None:
            self._insert_large("results", row.number, result)
        if row.is_request_large:
            self.execute("DELETE FROM requests WHERE number = ?", (row.number,))
        if row.job.tool in self._unfinished:
            self._unfinished[row.job.tool] -= 1
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

    def forget(self, number: int) -> None:
        """Forget a job and all that belongs to it. Subscribers are not called."""
        for table in ("jobs", "requests", "results", "events", "outbox", "retired"):
            self.execute(f"DELETE FROM {table} WHERE number = ?", (number,))

    def leave(self, number: int) -> None:
        """Have a job that has expired no longer for clients, and forget it unless a sink has not confirmed it."""
        if not self.is_waiting(number):
            self.forget(number)
            return
        (record,) = self.execute("SELECT record FROM jobs WHERE number = ?", (number,)).fetchone()
        self.execute(
            "INSERT INTO retired SELECT number, id, home, last_seq, record, result_type, result, ? FROM jobs"
            " WHERE number = ?",
            (decode_job(record).deliver_until or 0.0, number),
        )
        self.execute("DELETE FROM jobs WHERE number = ?", (number,))

    def is_waiting(self, number: int) -> bool:
        """Whether a sink has not confirmed all of a job."""
        return self.execute("SELECT 1 FROM outbox WHERE number = ? LIMIT 1", (number,)).fetchone() is not None

    def register_sink(self, sink: str) -> None:
        """Give each new job an entry in the outbox of a sink."""
        self.execute("INSERT OR REPLACE INTO sinks VALUES (?, ?)", (sink, self.now()))
        if sink not in self._sinks:
            self._sinks.append(sink)

    def forget_sink(self, sink: str) -> None:
        """Give new jobs no entry any more."""
        self.execute("DELETE FROM sinks WHERE name = ?", (sink,))
        self._sinks = [name for name in self._sinks if name != sink]

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

    def _log(self, row: Row, events: Sequence[Event]) -> int:
        """Append to a job's log; returns how many events it has then."""
        rows = [(row.number, event.seq, encode_event(event)) for event in events[-self._event_log_size :]]
        self._insert_events(rows)
        surplus = row.event_count + len(rows) - self._event_log_size
        if surplus > 0:
            self.execute(
                "DELETE FROM events WHERE number = ?1 AND seq IN"
                " (SELECT seq FROM events WHERE number = ?1 ORDER BY seq LIMIT ?2)",
                (row.number, surplus),
            )
        return row.event_count + len(rows) - max(surplus, 0)

    def _note(self, job: Job) -> None:
        self.changes[job.id] = Change(job.id, job.status, job.cancel_requested)


def _new_row(row: tuple[int, int, int, int, int, int, bytes]) -> Row:
    number, last_seq, event_count, batch_token, batch, is_request_large, record = row
    return Row(decode_job(record), last_seq, (batch_token, batch), number, event_count, bool(is_request_large))


def _if_small(payload: Payload) -> tuple[str | None, bytes | None]:
    """What is kept of a body with its job."""
    return (payload.content_type, payload.content) if len(payload.content) <= SMALL_BYTES else (None, None)
