"""What the promises of a store have in common: its fixtures, its capabilities, and jobs to work with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from lambda_kit.core.model.events import Event, NewEvent
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import ClaimRequest, JobStore, Lease
from lambda_kit.testing.clock import ManualClock

__all__ = ["FAILURE", "REQUEST", "RESULT", "StorePromises", "new_event"]

REQUEST = Payload(b'{"name": "Ann", "bytes": "\xc3\xa9"}', "application/json; charset=utf-8")
RESULT = Payload(b"\x00\xffresult", "application/x-example")
FAILURE = Failure(FailureKind.TOOL, "RuntimeError", "boom", "Traceback ...")


def new_event(number: int, **members: Any) -> NewEvent:
    """An event whose body tells it from others."""
    return NewEvent(f"urn:example:schema:event.{number}", b'{"n": %d}' % number, 1000.0 + number, **members)


class StorePromises:
    """Base of the topics. The attributes declare what the store under test can do."""

    pytestmark = pytest.mark.asyncio

    has_manual_clock: ClassVar[bool] = True
    """Whether the store of the fixture takes its time from the fixture `clock`. If not, tests wait for real."""

    time_unit_seconds: ClassVar[float] = 10.0
    """Leases of the tests are this long. Without a manual clock: as short as the store can tell apart, such as 0.2."""

    event_log_size: ClassVar[int | None] = None
    """How many events the fixture's store keeps of each job, where the fixture makes that small (from 4 to 100)."""

    keeps_jobs_when_stopped: ClassVar[bool] = True
    """Whether the same store object still has its jobs after a stop and a start."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The time of the store, if it `has_manual_clock`."""
        return ManualClock()

    @pytest.fixture
    def store(self, clock: ManualClock) -> JobStore | AsyncIterator[JobStore]:
        """An empty store that is started. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'store'")

    async def pass_time(self, clock: ManualClock, units: float) -> None:
        """Let so many `time_unit_seconds` pass."""
        seconds = units * self.time_unit_seconds
        if self.has_manual_clock:
            clock.advance(seconds)
        else:
            await asyncio.sleep(seconds)

    def new_job(self, job_id: str = "job-1", **members: Any) -> Job:
        """A job that was never seen by a store."""
        return Job(**{"id": job_id, "tool": "greet", "requested_at": 1_800_000_000.0, **members})

    async def pending(self, store: JobStore, job_id: str = "job-1", **members: Any) -> Job:
        """A job in the store, pending."""
        return (await store.create(self.new_job(job_id, **members), REQUEST)).job

    async def claimed(self, store: JobStore, job_id: str = "job-1", **members: Any) -> Lease:
        """A job in the store, executing; its lease is one time unit long."""
        await self.pending(store, job_id, **members)
        return await self.claim(store, job_id)

    def claim_request(self) -> ClaimRequest:
        """Has a job claimed in the step that makes it; its lease is one time unit long."""
        return ClaimRequest("worker-1", self.time_unit_seconds, "c1")

    async def claim(self, store: JobStore, job_id: str = "job-1") -> Lease:
        """Claim a job that must be pending."""
        claim = await store.claim(job_id, worker_id="worker-1", lease_seconds=self.time_unit_seconds)
        assert claim is not None, f"{job_id} can't be claimed"
        return Lease(job_id, claim.job.lease_token)

    async def lease_of(self, store: JobStore, job_id: str = "job-1") -> Lease:
        """The lease that is the job's current one."""
        return Lease(job_id, (await self.existing(store, job_id)).lease_token)

    async def finished(self, store: JobStore, job_id: str = "job-1", **members: Any) -> Job:
        """A job in the store, succeeded with `RESULT`."""
        return await store.finish(await self.claimed(store, job_id, **members), RESULT)

    async def existing(self, store: JobStore, job_id: str = "job-1") -> Job:
        """The record of a job that must be there."""
        job = await store.get(job_id)
        assert job is not None, f"{job_id} is not there"
        return job

    async def events(self, store: JobStore, job_id: str = "job-1", *, after: int = 0) -> list[Event]:
        """The events of a job that must be there."""
        page = await store.read_events(job_id, after=after)
        assert page is not None, f"{job_id} is not there"
        return page.events

    async def statuses(self, store: JobStore, job_id: str = "job-1") -> list[JobStatus]:
        """The statuses that the job's log tells of, in order."""
        return [event.status for event in await self.events(store, job_id) if event.status is not None]

    async def in_status(self, store: JobStore, status: JobStatus, job_id: str = "job-1", **members: Any) -> Job:
        """A job in the store that has this status."""
        if status is JobStatus.PENDING:
            return await self.pending(store, job_id, **members)
        lease = await self.claimed(store, job_id, **members)
        if status is JobStatus.EXECUTING:
            return await self.existing(store, job_id)
        lost = Failure(FailureKind.TIME_LIMIT, "time-limit", "too long")
        ends: dict[JobStatus, Outcome] = {JobStatus.SUCCEEDED: RESULT, JobStatus.FAILED: FAILURE, JobStatus.ERROR: lost}
        return await store.finish(lease, ends.get(status))
