"""How `PostgresJobStore` changes one job: compare-and-set of its row, by a version."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from lambda_kit.adapters.stores.postgres.batches import Batches, Item
from lambda_kit.adapters.stores.postgres.changes import Changes
from lambda_kit.adapters.stores.postgres.sql import Statements
from lambda_kit.adapters.stores.remembered import RememberedJobs
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.model.events import Event, first_events
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.store_base import Step, StoredJob, log_of
from lambda_kit.core.ports.store_records import decode_job, encode_event, encode_job

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database, Row

__all__ = ["UNKNOWN_SIZE", "Known", "Rows", "record_of"]

UNKNOWN_SIZE = 100_000_000
"""Bytes of a body whose size is not known before it is there: it sets only for how long one waits."""


class Known(StoredJob, gc=False):
    """A job as its row was at some version. It is replaced, never changed."""

    number: int
    version: int
    event_count: int
    request: Payload | None = None
    """Where the write that made this version has read it: a claim."""


def record_of(row: "Row") -> Job:
    """The record in a row. What one statement changes in many rows is in columns, and newer there."""
    job = decode_job(row["record"])
    lease_expires_at, assigned_worker = row["lease_expires_at"], row["assigned_worker"]
    if job.lease_expires_at == lease_expires_at and job.assigned_worker == assigned_worker:
        return job
    return msgspec.structs.replace(job, lease_expires_at=lease_expires_at, assigned_worker=assigned_worker)


def _known(row: "Row") -> Known:
    batch = (row["batch_token"], row["batch"])
    return Known(record_of(row), row["last_seq"], batch, row["number"], row["version"], row["event_count"])


class Rows(RememberedJobs[Known]):
    """The rows of single jobs.

    Args:
        database: Where they are.
        sql: The statements.
        changes: Publishes what is committed.
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
        super().__init__(clock)
        self._event_log_size = event_log_size

        def batches(statement: str, *, key: str = "number", answer_size: int = 0) -> Batches:
            return Batches(database, statement, key=key, on_doubt=self._doubt, answer_size=answer_size)

        self._creations = batches(sql.create, key="id")
        self._claims = batches(sql.claim, answer_size=UNKNOWN_SIZE)
        self._changes_of = batches(sql.change)
        self._ends = batches(sql.end)

    def remember_row(self, row: "Row") -> Known:
        """Remember a job that was read."""
        known = _known(row)
        self.remember(known)
        return known

    async def _fetch(self, job_id: str) -> Known | None:
        row = await self._database.row(self._sql.read, job_id, self._clock())
        return None if row is None else _known(row)

    async def _write(self, known: Known, step: Step, now: float) -> Known | None:
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
        with self._publishing_if_in_doubt(job.id):
            row = await batches.do(item)
        if row is None:
            self.forget(job.id)
            return None
        self.remember(after)
        if not step.is_quiet:
            self._changes.publish(Change(job.id, job.status, job.cancel_requested))
        if batches is self._claims:
            return msgspec.structs.replace(after, request=Payload(row["request"], row["request_type"]))
        return after

    async def create(self, job: Job, request: Payload) -> int | None:
        """Make a row, unless there is one with the job's id or key; returns its number."""
        item = self._new_item(job, request)
        with self._publishing_if_in_doubt(job.id):
            row = await self._creations.do(item)
        return None if row is None else self._created(job, row["number"])

    async def create_gated(
        self, job: Job, request: Payload, most: int | None, most_of_share: int | None, *, is_near: bool
    ) -> tuple[int | None, str]:
        """As `create`, if the job's tool, and its share, have fewer jobs that are not final.

        Returns:
            The number of the row, and the verdict: ``open``, there was room for it; ``tool`` or ``share``, there was
            none; ``near``, ask again with `is_near`, one at a time.
        """
        item = self._new_item(job, request)
        columns = [*([value] for value in item.values), *zip(*((1, *event) for event in item.events), strict=True)]
        sql, values = self._sql.create_gated, (*columns, job.tool, most, is_near)
        if most_of_share is not None:
            sql, values = self._sql.create_in_share, (*values, job.share, most_of_share)
        with self._publishing_if_in_doubt(job.id):
            row = await self._database.row(sql, *values, body_size=item.size)
        if row is None or row["number"] is None:
            return None, "open" if row is None else str(row["verdict"])
        return self._created(job, row["number"]), "open"

    def _new_item(self, job: Job, request: Payload) -> Item:
        first = first_events(job)
        log = first[-self._event_log_size :]
        return Item(
            job.id,
            job.id,
            (
                *(job.id, job.idempotency_key, job.tool, job.status, job.assigned_worker, job.home, job.principal),
                *(
                    job.lease_token,
                    job.lease_expires_at,
                    len(first),
                    len(log),
                    encode_job(job),
                    request.content_type,
                    request.content,
                    job.share,
                ),
            ),
            [(event.seq, encode_event(event)) for event in log],
            body_size=len(request.content),
        )

    def _created(self, job: Job, number: int) -> int:
        last_seq = len(first_events(job))
        self.remember(Known(job, last_seq, (0, 0), number, 1, min(last_seq, self._event_log_size)))
        self._changes.publish(Change(job.id, job.status))
        return number

    async def close(self) -> None:
        """Wait until what is under way has ended: the database is closed."""
        for batches in (self._creations, self._claims, self._changes_of, self._ends):
            await batches.close()
        self.forget(None)

    def _next(self, known: Known, step: Step, now: float) -> tuple[Known, list[Event], int]:
        """The row after a step, what is appended to the log, and how many of the oldest have to go for it."""
        log = log_of(known, step, now)
        last_seq = log[-1].seq if log else known.last_seq + step.dropped
        count = known.event_count + len(log)
        kept = min(count, self._event_log_size)
        after = Known(step.job, last_seq, step.batch or known.batch, known.number, known.version + 1, kept)
        return after, log[-self._event_log_size :], count - kept

    def _doubt(self, job_id: str) -> None:
        self.forget(job_id)
        self._changes.publish(Change(job_id))

    @contextlib.contextmanager
    def _publishing_if_in_doubt(self, job_id: str) -> Iterator[None]:
        """Where it is not known whether a change was made, subscribers are called to look."""
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
