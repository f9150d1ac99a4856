"""The part of `PostgresJobStore` that looks at many jobs, and what is kept beside the jobs."""

import secrets
from abc import ABC
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from lambda_kit.adapters.stores.postgres.changes import Changes
from lambda_kit.adapters.stores.postgres.outbox import PostgresOutbox
from lambda_kit.adapters.stores.postgres.outbox_sql import OutboxStatements
from lambda_kit.adapters.stores.postgres.rows import Rows, record_of
from lambda_kit.adapters.stores.postgres.sql import Statements
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.events import EventPage
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Change, JobPage, OnChange, Taken
from lambda_kit.core.ports.store_clock import StoreClock
from lambda_kit.core.ports.store_records import SILENT_SECONDS, cursor_number, decode_event, decode_job, new_cursor
from lambda_kit.core.runtime.steady_clock import boot_seconds

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database, Row

__all__ = ["PostgresShared"]

_ABOVE_ALL = 2**63 - 1
_PURGE_BATCH = 500


class PostgresShared(PostgresOutbox, ABC):
    """Lists, logs, subscriptions, slots and the workers.

    Args:
        database: Where it all is.
        schema: The name of the schema there.
        event_log_size: How many events are kept of each job.
        clock: Gives the time in seconds since the epoch. None: the database does.
    """

    counts_shares = True

    def __init__(
        self, database: "Database", *, schema: str, event_log_size: int, clock: Callable[[], float] | None
    ) -> None:
        self._given_clock = clock
        self._store_clock = StoreClock(clock)
        super().__init__(event_log_size=event_log_size, clock=self._store_clock)
        self._database = database
        self._sql = Statements(database.quoted_schema)
        self._outbox_sql = OutboxStatements(database.quoted_schema)
        self._changes = Changes(database, f"lambda_kit {schema}", self._heard)
        self._rows = Rows(database, self._sql, self._changes, self._clock, event_log_size)

    def _heard(self, change: Change) -> None:
        self._rows.forget(change.job_id)

    async def start(self) -> None:
        await self.stop()
        try:
            await self._database.open()
            await self._ask_time(self._sql.now)
            await self._changes.open()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await self._database.close()  # first: what is under way is published when it has ended
        await self._rows.close()
        await self._changes.close()

    async def caller_key(self) -> bytes:
        await self._database.rows(self._sql.make_caller_key, secrets.token_bytes(32))
        row = await self._database.row(self._sql.caller_key)
        if row is None:
            raise UnavailableError("the key of the callers is missing, which was just written")
        return bytes(row[0])

    # --- workers ---

    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        await self._ask_time(self._sql.heartbeat, worker_id, self._clock() + lease_seconds)

    async def _ask_time(self, sql: str, *args: object) -> None:
        asked_at = boot_seconds()
        row = await self._database.row(sql, *args)
        if row is not None:
            self._store_clock.sample(row[0], asked_at=asked_at)

    async def workers(self) -> list[str]:
        return [row["worker_id"] for row in await self._database.rows(self._sql.workers)]

    async def expire_worker(self, worker_id: str) -> None:
        await self._database.rows(self._sql.expire_worker, worker_id, self._clock())
        await self._database.rows(self._outbox_sql.release_leases, worker_id)
        self._changes.publish(Change(None))  # it may have died between a change and its notification

    async def adopt(
        self,
        worker_id: str,
        *,
        tools: Collection[str],
        limit: int = 1000,
        spares_silent: bool = False,
        but_of: Collection[str] = (),
    ) -> list[Job]:
        now = float("-inf") if spares_silent else self._clock()
        rows = await self._database.rows(self._sql.adopt, worker_id, list(tools), now, limit, list(but_of))
        adopted = [self._rows.remember_row(row) for row in rows]
        return [known.job for known in sorted(adopted, key=attrgetter("number"))]

    # --- looking around ---

    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        principal: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        below = _ABOVE_ALL if cursor is None else cursor_number(cursor)
        wanted = [str(status) for status in statuses]
        args = (below, self._clock(), tool, wanted, limit + 1)
        if principal is None:
            rows = await self._database.rows(self._sql.list, *args)
        else:
            rows = await self._database.rows(self._sql.list_of_principal, *args, principal)
        next_cursor = new_cursor(rows[limit - 1]["number"]) if len(rows) > limit else None
        return JobPage([record_of(row) for row in rows[:limit]], next_cursor)

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        rows = await self._database.rows(self._sql.counts, self._clock())
        return {(row["tool"], JobStatus(row["status"])): row["count"] for row in rows}

    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        rows = await self._database.rows(self._sql.positions, list(job_ids))
        return {row["id"]: row["place"] for row in rows}

    # --- events ---

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        rows = await self._database.rows(self._sql.page, job_id, min(after, _ABOVE_ALL), limit, self._clock())
        if not rows:
            return None
        events = [decode_event(row["event"]) for row in rows if row["event"] is not None]
        return EventPage(events, rows[0]["last_seq"], JobStatus(rows[0]["status"]).is_final)

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._changes.subscribe(on_change)

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        now = self._clock()
        row = await self._database.row(self._sql.acquire_slot, name, holder, limit, now, now + lease_seconds)
        return row is not None and bool(row[0])

    async def release_slot(self, name: str, holder: str) -> None:
        await self._database.rows(self._sql.release_slot, name, holder)

    # --- shares of callers ---

    async def take_token(self, bucket: bytes, *, rate_per_second: float, burst: int) -> Taken:
        now = None if self._given_clock is None else self._given_clock()
        row = await self._database.row(self._sql.take_token, bucket, rate_per_second, burst, now)
        if row is None:
            raise UnavailableError("the database gave no answer for the bucket of a caller")
        return Taken(row["is_taken"], row["remaining"])

    # --- retention ---

    async def purge(self) -> int:
        await self._database.rows(self._sql.forget_workers, self._clock() - SILENT_SECONDS)
        await self._database.rows(self._sql.forget_buckets, self._clock())
        count = 0
        while True:
            row = await self._database.row(self._sql.purge, self._clock(), _PURGE_BATCH)
            gone = 0 if row is None else int(row[0])
            count += gone
            if gone < _PURGE_BATCH:
                break
        while True:  # the others: sinks have not confirmed them
            found = await self._database.rows(self._sql.find_undelivered, self._clock(), _PURGE_BATCH)
            gone = await self._retire(found)
            count += gone
            if gone < _PURGE_BATCH:
                return count

    async def _retire(self, rows: "Sequence[Row]") -> int:
        """Keep expired jobs for sinks alone; returns how many of them were still for clients."""
        if not rows:
            return 0
        untils = [decode_job(row["record"]).deliver_until or 0.0 for row in rows]
        row = await self._database.row(self._sql.retire, [row["number"] for row in rows], untils)
        return 0 if row is None else int(row[0])
