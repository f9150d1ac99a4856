"""How `PostgresJobStore` changes one job: compare-and-set of its row, by a version."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from cachetools import LRUCache

from lambda_kit.adapters.stores.postgres.batches import Batches, Item
from lambda_kit.adapters.stores.postgres.changes import Changes
from lambda_kit.adapters.stores.postgres.sql import Statements
from lambda_kit.core.errors import LeaseLostError, UnavailableError
from lambda_kit.core.model.events import Event, NewEvent, first_events, report_event, status_event
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.store_records import decode_job, encode_event, encode_job

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database, Row

__all__ = ["UNKNOWN_SIZE", "Decide", "Known", "Rows", "Step", "record_of"]

UNKNOWN_SIZE = 100_000_000
"""Bytes of a body whose size is not known before it is there: it sets only for how long one waits."""

_KNOWN_JOBS = 10_000


class Known(msgspec.Struct, frozen=True, gc=False):
    """A job as its row was at some version."""

    number: int
    version: int
    job: Job
    last_seq: int = 1
    event_count: int = 1
    batch: tuple[int, int] = (0, 0)
    """Token and number of the last batch of events."""


class Step(msgspec.Struct, frozen=True):
    """What is to become of a job. A change of its status is logged by itself."""

    job: Job
    result: Payload | None = None
    events: Sequence[NewEvent] = ()
    dropped: int = 0
    batch: tuple[int, int] | None = None


Decide = Callable[[Known, float], Step | None]
"""Given a job and the time, says what becomes of it. None: it stays as it is."""


def record_of(row: "Row") -> Job:
    """The record in a row. What one statement changes in many rows is in columns, and newer there."""
    job = decode_job(row["record"])
    lease_expires_at, assigned_worker = row["lease_expires_at"], row["assigned_worker"]
    if job.lease_expires_at == lease_expires_at and job.assigned_worker == assigned_worker:
        return job
    return msgspec.structs.replace(job, lease_expires_at=lease_expires_at, assigned_worker=assigned_worker)


class Rows:
    """The rows of single jobs.

    Jobs that were last changed here are likely to be changed here next, and are remembered: such a change needs no
    reading first, since nothing is written unless the row still has the version that is remembered.

    Args:
        database: Where they are.
        sql: The statements.
        changes: Is told of what is committed.
        clock: Gives the time in seconds since the epoch.
        event_log_size: How many events are kept of each job.
    """

    def __init__(
        self,
        database: "Database",
        sql: Statements,
        changes: Changes,
        clock: Callable[[], float],
        event_log_size: int,
    ) -> None:
        self._database = database
        self._sql = sql
        self._changes = changes
        self._clock = clock
        self._event_log_size = event_log_size
        self._known: LRUCache[str, Known] = LRUCache(_KNOWN_JOBS)

        def batches(statement: str, *, key: str = "number", answer_size: int = 0) -> Batches:
            return Batches(database, statement, key=key, on_doubt=self._doubt, answer_size=answer_size)

        self._creations = batches(sql.create, key="id")
        self._claims = batches(sql.claim, answer_size=UNKNOWN_SIZE)
        self._changes_of = batches(sql.change)
        self._ends = batches(sql.end)

    def known(self, job_id: str) -> Known | None:
        """A job as it was when it was last seen here."""
        known: Known | None = self._known.get(job_id)
        return known

    def remember(self, known: Known) -> None:
        """Remember a job, unless nothing can become of it any more."""
        if known.job.status.is_final:
            self._known.pop(known.job.id, None)
        else:
            self._known[known.job.id] = known

    def remember_row(self, row: "Row") -> Known:
        """Remember a job that was read."""
        known = Known(
            row["number"],
            row["version"],
            record_of(row),
            row["last_seq"],
            row["event_count"],
            (row["batch_token"], row["batch"]),
        )
        self.remember(known)
        return known

    def forget(self, job_id: str | None) -> None:
        """Remember a job no longer. None: none at all."""
        if job_id is None:
            self._known.clear()
        else:
            self._known.pop(job_id, None)

    async def read(self, job_id: str) -> Known | None:
        """A job as it is now. None: it is not there, or has expired."""
        row = await self._database.row(self._sql.read, job_id, self._clock())
        return None if row is None else self.remember_row(row)

    async def change(self, job_id: str, decide: Decide) -> Known | None:
        """Change a job; returns it as it is then. None: it is not there.

        Raises:
            LeaseLostError: if `decide` does.
        """
        known = self.known(job_id)
        is_remembered = known is not None
        while True:
            if known is None:
                known = await self.read(job_id)
                if known is None:
                    return None
            now = self._clock()
            step = None
            try:
                step = decide(known, now)
            except LeaseLostError:
                if not is_remembered:
                    raise
            if step is not None:
                answer = await self.write(known, step, now)
                if answer is not None:
                    return answer[0]
            elif not is_remembered:
                return known
            known, is_remembered = None, False

    async def write(self, known: Known, step: Step, now: float) -> "tuple[Known, Row] | None":
        """Make a step, if the row is still as it is known; returns it as it is then, with what the statement says.

        A step to `executing` says the request.
        """
        job = step.job
        after, log, excess = self._next(known, step, now)
        batches, content = self._changes_of, None
        if job.status.is_final:
            batches, content = self._ends, None if step.result is None else step.result.content
        elif job.status is JobStatus.EXECUTING and known.job.status is JobStatus.PENDING:
            batches = self._claims
        item = Item(
            known.number,
            job.id,
            (
                *(known.number, known.version, encode_job(job), job.status, job.assigned_worker, job.home),
                *(job.lease_token, job.lease_expires_at, job.expires_at, job.cancel_requested),
                *(after.last_seq, after.event_count, *after.batch, excess, content),
            ),
            [(event.seq, encode_event(event)) for event in log],
            body_size=len(content or b""),
        )
        with self.publishing_if_in_doubt(job.id):
            row = await batches.do(item)
        if row is None:
            self.forget(job.id)
            return None
        self.remember(after)
        self._changes.publish(Change(job.id, job.status, job.cancel_requested))
        return after, row

    async def create(self, job: Job, request: Payload) -> int | None:
        """Make a row, unless there is one with the job's id or key; returns its number."""
        item = self._new_item(job, request)
        with self.publishing_if_in_doubt(job.id):
            row = await self._creations.do(item)
        return None if row is None else self._created(job, row["number"])

    async def create_gated(
        self, job: Job, request: Payload, most: int, *, is_near: bool
    ) -> tuple[int | None, bool | None]:
        """As `create`, if the job's tool has fewer jobs that are not final.

        Returns:
            The number of the row, and whether there was room for it. None: ask again with `is_near`, one at a time.
        """
        item = self._new_item(job, request)
        values = [*([value] for value in item.values), *zip(*((1, *event) for event in item.events), strict=True)]
        with self.publishing_if_in_doubt(job.id):
            row = await self._database.row(
                self._sql.create_gated, *values, job.tool, most, is_near, body_size=item.size
            )
        if row is None or row["number"] is None:
            return None, None if row is None else row["is_open"]
        return self._created(job, row["number"]), True

    def _new_item(self, job: Job, request: Payload) -> Item:
        first = first_events(job)
        log = first[-self._event_log_size :]
        return Item(
            job.id,
            job.id,
            (
                *(job.id, job.idempotency_key, job.tool, job.status, job.assigned_worker, job.home, job.lease_token),
                *(job.lease_expires_at, len(first), len(log), encode_job(job), request.content_type, request.content),
            ),
            [(event.seq, encode_event(event)) for event in log],
            body_size=len(request.content),
        )

    def _created(self, job: Job, number: int) -> int:
        last_seq = len(first_events(job))
        self.remember(Known(number, 1, job, last_seq, min(last_seq, self._event_log_size)))
        self._changes.publish(Change(job.id, job.status))
        return number

    async def close(self) -> None:
        """Wait until what is under way has ended: the database is closed."""
        for batches in (self._creations, self._claims, self._changes_of, self._ends):
            await batches.close()
        self.forget(None)

    def _next(self, known: Known, step: Step, now: float) -> tuple[Known, list[Event], int]:
        """The row after a step, what is appended to the log, and how many of the oldest have to go for it."""
        last_seq = known.last_seq + step.dropped
        log = [report_event(seq, event) for seq, event in enumerate(step.events, last_seq + 1)]
        last_seq += len(log)
        if step.job.status is not known.job.status:
            last_seq += 1
            log.append(status_event(last_seq, step.job.status, now))
        count = known.event_count + len(log)
        kept = min(count, self._event_log_size)
        after = Known(known.number, known.version + 1, step.job, last_seq, kept, step.batch or known.batch)
        return after, log[-self._event_log_size :], count - kept

    def _doubt(self, job_id: str) -> None:
        self.forget(job_id)
        self._changes.publish(Change(job_id))

    @contextlib.contextmanager
    def publishing_if_in_doubt(self, job_id: str) -> Iterator[None]:
        """Where it is not known whether a change was made: have everybody look."""
        try:
            yield
        except (asyncio.CancelledError, UnavailableError) as error:
            if isinstance(error, asyncio.CancelledError) or _may_be_done(error.__cause__):
                self._doubt(job_id)
            self.forget(job_id)
            raise


def _may_be_done(error: BaseException | None) -> bool:
    """Whether a statement may have reached the server: it was not that there was no connection."""
    return error is not None and (not isinstance(error, OSError) or isinstance(error, TimeoutError))
