"""`SqliteJobStore`: jobs in one SQLite file, for the processes of one machine. Nothing but the standard library."""

import secrets
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from lambda_kit.adapters.stores.sqlite import outbox, queries
from lambda_kit.adapters.stores.sqlite.clock import FileClock
from lambda_kit.adapters.stores.sqlite.file import DatabaseFile
from lambda_kit.adapters.stores.sqlite.jobs import Row
from lambda_kit.adapters.stores.sqlite.queries import Body
from lambda_kit.adapters.stores.sqlite.reader import UNKNOWN, Reader
from lambda_kit.adapters.stores.sqlite.writer import Writer
from lambda_kit.adapters.stores.sqlite.writes import Operations
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.events import EventPage
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import Change, Created, Delivery, DeliveryPart, Dropped, JobPage, OnChange, Taken
from lambda_kit.core.ports.store_base import Decide, JobStoreBase
from lambda_kit.core.ports.store_records import cursor_number
from lambda_kit.core.ports.subscriptions import Subscriptions

__all__ = ["SqliteJobStore"]

T = TypeVar("T")

_HIGHEST: Final = 2**63 - 1


class SqliteJobStore(JobStoreBase[Row]):
    """Keeps jobs in one SQLite file, for any number of processes on one machine.

    What a method has done when it returns is on the disk: it survives a `kill -9` of any or all of the processes, a
    crash of the machine, and a loss of power if the disk keeps what it has acknowledged. (`synchronous=FULL`; calls
    that wait at the same time share one flush.) What was asked for and not yet answered is there or not, never in part.

    The file must be on a local disk: not on a network drive, where neither locks nor write-ahead logging work. Beside
    it SQLite keeps two others, ``-wal`` and ``-shm``: they belong to it. One process writes at a time, the others wait;
    what they change is seen by each after 50 ms at most. While the disk is full, or another process keeps the file
    locked for longer than `busy_timeout_seconds`, `UnavailableError` is raised; it works again when that is over. It is
    raised, too, for what is to be written once the file was removed or replaced, and where it is damaged: these are
    logged as errors, since somebody must mend them. A file in which the start finds damage is refused.

    Requests and results may have up to 1 GB, SQLite's limit; while one of 50 MB is written the others wait for half a
    second or so. Finished jobs are kept until their time is up (`Job.keep_finished` has no effect). The space of
    forgotten jobs is used again; the file does not get smaller.

    **Time.** On Linux leases, and the times of a job, go by the clock since the machine's boot, which no step of the
    wall clock changes. The first process that opens the file sets it by the wall clock, the others follow. Elsewhere
    they go by the wall clock.

    Args:
        path: The file. It is made if it is not there; its directory must be.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        busy_timeout_seconds: For how long a write waits for that of another process, from when it was asked for.
        clock: Gives the time in seconds since the epoch. It is called on several threads. For tests. None: as above.

    Raises:
        ConfigurationError: if the path does not name a file.
        ValueError: if a number is out of range.
    """

    counts_shares = True

    def __init__(
        self,
        path: str | Path,
        *,
        event_log_size: int = 10_000,
        busy_timeout_seconds: float = 10.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if str(path) in ("", ".", ":memory:"):
            raise ConfigurationError(
                f"SqliteJobStore({str(path)!r}): name a file. To keep jobs in memory: MemoryJobStore"
            )
        if busy_timeout_seconds < 0:
            raise ValueError(f"busy_timeout_seconds={busy_timeout_seconds}: must be at least 0")
        self._file_clock = FileClock(clock)
        super().__init__(event_log_size=event_log_size, clock=self._file_clock)
        self._another: Callable[[], SqliteJobStore] = lambda: SqliteJobStore(
            path, event_log_size=event_log_size, busy_timeout_seconds=busy_timeout_seconds, clock=clock
        )
        # absolute now: the working directory may be another one when a connection is opened again
        self._file = DatabaseFile(Path(path).absolute(), busy_timeout_seconds)
        origin = secrets.randbits(62)
        make_operations = partial(Operations, origin=origin, event_log_size=event_log_size, clock=self._clock)
        self._writer = Writer("lambda_kit sqlite writer", self._file, make_operations, self._notify)
        self._reader = Reader("lambda_kit sqlite reader", self._file, origin, self._notify)
        self._quick: sqlite3.Connection | None = None
        self._subscriptions = Subscriptions(
            on_first=lambda: self._reader.look_for_changes(self._change_now()), on_last=self._reader.stop_looking
        )

    def __repr__(self) -> str:
        return f"SqliteJobStore({str(self._file.path)!r})"

    async def start(self) -> None:
        self._file.renew()
        await self._writer.start()  # first: it makes the schema
        try:
            await self._writer.submit(lambda operations: self._file_clock.agree(operations.connection))
            await self._reader.start()
            self._quick = await self._reader.submit(lambda _: self._file.open_without_waiting())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Release what `start` opened, and end the subscriptions. What was asked for before is done first."""
        self._subscriptions.end_all()
        quick, self._quick = self._quick, None
        if quick is not None:
            quick.close()
        await self._reader.stop()
        await self._writer.stop()

    def another(self) -> "SqliteJobStore":
        return self._another()

    async def caller_key(self) -> bytes:
        proposed = secrets.token_bytes(32)
        return await self._writer.submit(lambda operations: operations.caller_key(proposed))

    # --- the life of a job ---

    async def _change(self, job_id: str, decide: Decide[Row], *, size_bytes: int = 0) -> Row | None:
        return await self._writer.submit(lambda operations: operations.change(job_id, decide), size_bytes)

    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        def write(operations: Operations) -> Created | None:
            return operations.create(job, request, max_unfinished, max_of_share)

        return await self._writer.submit(write, len(request.content))

    async def _request(self, stored: Row) -> Payload | None:
        body = await self._read_quickly(lambda connection: queries.request_of(connection, stored.number))
        return None if body is None else await self._whole("requests", body)

    async def _overdue(self, limit: int) -> list[str]:
        return await self._reader.submit(lambda connection: queries.overdue(connection, limit, self._clock()))

    async def get(self, job_id: str) -> Job | None:
        return await self._read_quickly(lambda connection: queries.get(connection, job_id, self._clock()))

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        return await self._read_quickly(
            lambda connection: queries.find_by_key(connection, idempotency_key, self._clock())
        )

    async def get_result(self, job_id: str) -> Payload | None:
        result = await self._read_quickly(lambda connection: queries.result(connection, job_id, self._clock()))
        return None if result is None else await self._whole("results", result)

    # --- workers ---

    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        await self._writer.submit(lambda operations: operations.heartbeat(worker_id, lease_seconds))

    async def workers(self) -> list[str]:
        return await self._reader.submit(queries.workers)

    async def expire_worker(self, worker_id: str) -> None:
        await self._writer.submit(lambda operations: operations.expire_worker(worker_id))

    async def adopt(
        self,
        worker_id: str,
        *,
        tools: Collection[str],
        limit: int = 1000,
        spares_silent: bool = False,
        but_of: Collection[str] = (),
    ) -> list[Job]:
        return await self._writer.submit(
            lambda operations: operations.adopt(worker_id, tools, limit, spares_silent, but_of)
        )

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
        below = _HIGHEST if cursor is None else cursor_number(cursor)
        return await self._reader.submit(
            lambda connection: queries.list_jobs(connection, tool, statuses, principal, limit, below, self._clock())
        )

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        return await self._reader.submit(lambda connection: queries.counts(connection, self._clock()))

    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        return await self._reader.submit(lambda connection: queries.queue_positions(connection, job_ids))

    # --- events ---

    async def read_events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> EventPage | None:
        return await self._reader.submit(
            lambda connection: queries.read_events(connection, job_id, after, limit, self._clock())
        )

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._subscriptions.subscribe(on_change)

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        return await self._writer.submit(lambda operations: operations.acquire_slot(name, holder, limit, lease_seconds))

    async def release_slot(self, name: str, holder: str) -> None:
        await self._writer.submit(lambda operations: operations.release_slot(name, holder))

    # --- shares of callers ---

    async def take_token(self, bucket: bytes, *, rate_per_second: float, burst: int) -> Taken:
        return await self._writer.submit(lambda operations: operations.take_token(bucket, rate_per_second, burst))

    # --- the outbox ---

    async def register_sink(self, sink: str) -> None:
        await self._writer.submit(lambda operations: operations.register_sink(sink))

    async def undelivered(
        self, sink: str, *, limit: int = 100, worker_id: str | None = None, lease_seconds: float = 30.0
    ) -> list[Delivery]:
        if worker_id is None:
            return await self._reader.submit(lambda connection: outbox.undelivered(connection, sink, limit))
        return await self._writer.submit(
            lambda operations: operations.lease_deliveries(sink, limit, worker_id, lease_seconds)
        )

    async def read_delivery(
        self,
        sink: str,
        delivery: Delivery,
        *,
        limit: int = 100,
        worker_id: str | None = None,
        lease_seconds: float = 30.0,
    ) -> DeliveryPart | None:
        if worker_id is not None and not await self._writer.submit(
            lambda operations: operations.hold_delivery(sink, delivery.number, worker_id, lease_seconds)
        ):
            return None
        found = await self._reader.submit(lambda connection: outbox.delivery_part(connection, sink, delivery, limit))
        if found is None:
            return None
        part, body = found
        return part if body is None else msgspec.structs.replace(part, result=await self._whole("results", body))

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        return await self._writer.submit(
            lambda operations: operations.mark_delivered(sink, delivery, after_seq, is_complete, worker_id)
        )

    async def drop_undelivered(self, *, silent_seconds: float, limit: int = 500) -> list[Dropped]:
        return await self._writer.submit(lambda operations: operations.drop_undelivered(silent_seconds, limit))

    # --- retention ---

    async def purge(self) -> int:
        forgotten = 0
        is_done = False
        while not is_done:  # each step is a transaction of its own, between which others have their turn
            some, is_done = await self._writer.submit(Operations.purge)
            forgotten += some
        return forgotten

    # --- inside ---

    async def _read_quickly(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Look a few rows up by an index.

        That is done here, on the event loop: it takes 10 µs, less than to ask a thread. Readers never wait for the
        writer. Where it can't be done at once, or fails, the thread does it.
        """
        if self._quick is not None:
            try:
                return query(self._quick)
            except sqlite3.Error:
                pass  # the thread waits for a lock, opens the file again, or has a word for the error
        return await self._reader.submit(query)

    async def _whole(self, table: str, body: Body) -> Payload | None:
        if body.content is not None:
            return Payload(body.content, body.content_type)
        return await self._reader.submit(lambda connection: queries.large_body(connection, table, body))

    def _change_now(self) -> int:
        try:
            return UNKNOWN if self._quick is None else queries.change_now(self._quick)
        except sqlite3.Error:
            return UNKNOWN

    def _notify(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._subscriptions.publish(change)
