"""`PostgresJobStore`: jobs in a PostgreSQL database, for several servers. Needs the extra ``postgres``."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from lambda_kit.adapters.stores.postgres.rows import UNKNOWN_SIZE, Known, Step, record_of
from lambda_kit.adapters.stores.postgres.shared import PostgresShared
from lambda_kit.core.errors import MissingExtraError, QueueFullError, UnavailableError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Job, JobStatus, Outcome, Payload
from lambda_kit.core.model.transitions import claim_job, end_job, holds_claim, reap_job, requeue_job
from lambda_kit.core.ports.store import Change, Claim, ClaimRequest, Created, Lease, Renewal
from lambda_kit.core.ports.store_records import decode_job, holds_lease, lease_lost

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database

__all__ = ["PostgresJobStore"]

_REAP_BATCH = 200
_TURN_SECONDS = 5.0


class PostgresJobStore(PostgresShared):
    """Keeps jobs in PostgreSQL (13 or later), for any number of server processes on any number of machines.

    What a method has changed is committed when it returns: it survives a kill -9 of the service and a crash of the
    database, and, since PostgreSQL waits for the disk unless it is told not to (``fsync`` and ``synchronous_commit``,
    both on by default), a loss of power. With ``synchronous_commit = off`` the last fraction of a second may be lost.
    A standby has what ``synchronous_commit`` and ``synchronous_standby_names`` promise.

    Changes by other stores are told to watches within some 20 ms, by LISTEN and NOTIFY on one connection of its own.
    While that is lost they are not; a `Change` of no job is told when it is back. So a connection pooler between must
    pool sessions, not transactions; with PgBouncer before 1.21 also set ``statement_cache_size=0``.

    The tables are made, and brought up to date, in a schema of their own, when the store is started; a schema made by a
    newer lambda_kit is refused. The user needs the right to make a schema in the database, or a schema that it owns.
    TLS: ``postgresql://…?sslmode=require``, or ``verify-full`` with ``sslrootcert=FILE`` to be sure of the server.

    Requests and results of 50 MB work; a body is in memory about twice while it is sent or read. Those of more than
    1 GB are refused (`PayloadTooLargeError`).

    Args:
        url: ``postgresql://user:password@host:port/database``, as in libpq. The password is not shown anywhere.
        schema: The schema of the tables. Stores of one database and schema are one store.
        max_connections: How many connections there are at most, beside the one that listens.
        statement_cache_size: How many prepared statements each connection keeps. 0: none are prepared.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. The servers' clocks should agree within a second or so.

    Raises:
        MissingExtraError: if asyncpg is not installed.
        ConfigurationError: if `schema` is not a plain name, or the URL names neither a host nor a database.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "lambda_kit",
        max_connections: int = 10,
        statement_cache_size: int = 100,
        event_log_size: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if event_log_size < 1:
            raise ValueError(f"event_log_size={event_log_size}: must be at least 1")
        if max_connections < 1:
            raise ValueError(f"max_connections={max_connections}: must be at least 1")
        database = _new_database(
            url, schema=schema, max_connections=max_connections, statement_cache_size=statement_cache_size
        )
        super().__init__(database, schema=schema, event_log_size=event_log_size, clock=clock)
        self._turns: dict[str, asyncio.Lock] = {}

    async def stop(self) -> None:
        await super().stop()
        self._turns.clear()  # they belong to the event loop

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.where!r})"

    # --- the life of a job ---

    async def create(
        self, job: Job, request: Payload, *, max_unfinished: int | None = None, claim: ClaimRequest | None = None
    ) -> Created:
        if claim is not None:
            job = claim.claimed(job, self._clock())
        is_near = False  # the limit
        while True:
            is_open: bool | None = True
            if max_unfinished is None:
                number = await self._rows.create(job, request)
            else:
                async with self._turn(job.tool) if is_near else contextlib.nullcontext():
                    number, is_open = await self._rows.create_gated(job, request, max_unfinished, is_near=is_near)
            if number is not None:
                return Created(job, is_new=True)
            now = self._clock()
            there = await self._database.row(self._sql.read_conflict, job.id, job.idempotency_key, now)
            if there is not None:
                return Created(record_of(there), is_new=False)
            if is_open is None:
                is_near = True
                continue
            if not is_open:
                raise QueueFullError(f"tool '{job.tool}' has {max_unfinished} jobs waiting or running: come back later")
            await self._database.rows(self._sql.forget_expired, job.id, job.idempotency_key, now)

    @contextlib.asynccontextmanager
    async def _turn(self, tool: str) -> AsyncIterator[None]:
        """One after the other: all connections would wait for the lock of the tool otherwise."""
        turn = self._turns.setdefault(tool, asyncio.Lock())
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise UnavailableError(f"too many jobs of tool '{tool}' came at once: come back later") from None
        try:
            yield
        finally:
            turn.release()

    async def discard(self, job_id: str) -> None:
        while True:
            known = await self._rows.read(job_id)
            if known is None or known.job.status is not JobStatus.PENDING:
                return
            with self._rows.publishing_if_in_doubt(job_id):
                row = await self._database.row(self._sql.discard, known.number, known.version)
            if row is not None and row[0] == 1:
                self._rows.forget(job_id)
                self._changes.publish(Change(job_id))
                return

    async def get(self, job_id: str) -> Job | None:
        row = await self._database.row(self._sql.read, job_id, self._clock())
        return None if row is None else record_of(row)

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        row = await self._database.row(self._sql.read_by_key, idempotency_key, self._clock())
        return None if row is None else record_of(row)

    async def get_result(self, job_id: str) -> Payload | None:
        row = await self._database.row(self._sql.result, job_id, self._clock(), body_size=UNKNOWN_SIZE)
        return None if row is None else Payload(row["result"], str(decode_job(row["record"]).result_content_type))

    async def claim(
        self, job_id: str, *, worker_id: str, lease_seconds: float, claim_id: str | None = None
    ) -> Claim | None:
        while True:
            known = self._rows.known(job_id)
            if known is None or known.job.status is not JobStatus.PENDING:
                known = await self._rows.read(job_id)
                if known is None:
                    return None
            if known.job.status is not JobStatus.PENDING:
                break
            now = self._clock()
            job = claim_job(known.job, worker_id=worker_id, lease_seconds=lease_seconds, now=now, claim_id=claim_id)
            answer = await self._rows.write(known, Step(job), now)
            if answer is not None:
                return Claim(job, Payload(answer[1]["request"], answer[1]["request_type"]))
        if claim_id is None or not holds_claim(known.job, worker_id, claim_id):
            return None
        row = await self._database.row(self._sql.request, known.number, body_size=UNKNOWN_SIZE)
        if row is None or row["request"] is None:
            return None  # it has just ended
        return Claim(known.job, Payload(row["request"], row["request_type"]))

    async def renew(self, leases: Sequence[Lease], *, lease_seconds: float) -> list[Renewal]:
        if not leases:
            return []
        expiry = self._clock() + lease_seconds
        ids, tokens = [lease.job_id for lease in leases], [lease.token for lease in leases]
        rows = await self._database.rows(self._sql.renew, ids, tokens, expiry)
        held = {Lease(row["id"], row["lease_token"]): row for row in rows}
        for row in rows:
            known = self._rows.known(row["id"])
            self._rows.forget(row["id"])
            if known is not None and known.version == row["version"] - 1:
                job = msgspec.structs.replace(known.job, lease_expires_at=expiry)
                self._rows.remember(msgspec.structs.replace(known, version=row["version"], job=job))
        return [
            Renewal(
                lease, is_lost=lease not in held, cancel_requested=lease in held and held[lease]["cancel_requested"]
            )
            for lease in leases
        ]

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        def end(known: Known, now: float) -> Step:
            job = end_job(_held(known, lease), outcome, now=now)
            if job.status is JobStatus.SUCCEEDED and isinstance(outcome, Payload):
                return Step(job, result=outcome)
            return Step(job)

        return _there(await self._rows.change(lease.job_id, end), lease).job

    async def release(self, lease: Lease, *, is_counted: bool = False) -> Job:
        def hand_back(known: Known, now: float) -> Step:
            job = _held(known, lease)
            if job.cancel_requested:
                return Step(end_job(job, None, now=now))
            return Step(requeue_job(job, is_counted=is_counted, assigned_worker=job.assigned_worker))

        return _there(await self._rows.change(lease.job_id, hand_back), lease).job

    async def request_cancel(self, job_id: str) -> Job | None:
        def ask(known: Known, now: float) -> Step | None:
            job = known.job
            if job.status.is_final or job.cancel_requested:
                return None
            if job.status is JobStatus.PENDING:
                return Step(end_job(job, None, now=now))
            return Step(msgspec.structs.replace(job, cancel_requested=True))

        known = await self._rows.change(job_id, ask)
        return None if known is None else known.job

    async def reap(self) -> list[Job]:
        reaped: list[Job] = []
        while True:
            now = self._clock()
            rows = await self._database.rows(self._sql.lost, now, _REAP_BATCH)
            for row in rows:
                known = self._rows.remember_row(row)
                job = reap_job(known.job, now=now)
                # whoever else has changed it in the meantime goes first
                if job is not None and await self._rows.write(known, Step(job), now) is not None:
                    reaped.append(job)
            if len(rows) < _REAP_BATCH:
                return reaped

    async def append_events(
        self, lease: Lease, events: Sequence[NewEvent], *, dropped: int = 0, batch: int | None = None
    ) -> int:
        this_batch = None if batch is None else (lease.token, batch)
        progress = next((event.progress for event in reversed(events) if event.progress is not None), None)

        def append(known: Known, _: float) -> Step | None:
            job = _held(known, lease)
            if this_batch is not None and known.batch >= this_batch:
                return None
            if progress is not None:
                job = msgspec.structs.replace(job, progress=progress)
            return Step(job, events=events, dropped=dropped, batch=this_batch)

        return _there(await self._rows.change(lease.job_id, append), lease).last_seq


def _held(known: Known, lease: Lease) -> Job:
    if not holds_lease(known.job, lease):
        raise lease_lost(lease)
    return known.job


def _there(known: Known | None, lease: Lease) -> Known:
    if known is None:
        raise lease_lost(lease)
    return known


def _new_database(url: str, *, schema: str, max_connections: int, statement_cache_size: int) -> "Database":
    try:
        from lambda_kit.adapters.stores.postgres.database import Database  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "asyncpg":
            raise
        raise MissingExtraError("PostgresJobStore", "postgres") from None
    return Database(url, schema=schema, max_connections=max_connections, statement_cache_size=statement_cache_size)
