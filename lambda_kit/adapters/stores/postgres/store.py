"""`PostgresJobStore`: jobs in a PostgreSQL database, for several servers. Needs the extra ``postgres``."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from lambda_kit.adapters.stores.postgres.rows import UNKNOWN_SIZE, Known, record_of
from lambda_kit.adapters.stores.postgres.shared import PostgresShared
from lambda_kit.core.errors import MissingExtraError, UnavailableError
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Created, Lease, Renewal
from lambda_kit.core.ports.store_base import Decide
from lambda_kit.core.ports.store_records import decode_job, share_full

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database

__all__ = ["PostgresJobStore"]

_TURN_SECONDS = 5.0


class PostgresJobStore(PostgresShared):
    """Keeps jobs in PostgreSQL (13 or later), for any number of server processes on any number of machines.

    What a method has changed is committed when it returns: it survives a kill -9 of the service and a crash of the
    database, and, since PostgreSQL waits for the disk unless it is told not to (``fsync`` and ``synchronous_commit``,
    both on by default), a loss of power. With ``synchronous_commit = off`` the last fraction of a second may be lost.
    A standby has what ``synchronous_commit`` and ``synchronous_standby_names`` promise.

    **Time.** Leases, and the times of a job, go by the clock of the database server, which is asked at the start and
    with each heartbeat. The clocks of the other machines need not agree with it.

    Subscribers are called for the changes of other stores within some 10 ms, by LISTEN and NOTIFY on one connection of
    its own. While that is lost they are not; they get a `Change` of no job when it is back. So a connection pooler
    between must pool sessions, not transactions; with PgBouncer before 1.21 also set ``statement_cache_size=0``.

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
        clock: Gives the time in seconds since the epoch. For tests. None: the time of the database server.

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
        clock: Callable[[], float] | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError(f"max_connections={max_connections}: must be at least 1")
        database = _new_database(
            url, schema=schema, max_connections=max_connections, statement_cache_size=statement_cache_size
        )
        super().__init__(database, schema=schema, event_log_size=event_log_size, clock=clock)
        self._another: Callable[[], PostgresJobStore] = lambda: PostgresJobStore(
            url, schema=schema, max_connections=1, statement_cache_size=statement_cache_size, clock=clock
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # those in use

    async def stop(self) -> None:
        await super().stop()
        self._turns.clear()  # they belong to the event loop

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.where!r})"

    def another(self) -> "PostgresJobStore":
        return self._another()

    # --- the life of a job ---

    async def _change(self, job_id: str, decide: Decide[Known], *, size_bytes: int = 0) -> Known | None:
        return await self._rows.change(job_id, decide)

    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        share = None if max_of_share is None or job.share is None else job.share.hex()
        is_near = False  # the limit of the tool
        while True:
            verdict = "open"
            if max_unfinished is None and share is None:
                number = await self._rows.create(job, request)
            else:
                async with self._turn(share, "this caller"), self._turn(job.tool if is_near else None, "this tool"):
                    number, verdict = await self._rows.create_gated(
                        job, request, max_unfinished, None if share is None else max_of_share, is_near=is_near
                    )
            if number is not None:
                return Created(job, is_new=True)
            now = self._clock()
            there = await self._database.row(self._sql.read_conflict, job.id, job.idempotency_key, now)
            if there is not None:
                return Created(record_of(there), is_new=False)
            if verdict == "near":
                is_near = True
                continue
            if verdict == "tool":
                return None
            if verdict == "share" and max_of_share is not None:
                raise share_full(max_of_share)
            # those that no sink waits for, then the others
            await self._database.rows(self._sql.forget_expired, job.id, job.idempotency_key, now)
            await self._retire(await self._database.rows(self._sql.find_expired, job.id, job.idempotency_key, now))

    @contextlib.asynccontextmanager
    async def _turn(self, name: str | None, whose: str) -> AsyncIterator[None]:
        """One after the other, where there is a name: all connections would wait for its lock otherwise."""
        if name is None:
            yield
            return
        turn = self._turns.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise UnavailableError(f"too many jobs of {whose} came at once: come back later") from None
        try:
            yield
        finally:
            turn.release()

    async def get(self, job_id: str) -> Job | None:
        row = await self._database.row(self._sql.read, job_id, self._clock())
        return None if row is None else record_of(row)

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        row = await self._database.row(self._sql.read_by_key, idempotency_key, self._clock())
        return None if row is None else record_of(row)

    async def get_result(self, job_id: str) -> Payload | None:
        row = await self._database.row(self._sql.result, job_id, self._clock(), body_size=UNKNOWN_SIZE)
        return None if row is None else Payload(row["result"], str(decode_job(row["record"]).result_content_type))

    async def _request(self, stored: Known) -> Payload | None:
        if stored.request is not None:
            return stored.request
        row = await self._database.row(self._sql.request, stored.number, body_size=UNKNOWN_SIZE)
        if row is None or row["request"] is None:
            return None
        return Payload(row["request"], row["request_type"])

    async def _overdue(self, limit: int) -> list[str]:
        rows = await self._database.rows(self._sql.overdue, self._clock(), limit)
        return [self._rows.remember_row(row).job.id for row in rows]

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


def _new_database(url: str, *, schema: str, max_connections: int, statement_cache_size: int) -> "Database":
    try:
        from lambda_kit.adapters.stores.postgres.database import Database  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "asyncpg":
            raise
        raise MissingExtraError("PostgresJobStore", "postgres") from None
    return Database(url, schema=schema, max_connections=max_connections, statement_cache_size=statement_cache_size)
