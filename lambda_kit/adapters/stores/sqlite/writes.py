"""What a `SqliteJobStore` writes."""
# ruff: noqa: S608 - what is put into the queries is our own: names of tables, columns and constants

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from lambda_kit.adapters.stores.records import SILENT_SECONDS, holds_lease, lease_lost
from lambda_kit.adapters.stores.sqlite.jobs import Jobs, Row
from lambda_kit.adapters.stores.sqlite.queries import Body, request_of, undelivered
from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.events import NewEvent, report_event
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import ClaimRequest, Created, Delivery, Lease, Renewal

__all__ = ["Operations"]

# What one transaction of `reap` and `purge` takes on at most: others wait meanwhile.
_MAX_REAPED: Final = 500
_MAX_PURGED: Final = 200
_MAX_PURGED_PARTS: Final = 20_000  # events, and pages of results
_PAGE_BYTES: Final = 4096
_MAX_TOMBSTONES: Final = 10_000


class Operations(Jobs):
    """One method for each of the port that writes, to be called within a transaction.

    Each raises `LambdaKitError` before it has written anything, or not at all: others share its transaction.
    """

    def create(self, job: Job, request: Payload, max_unfinished: int | None, claim: ClaimRequest | None) -> Created:
        if claim is not None:
            job = claim.claimed(job, self.now())
        if max_unfinished is not None and self.unfinished(job.tool) >= max_unfinished:
            existing = self._existing(job)
            if existing is None:
                raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
            return Created(existing.job, is_new=False)
        if not self.insert(job, request):
            existing = self._existing(job)
            if existing is not None:
                return Created(existing.job, is_new=False)
            for expired in self.select("id = ? OR idempotency_key = ?", job.id, job.idempotency_key):
                self.forget(expired.number)
            self.insert(job, request)
        return Created(job, is_new=True)

    def discard(self, job_id: str) -> None:
        row = self.find(job_id)
        if row is not None and row.job.status is JobStatus.PENDING:
            self.drop(row)

    def claim(self, job_id: str, worker_id: str, lease_seconds: float, claim_id: str | None) -> tuple[Job, Body] | None:
        row = self.find(job_id)
        if row is None:
            return None
        if row.job.status is JobStatus.PENDING:
            now = self.now()
            after = claim_job(row.job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            self.transition(row, after, now)
        elif claim_id is None or not holds_claim(row.job, worker_id, claim_id):
            return None
        request = request_of(self.connection, row.number)
        assert request is not None  # noqa: S101 - for the type checker: it is kept until the job is final
        return row.job, request

    def renew(self, leases: Sequence[Lease], lease_seconds: float) -> list[Renewal]:
        expires_at = self.now() + lease_seconds
        renewals = []
        for lease in leases:
            row = self.find(lease.job_id)
            if row is None or not holds_lease(row.job, lease):
                renewals.append(Renewal(lease, is_lost=True, cancel_requested=False))
            else:
                self.set_lease(row, expires_at)
                renewals.append(Renewal(lease, is_lost=False, cancel_requested=row.job.cancel_requested))
        return renewals

    def finish(self, lease: Lease, outcome: Outcome) -> Job:
        return self._end_by(self._held(lease), outcome)

    def release(self, lease: Lease, is_counted: bool) -> Job:
        row = self._held(lease)
        if row.job.cancel_requested:
            return self._end_by(row, None)
        self.transition(
            row, requeue_job(row.job, is_counted=is_counted, assigned_worker=row.job.assigned_worker), self.now()
        )
        return row.job

    def request_cancel(self, job_id: str) -> Job | None:
        row = self.find(job_id)
        if row is None:
            return None
        if row.job.status is JobStatus.PENDING:
            self._end_by(row, None)
        elif not row.job.status.is_final and not row.job.cancel_requested:
            self.ask_to_cancel(row, msgspec.structs.replace(row.job, cancel_requested=True))
        return row.job

    def reap(self) -> tuple[list[Job], bool]:
        """Some of the jobs to be reaped, and whether these were all."""
        now = self.now()
        rows = self.select("lease_expires_at <= ? LIMIT ?", now, _MAX_REAPED)
        reaped: list[Job] = []
        for row in rows:
            after = reap_job(row.job, now=now)
            if after is not None:
                self.transition(row, after, now)
                reaped.append(after)
        return reaped, len(rows) < _MAX_REAPED

    def heartbeat(self, worker_id: str, lease_seconds: float) -> None:
        self.execute("INSERT OR REPLACE INTO workers VALUES (?, ?)", (worker_id, self.now() + lease_seconds))

    def expire_worker(self, worker_id: str) -> None:
        self.execute("DELETE FROM workers WHERE worker_id = ?", (worker_id,))
        self.execute("DELETE FROM slots WHERE instr(holder, ? || ' ') = 1", (worker_id,))
        now = self.now()
        for row in self.select("status = 'executing' AND assigned_worker = ?", worker_id):
            self.set_lease(row, now)

    def adopt(self, worker_id: str, tools: Collection[str], limit: int) -> list[Job]:
        now = self.now()
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
        for row in orphans:
            self.assign(row, worker_id)
        return [row.job for row in orphans]

    def append_events(self, lease: Lease, events: Sequence[NewEvent], dropped: int, batch: int | None) -> int:
        row = self._held(lease)
        if batch is not None:
            if row.batch >= (lease.token, batch):
                return row.last_seq
            row.batch = (lease.token, batch)
        first = row.last_seq + dropped + 1
        row.last_seq = first + len(events) - 1
        job = row.job
        for event in events:
            if event.progress is not None:
                job = msgspec.structs.replace(job, progress=event.progress)
        self.report(row, job, [report_event(seq, event) for seq, event in enumerate(events, first)])
        return row.last_seq

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
        self.trim_tombstones(_MAX_TOMBSTONES)
        self.execute("DELETE FROM workers WHERE alive_until <= ?", (self.now() - SILENT_SECONDS,))
        return forgotten, len(expired) < _MAX_PURGED

    def _existing(self, job: Job) -> Row | None:
        existing = self.find(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self.find_by_key(job.idempotency_key)
        return existing

    def _held(self, lease: Lease) -> Row:
        row = self.find(lease.job_id)
        if row is None or not holds_lease(row.job, lease):
            raise lease_lost(lease)
        return row

    def _end_by(self, row: Row, outcome: Outcome) -> Job:
        now = self.now()
        job = end_job(row.job, outcome, now=now)
        is_result = job.status is JobStatus.SUCCEEDED and isinstance(outcome, Payload)
        self.transition(row, job, now, outcome if is_result and isinstance(outcome, Payload) else None)
        return job
