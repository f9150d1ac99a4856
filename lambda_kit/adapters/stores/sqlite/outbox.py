"""The outbox of a `SqliteJobStore`: what is not yet delivered to sinks, also of jobs that have expired."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables and columns

import sqlite3
from typing import Final

from lambda_kit.adapters.stores.sqlite.file import transaction
from lambda_kit.adapters.stores.sqlite.jobs import Jobs
from lambda_kit.adapters.stores.sqlite.queries import Body
from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.outbox import Delivery, DeliveryPart, Dropped, DropReason, Right, right_to_deliver
from lambda_kit.core.ports.store_records import decode_event, decode_job

__all__ = ["OutboxWrites", "delivery_part", "undelivered"]

# An entry belongs to a job, or to one that has expired and is kept for sinks alone.
_ENTRIES: Final = "outbox AS o LEFT JOIN jobs AS j USING (number) LEFT JOIN retired AS r USING (number)"
_HOME: Final = "coalesce(j.home, r.home)"
_IS_HOME_ALIVE: Final = f"{_HOME} IN (SELECT worker_id FROM workers WHERE alive_until > ?3)"


def undelivered(connection: sqlite3.Connection, sink: str, limit: int) -> list[Delivery]:
    """Jobs with something to deliver to a sink, whoever may deliver it."""
    return [delivery for delivery, _ in _undelivered(connection, sink, None, 0.0, limit)]


def delivery_part(
    connection: sqlite3.Connection, sink: str, delivery: Delivery, limit: int
) -> tuple[DeliveryPart, Body | None] | None:
    """What comes next in a delivery, and the result where there is one to be told."""
    with transaction(connection, "DEFERRED"):
        row = connection.execute(
            "SELECT coalesce(j.record, r.record), coalesce(j.last_seq, r.last_seq), coalesce(j.status, 'retired')"
            f" FROM {_ENTRIES} WHERE sink = ? AND o.number = ?",
            (sink, delivery.number),
        ).fetchone()
        if row is None or row[0] is None:
            return None
        record, last_seq, status = row
        log = "SELECT seq, event FROM events WHERE number = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = connection.execute(log, (delivery.number, delivery.after_seq, limit)).fetchall()
        is_final = status == "retired" or JobStatus(status).is_final
        is_last = is_final and (not rows or rows[-1][0] == last_seq)
        body = _result(connection, "jobs" if status != "retired" else "retired", delivery.number) if is_last else None
    events = [decode_event(event) for _, event in rows]
    return DeliveryPart(decode_job(record), events, last_seq, is_last), body


def _result(connection: sqlite3.Connection, table: str, number: int) -> Body | None:
    row = connection.execute(
        f"SELECT number, coalesce(result_type, content_type), result FROM {table} LEFT JOIN results USING (number)"
        " WHERE number = ?",
        (number,),
    ).fetchone()
    return None if row is None or row[1] is None else Body(*row)


def _undelivered(
    connection: sqlite3.Connection, sink: str, worker_id: str | None, now: float, limit: int
) -> list[tuple[Delivery, bool]]:
    """Jobs with something to deliver, and whether the worker may deliver each without a lease."""
    query = (
        f"SELECT coalesce(j.id, r.id), after_seq, o.number, {_HOME} IS ?2 AND {_IS_HOME_ALIVE}"
        f" FROM due AS d CROSS JOIN {_ENTRIES}"
        " WHERE d.sink = ?1 AND o.sink = d.sink AND o.number = d.number"
        " AND coalesce(after_seq < j.last_seq OR j.status NOT IN ('pending', 'executing'), r.number IS NOT NULL)"
        " AND (?2 IS NULL OR (holder IS NULL OR holder = ?2 OR leased_until <= ?3)"
        f" AND ({_HOME} IS ?2 OR coalesce(NOT {_IS_HOME_ALIVE}, true)))"
        " ORDER BY d.number LIMIT ?4"
    )
    rows = connection.execute(query, (sink, worker_id, now, limit))
    return [(Delivery(job_id, after_seq, number), bool(is_home)) for job_id, after_seq, number, is_home in rows]


class OutboxWrites(Jobs):
    """The half of `Operations` that changes the outbox."""

    def lease_deliveries(self, sink: str, limit: int, worker_id: str, lease_seconds: float) -> list[Delivery]:
        now = self.now()
        found = _undelivered(self.connection, sink, worker_id, now, limit)
        for delivery, is_home in found:
            if not is_home:
                self._lease(sink, delivery.number, worker_id, now + lease_seconds)
        return [delivery for delivery, _ in found]

    def hold_delivery(self, sink: str, number: int, worker_id: str, lease_seconds: float) -> bool:
        """Whether a worker may go on with a delivery; its lease is renewed."""
        now = self.now()
        row = self.execute(
            f"SELECT {_HOME}, coalesce({_IS_HOME_ALIVE}, false), CASE WHEN leased_until > ?3 THEN holder END"
            f" FROM {_ENTRIES} WHERE sink = ?1 AND o.number = ?2",
            (sink, number, now),
        ).fetchone()
        if row is None:
            return False
        home, is_home_alive, holder = row
        right = right_to_deliver(worker_id, home=home, is_home_alive=bool(is_home_alive), holder=holder, is_begun=True)
        if right is Right.LEASE:
            self._lease(sink, number, worker_id, now + lease_seconds)
        return right is not Right.NONE

    def mark_delivered(
        self, sink: str, delivery: Delivery, after_seq: int, is_complete: bool, worker_id: str | None
    ) -> bool:
        number = delivery.number
        entry = (
            "WHERE sink = ?1 AND number = ?2"
            " AND (?3 IS NULL OR holder IS NULL OR holder = ?3 OR coalesce(leased_until, 0.0) <= ?4)"
        )
        values = (sink, number, worker_id, self.now())
        if not is_complete:
            update = f"UPDATE outbox SET after_seq = max(after_seq, ?5) {entry}"
            return self.execute(update, (*values, after_seq)).rowcount > 0
        is_marked = self.execute(f"DELETE FROM outbox {entry}", values).rowcount > 0
        if is_marked:
            self._forget_if_delivered(number)
        return is_marked

    def drop_undelivered(self, silent_seconds: float, limit: int) -> list[Dropped]:
        now = self.now()
        self.execute("UPDATE sinks SET seen_at = ? WHERE seen_at IS NULL", (now,))  # of an older version
        dropped: list[Dropped] = []
        silent = self.execute("SELECT name FROM sinks WHERE seen_at <= ?", (now - silent_seconds,)).fetchall()
        for (sink,) in silent:
            left = limit - len(dropped)
            entries = self.execute(
                f"SELECT o.number, coalesce(j.id, r.id) FROM {_ENTRIES} WHERE sink = ? LIMIT ?", (sink, left)
            ).fetchall()
            for number, job_id in entries:
                self.execute("DELETE FROM outbox WHERE sink = ? AND number = ?", (sink, number))
                self._forget_if_delivered(number)
                dropped.append(Dropped(sink, job_id, DropReason.SINK_GONE))
            if len(entries) < left:
                self.forget_sink(sink)
        overdue = "SELECT number, id FROM retired WHERE deliver_until <= ? ORDER BY deliver_until LIMIT ?"
        for number, job_id in self.execute(overdue, (now, max(limit - len(dropped), 0))).fetchall():
            sinks = self.execute("SELECT sink FROM outbox WHERE number = ?", (number,)).fetchall()
            dropped += [Dropped(sink, job_id, DropReason.OVERDUE) for (sink,) in sinks]
            self.forget(number)
        return dropped

    def _lease(self, sink: str, number: int, worker_id: str, until: float) -> None:
        self.execute(
            "UPDATE outbox SET holder = ?, leased_until = ? WHERE sink = ? AND number = ?",
            (worker_id, until, sink, number),
        )

    def _forget_if_delivered(self, number: int) -> None:
        """Forget a job that was kept for sinks alone, once all have confirmed it."""
        is_retired = self.execute("SELECT 1 FROM retired WHERE number = ?", (number,)).fetchone() is not None
        if is_retired and not self.is_waiting(number):
            self.forget(number)
