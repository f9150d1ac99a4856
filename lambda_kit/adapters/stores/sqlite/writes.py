"""What a `SqliteJobStore` writes."""
# ruff: noqa: S608 - what is put into the query is our own: as many question marks as there are values

from collections.abc import Collection
from operator import attrgetter
from typing import Final

import msgspec

from lambda_kit.adapters.stores.sqlite.jobs import Row
from lambda_kit.adapters.stores.sqlite.outbox import OutboxWrites
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Created
from lambda_kit.core.ports.store_records import SILENT_SECONDS, share_full
from lambda_kit.core.ports.token_buckets import Taken, take

__all__ = ["Operations"]

# What one transaction of `purge` takes on at most: others wait meanwhile.
_MAX_PURGED: Final = 200
_MAX_PURGED_PARTS: Final = 20_000  # events, and pages of results
_PAGE_BYTES: Final = 4096


class Operations(OutboxWrites):
    """One method for each of the port that writes, to be called within a transaction.

    Each raises `LambdaKitError` before it has written anything, or not at all: others share its transaction.
    """

    def create(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None
    ) -> Created | None:
        if max_unfinished is not None and self.unfinished(job.tool) >= max_unfinished:
            existing = self._existing(job)
            return None if existing is None else Created(existing.job, is_new=False)
        if max_of_share is not None and job.share is not None and not self.has_share_room(job.share, max_of_share):
            existing = self._existing(job)
            if existing is None:
                raise share_full(max_of_share)
            return Created(existing.job, is_new=False)
        if not self.insert(job, request):
            existing = self._existing(job)
            if existing is not None:
                return Created(existing.job, is_new=False)
            for expired in self.select("id = ? OR idempotency_key = ?", job.id, job.idempotency_key):
                self.leave(expired.number)
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
        self.execute("UPDATE outbox SET holder = NULL WHERE holder = ?", (worker_id,))
        now = self.now()
        for row in self.select("status = 'executing' AND assigned_worker = ?", worker_id):
            self.set_job(row, msgspec.structs.replace(row.job, lease_expires_at=now))

    def adopt(
        self, worker_id: str, tools: Collection[str], limit: int, spares_silent: bool, but_of: Collection[str]
    ) -> list[Job]:
        of_others = f" AND (principal IN ({', '.join('?' * len(but_of))})) IS NOT TRUE" if but_of else ""
        now = float("-inf") if spares_silent else self.now()
        orphans: list[Row] = []
        for tool in set(tools):
            orphans += self.select(
                "status = 'pending' AND tool = ? AND assigned_worker IS NOT ?"
                " AND (assigned_worker IS NULL"
                " OR assigned_worker NOT IN (SELECT worker_id FROM workers WHERE alive_until > ?))"
                f"{of_others} ORDER BY number LIMIT ?",
                tool, worker_id, now, *but_of, limit,
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

    def take_token(self, bucket: bytes, rate_per_second: float, burst: int) -> Taken:
        now = self.now()
        found = self.execute("SELECT used, at FROM buckets WHERE name = ?", (bucket,)).fetchone()
        before, at = found or (0.0, now)
        used, is_taken = take(before, now - at, rate_per_second, burst)
        values = (bucket, used, now, now + used / rate_per_second)
        self.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?)", values)
        return Taken(is_taken, burst - used)

    def purge(self) -> tuple[int, bool]:
        """How many jobs are gone for clients of those to be purged, and whether these were all."""
        expired = self.execute(
            "SELECT number, event_count, coalesce(length(content), 0) FROM jobs LEFT JOIN results USING (number)"
            " WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            (self.now(), _MAX_PURGED),
        ).fetchall()
        parts = forgotten = 0
        for number, event_count, size in expired:
            if parts > _MAX_PURGED_PARTS:
                return forgotten, False
            self.leave(number)
            parts += event_count + size // _PAGE_BYTES
            forgotten += 1
        self.execute("DELETE FROM workers WHERE alive_until <= ?", (self.now() - SILENT_SECONDS,))
        self.execute("DELETE FROM buckets WHERE full_at <= ?", (self.now(),))
        return forgotten, len(expired) < _MAX_PURGED

    def _existing(self, job: Job) -> Row | None:
        existing = self.find(job.id)
        if existing is None and job.idempotency_key is not None:
            existing = self.find_by_key(job.idempotency_key)
        return existing
