"""What a `SqliteJobStore` writes."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables, columns and constants

from collections.abc import Collection
from operator import attrgetter
from typing import Final

import msgspec

from lambda_kit.adapters.stores.sqlite.jobs import Jobs, Row
from lambda_kit.adapters.stores.sqlite.queries import undelivered
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Created, Delivery
from lambda_kit.core.ports.store_records import SILENT_SECONDS

__all__ = ["Operations"]

# What one transaction of `purge` takes on at most: others wait meanwhile.
_MAX_PURGED: Final = 200
_MAX_PURGED_PARTS: Final = 20_000  # events, and pages of results
_PAGE_BYTES: Final = 4096


class Operations(Jobs):
    """One method for each of the port that writes, to be called within a transaction.

    Each raises `LambdaKitError` before it has written anything, or not at all: others share its transaction.
    """

    def create(self, job: Job, request: Payload, max_unfinished: int | None) -> Created | None:
        if max_unfinished is not None and self.unfinished(job.tool) >= max_unfinished:
            existing = self._existing(job)
            return None if existing is None else Created(existing.job, is_new=False)
        if not self.insert(job, request):
            existing = self._existing(job)
            if existing is not None:
                return Created(existing.job, is_new=False)
            for expired in self.select("id = ? OR idempotency_key = ?", job.id, job.idempotency_key):
                self.forget(expired.number)
            self.insert(job, request)
        return Created(job, is_new=True)

    def caller_key(self, proposed: bytes) -> bytes:
        self.execute("INSERT OR IGNORE INTO secrets VALUES ('callers', ?)", (proposed,))
        return bytes(self.execute("SELECT value FROM secrets WHERE name = 'callers'").fetchone()[0])

    def heartbeat(self, worker_id: str, lease_seconds: float) -> None:
        self.execute("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker_id, self.now() + lease_seconds))

    def expire_worker(self, worker_id: str) -> None:
        self.execute("DELETE FROM workers WHERE worker_id = ?", (worker_id,))
        self.execute("DELETE FROM slots WHERE instr(holder, ? || ' ') = 1", (worker_id,))
        now = self.now()
        for row in self.select("status = 'executing' AND assigned_worker = ?", worker_id):
            self.set_job(row, msgspec.structs.replace(row.job, lease_expires_at=now))

    def adopt(self, worker_id: str, tools: Collection[str], limit: int, spares_silent: bool) -> list[Job]:
        now = float("-inf") if spares_silent else self.now()
        orphans: list[Row] = []
        for tool in set(tools):
            orphans += self.select(
                "status = 'pending' AND tool = ? AND assigned_worker IS NOT ?"
                " AND (assigned_worker IS NULL"
                " OR assigned_worker NOT IN (SELECT worker_id FROM workers WHERE alive_until > ?))"
                " ORDER BY number LIMIT ?",
                tool, worker_id, now, limit,
            )  # fmt: skip
        orphans = sorted(orphans, key=attrgetter("number"))[:limit]
        adopted = (msgspec.structs.replace(row.job, assigned_worker=worker_id) for row in orphans)
        return [self.set_job(row, job).job for row, job in zip(orphans, adopted, strict=True)]

    def acquire_slot(self, name: str, holder: str, limit: int, lease_seconds: float) -> bool:
        now = self.now()
        self.execute("DELETE FROM slots WHERE name = ? AND expires_at <= ?", (name, now))
        others = "SELECT count(*) FROM slots WHERE name = ? AND holder <> ?"
        has_slot = (
            self.execute("SELECT 1 FROM slots WHERE name = ? AND holder = ?", (name, holder)).fetchone() is not None
        )
        if not has_slot and self.execute(others, (name, holder)).fetchone()[0] >= limit:
            return False
        self.execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (name, holder, now + lease_seconds))
        return True

    def release_slot(self, name: str, holder: str) -> None:
        self.execute("DELETE FROM slots WHERE name = ? AND holder = ?", (name, holder))

    def lease_deliveries(self, sink: str, limit: int, holder: str, lease_seconds: float) -> list[Delivery]:
        now = self.now()
        deliveries = undelivered(self.connection, sink, limit, holder, now)
        for delivery in deliveries:
            self.execute(
                "UPDATE outbox SET holder = ?1, leased_until = ?2"
                " WHERE sink = ?3 AND number = (SELECT number FROM jobs WHERE id = ?4 AND home IS NOT ?1)",
                (holder, now + lease_seconds, sink, delivery.job_id),
            )
        return deliveries

    def mark_delivered(self, sink: str, job_id: str, after_seq: int, is_complete: bool) -> None:
        entry = "WHERE sink = ? AND number = (SELECT number FROM jobs WHERE id = ?)"
        if is_complete:
            self.execute(f"DELETE FROM outbox {entry}", (sink, job_id))
        else:
            self.execute(f"UPDATE outbox SET after_seq = max(after_seq, ?) {entry}", (after_seq, sink, job_id))

    def purge(self) -> tuple[int, bool]:
        """How many jobs were forgotten of those to be purged, and whether these were all."""
        expired = self.execute(
            "SELECT number, event_count, coalesce(length(content), 0) FROM jobs LEFT JOIN results USING (number)"
            " WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            (self.now(), _MAX_PURGED),
        ).fetchall()
        parts = forgotten = 0
        for number, event_count, size in expired:
            if parts > _MAX_PURGED_PARTS:
                return forgotten, False
            self.forget(number)
            parts += event_count + size // _PAGE_BYTES
            forgotten += 1
        self.execute("DELETE FROM workers WHERE alive_until <= ?", (self.now() - SILENT_SECONDS,))
        return forgotten, len(expired) < _MAX_PURGED

    def _existing(self, job: Job) -> Row | None:
        existing = self.find(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self.find_by_key(job.idempotency_key)
        return existing
