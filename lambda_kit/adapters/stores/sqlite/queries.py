"""What a `SqliteJobStore` reads: functions of a connection, which show one state of the database each."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables, columns and constants

import heapq
import sqlite3
from collections import Counter
from collections.abc import Collection
from operator import itemgetter
from typing import Final, NamedTuple

from lambda_kit.adapters.stores.sqlite.file import transaction
from lambda_kit.core.model.events import EventPage
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import Change, JobPage
from lambda_kit.core.ports.store_records import decode_event, decode_job, is_expired, new_cursor
from lambda_kit.core.ports.subscriptions import change_of

__all__ = [
    "SMALL_BYTES",
    "Body",
    "change_now",
    "changes_since",
    "counts",
    "find_by_key",
    "get",
    "large_body",
    "list_jobs",
    "overdue",
    "queue_positions",
    "read_events",
    "request_of",
    "result",
    "workers",
]

SMALL_BYTES: Final = 64 * 1024
"""Bodies up to this size are kept with their jobs."""
_MAX_CHANGES: Final = 1000
_LIVE: Final = "(+expires_at IS NULL OR +expires_at > ?1)"  # without an index: few have expired


class Body(NamedTuple):
    """The body of a request or of a result. Large ones are left to `large_body`, away from the event loop."""

    number: int
    content_type: str
    content: bytes | None
    """None: it is large."""


def get(connection: sqlite3.Connection, job_id: str, now: float) -> Job | None:
    """The job of that id, unless it has expired."""
    return _live(connection.execute("SELECT record FROM jobs WHERE id = ?", (job_id,)), now)


def find_by_key(connection: sqlite3.Connection, idempotency_key: str, now: float) -> Job | None:
    """The job of that key, unless it has expired."""
    return _live(connection.execute("SELECT record FROM jobs WHERE idempotency_key = ?", (idempotency_key,)), now)


def request_of(connection: sqlite3.Connection, number: int) -> Body | None:
    """The request of the job of that number."""
    query = (
        "SELECT number, coalesce(request_type, content_type), request FROM jobs LEFT JOIN requests USING (number)"
        " WHERE number = ?"
    )
    return _body(connection.execute(query, (number,)))


def result(connection: sqlite3.Connection, job_id: str, now: float) -> Body | None:
    """The result of a job, unless it has expired."""
    query = (
        "SELECT number, coalesce(result_type, content_type), result FROM jobs LEFT JOIN results USING (number)"
        f" WHERE id = ?2 AND {_LIVE}"
    )
    return _body(connection.execute(query, (now, job_id)))


def large_body(connection: sqlite3.Connection, table: str, left: Body) -> Payload | None:
    """What `request_of` or `result` left. It goes from the file to its place at once: a query would make two of it."""
    with transaction(connection, "DEFERRED"):
        found = connection.execute(f"SELECT 1 FROM {table} WHERE number = ?", (left.number,)).fetchone()
        if found is None:
            return None
        with connection.blobopen(table, "content", left.number, readonly=True) as blob:
            return Payload(blob.read(), left.content_type)


def list_jobs(
    connection: sqlite3.Connection,
    tool: str | None,
    statuses: Collection[JobStatus],
    principal: str | None,
    limit: int,
    below: int,
    now: float,
) -> JobPage:
    """A page of jobs whose numbers are below one."""
    select = f"SELECT number, record FROM jobs WHERE {_LIVE} AND number < ?2 AND (?3 IS NULL OR tool = ?3)"
    order = " ORDER BY number DESC LIMIT ?4"
    values = (now, below, tool, limit + 1)
    wanted = [status.value for status in set(statuses or JobStatus)]
    with transaction(connection, "DEFERRED"):
        if principal is not None:
            some = f" AND principal = ?5 AND +status IN ({', '.join('?' * len(wanted))})"
            rows = connection.execute(select + some + order, (*values, principal, *wanted)).fetchall()
        elif tool is None and not statuses:
            rows = connection.execute(select + order, values).fetchall()
        else:
            # for each status its jobs lie in the index in the order of their numbers, with their tools
            cursors = [connection.execute(select + " AND status = ?5" + order, (*values, status)) for status in wanted]
            merged = heapq.merge(*cursors, key=itemgetter(0), reverse=True)
            rows = [row for row, _ in zip(merged, range(limit + 1), strict=False)]
            for cursor in cursors:
                cursor.close()
    jobs = [decode_job(record) for _, record in rows[:limit]]
    return JobPage(jobs, new_cursor(rows[limit - 1][0]) if len(rows) > limit else None)


def counts(connection: sqlite3.Connection, now: float) -> dict[tuple[str, JobStatus], int]:
    """How many jobs there are, by tool and status, of those that have not expired."""
    total: Counter[tuple[str, JobStatus]] = Counter()
    with transaction(connection, "DEFERRED"):
        for tool, status, count in connection.execute("SELECT tool, status, count(*) FROM jobs GROUP BY status, tool"):
            total[tool, JobStatus(status)] = count
        expired = "SELECT tool, status, count(*) FROM jobs WHERE expires_at <= ? GROUP BY status, tool"
        for tool, status, count in connection.execute(expired, (now,)):
            total[tool, JobStatus(status)] -= count
    return dict(+total)


def queue_positions(connection: sqlite3.Connection, job_ids: Collection[str]) -> dict[str, int]:
    """The places of pending jobs."""
    places: dict[str, int] = {}
    with transaction(connection, "DEFERRED"):
        query = "SELECT tool, number, id FROM jobs WHERE id = ? AND status = 'pending'"
        found = [row for job_id in set(job_ids) for row in connection.execute(query, (job_id,))]
        reached: dict[str, tuple[int, int]] = {}  # for each tool the last number, and its place
        between = "SELECT count(*) FROM jobs WHERE status = 'pending' AND number > ? AND number <= ? AND tool = ?"
        for tool, number, job_id in sorted(found):
            last, place = reached.get(tool, (0, 0))
            place += connection.execute(between, (last, number, tool)).fetchone()[0]
            reached[tool] = (number, place)
            places[job_id] = place
    return places


def read_events(connection: sqlite3.Connection, job_id: str, after: int, limit: int, now: float) -> EventPage | None:
    """A stretch of a job's log."""
    with transaction(connection, "DEFERRED"):
        query = f"SELECT number, last_seq, status FROM jobs WHERE id = ?2 AND {_LIVE}"
        row = connection.execute(query, (now, job_id)).fetchone()
        if row is None:
            return None
        number, last_seq, status = row
        log = "SELECT event FROM events WHERE number = ? AND seq > ? ORDER BY seq LIMIT ?"
        events = [decode_event(event) for (event,) in connection.execute(log, (number, after, limit))]
    return EventPage(events, last_seq, JobStatus(status).is_final)


def workers(connection: sqlite3.Connection) -> list[str]:
    """The workers that have sent a heartbeat."""
    return [worker_id for (worker_id,) in connection.execute("SELECT worker_id FROM workers")]


def overdue(connection: sqlite3.Connection, limit: int, now: float) -> list[str]:
    """Ids of executing jobs whose lease has run out, oldest first."""
    query = "SELECT id FROM jobs WHERE lease_expires_at <= ? ORDER BY number LIMIT ?"
    return [job_id for (job_id,) in connection.execute(query, (now, limit))]


def change_now(connection: sqlite3.Connection) -> int:
    """The number of the last change."""
    return int(connection.execute("SELECT change FROM counters").fetchone()[0])


def changes_since(connection: sqlite3.Connection, since: int, origin: int) -> tuple[list[Change], int, bool]:
    """Changes with numbers above `since` that were not made by `origin`: one for each job.

    Returns:
        Some changes; the number up to which these are all; whether there are more.
    """
    with transaction(connection, "DEFERRED"):
        last = change_now(connection)
        if not 0 <= since <= last:  # it is not known, or another file's
            return [Change(None)], last, False
        query = (
            "SELECT change, id, status, cancel_requested FROM jobs WHERE change > ?1 AND origin <> ?2"
            " ORDER BY change LIMIT ?3"
        )
        rows = connection.execute(query, (since, origin, _MAX_CHANGES)).fetchall()
    changes = [change_of(job_id, status, cancel_requested=bool(asked)) for _, job_id, status, asked in rows]
    has_more = len(rows) == _MAX_CHANGES
    return changes, rows[-1][0] if has_more else last, has_more


def _live(cursor: sqlite3.Cursor, now: float) -> Job | None:
    row = cursor.fetchone()
    if row is None:
        return None
    job = decode_job(row[0])
    return None if is_expired(job, now) else job


def _body(cursor: sqlite3.Cursor) -> Body | None:
    row = cursor.fetchone()
    return None if row is None or row[1] is None else Body(*row)
