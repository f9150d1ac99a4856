"""Promises of `create`, for a job that is claimed in the same step."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio
from typing import Any

import pytest

from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Change, Created, JobStore, Lease
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import REQUEST, RESULT, StorePromises

__all__ = ["CreateClaimedPromises"]


class CreateClaimedPromises(StorePromises):
    """A job that is created and claimed in one step is as one that was created and then claimed."""

    async def made(
        self, store: JobStore, job_id: str = "job-1", *, max_unfinished: int | None = None, **members: Any
    ) -> Created:
        job = self.new_job(job_id, **members)
        return await store.create(job, REQUEST, max_unfinished=max_unfinished, claim=self.claim_request())

    async def leased(self, store: JobStore, job_id: str = "job-1", **members: Any) -> Lease:
        job = (await self.made(store, job_id, **members)).job
        return Lease(job.id, job.lease_token)

    async def test_a_job_may_be_claimed_in_the_step_that_creates_it(self, store: JobStore, clock: ManualClock) -> None:
        created = await self.made(store)
        assert created.is_new
        job = created.job
        assert await store.get("job-1") == job
        assert (job.status, job.attempt, job.lease_token) == (JobStatus.EXECUTING, 1, 1)
        assert (job.assigned_worker, job.claim_id) == ("worker-1", "c1")
        assert job.started_at is not None
        assert job.lease_expires_at == pytest.approx(job.started_at + self.time_unit_seconds)
        if self.has_manual_clock:
            assert job.started_at == clock()

    async def test_it_is_found_among_those_that_run(self, store: JobStore) -> None:
        await self.made(store)
        assert await store.counts() == {("greet", JobStatus.EXECUTING): 1}
        assert [job.id for job in (await store.list_jobs(statuses=[JobStatus.EXECUTING])).jobs] == ["job-1"]
        assert await store.queue_positions(["job-1"]) == {}

    async def test_its_log_has_both_statuses(self, store: JobStore) -> None:
        job = (await self.made(store)).job
        log = await self.events(store)
        assert [(event.seq, event.status) for event in log] == [(1, JobStatus.PENDING), (2, JobStatus.EXECUTING)]
        assert [event.timestamp for event in log] == pytest.approx([job.requested_at, job.started_at])

    async def test_subscribers_are_called_for_it(self, store: JobStore) -> None:
        changes: list[Change] = []
        was_called = asyncio.Event()

        def on_change(change: Change) -> None:
            changes.append(change)
            was_called.set()

        store.subscribe(on_change)
        await self.made(store)
        async with asyncio.timeout(60):
            await was_called.wait()
        assert changes[-1] == Change("job-1", JobStatus.EXECUTING)

    async def test_it_can_be_finished_by_its_lease(self, store: JobStore) -> None:
        ended = await store.finish(await self.leased(store), RESULT)
        assert ended.status is JobStatus.SUCCEEDED
        assert await store.get_result("job-1") == RESULT
        assert await self.statuses(store) == [JobStatus.PENDING, JobStatus.EXECUTING, JobStatus.SUCCEEDED]

    async def test_nobody_else_can_claim_it(self, store: JobStore) -> None:
        await self.made(store)
        assert await store.claim("job-1", worker_id="worker-2", lease_seconds=10) is None

    async def test_its_claim_can_be_made_again(self, store: JobStore) -> None:
        job = (await self.made(store)).job
        claim = await store.claim("job-1", worker_id="worker-1", lease_seconds=10, claim_id="c1")
        assert claim is not None
        assert claim.request == REQUEST
        assert claim.job == job

    async def test_handed_back_it_waits_in_the_queue_of_its_process(self, store: JobStore) -> None:
        lease = await self.leased(store)
        released = await store.release(lease)
        assert (released.status, released.assigned_worker) == (JobStatus.PENDING, "worker-1")
        assert await store.queue_positions(["job-1"]) == {"job-1": 1}
        claim = await store.claim("job-1", worker_id="worker-2", lease_seconds=10)
        assert claim is not None
        assert claim.request == REQUEST
        assert (claim.job.attempt, claim.job.lease_token) == (1, lease.token + 1)

    async def test_its_lease_runs_out(self, store: JobStore, clock: ManualClock) -> None:
        await self.made(store)
        assert await store.reap() == []
        await self.pass_time(clock, 1.1)
        assert [lost.status for lost in await store.reap()] == [JobStatus.ERROR]

    async def test_its_lease_can_be_renewed(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.leased(store)
        await self.pass_time(clock, 0.7)
        [renewal] = await store.renew([lease], lease_seconds=self.time_unit_seconds)
        assert not renewal.is_lost
        await self.pass_time(clock, 0.7)
        assert await store.reap() == []

    async def test_its_cancel_can_be_asked_for(self, store: JobStore) -> None:
        lease = await self.leased(store)
        asked = await store.request_cancel("job-1")
        assert asked is not None
        assert (asked.status, asked.cancel_requested) == (JobStatus.EXECUTING, True)
        assert (await store.finish(lease, RESULT)).status is JobStatus.CANCELLED

    async def test_it_counts_as_unfinished(self, store: JobStore) -> None:
        await self.made(store, "a", max_unfinished=2)
        await self.made(store, "b", max_unfinished=2)
        with pytest.raises(QueueFullError):
            await self.made(store, "c", max_unfinished=2)
        assert await store.get("c") is None

    @pytest.mark.parametrize("job_id", ["job-1", "other"])
    async def test_a_job_that_is_there_is_not_claimed_by_it(self, store: JobStore, job_id: str) -> None:
        first = await self.pending(store, idempotency_key="key")
        created = await self.made(store, job_id, idempotency_key="key")
        assert (created.is_new, created.job) == (False, first)
        assert await store.get("job-1") == first
        assert await self.statuses(store) == [JobStatus.PENDING]

    async def test_of_many_at_once_one_is_new(self, store: JobStore) -> None:
        made = await asyncio.gather(*(self.made(store) for _ in range(20)))
        assert sum(created.is_new for created in made) == 1

    async def test_many_different_ones_at_once_are_all_there(self, store: JobStore) -> None:
        made = await asyncio.gather(*(self.made(store, f"job-{n}", max_attempts=n) for n in range(1, 41)))
        jobs: list[Job] = [created.job for created in made]
        assert [job.max_attempts for job in jobs] == list(range(1, 41))
        ended = await asyncio.gather(*(store.finish(Lease(job.id, job.lease_token), RESULT) for job in jobs))
        assert [job.id for job in ended] == [job.id for job in jobs]
        assert await store.counts() == {("greet", JobStatus.SUCCEEDED): 40}
