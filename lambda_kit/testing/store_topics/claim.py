"""Promises of `claim`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import REQUEST, StorePromises

__all__ = ["ClaimPromises"]


class ClaimPromises(StorePromises):
    """How a worker gets a job."""

    async def test_the_claimer_gets_the_job_and_its_request(self, store: JobStore, clock: ManualClock) -> None:
        pending = await self.pending(store)
        claim = await store.claim("job-1", worker_id="worker-1", lease_seconds=self.time_unit_seconds)
        assert claim is not None
        assert claim.request == REQUEST
        assert claim.job == await store.get("job-1")
        job = claim.job
        assert job.status is JobStatus.EXECUTING
        assert (job.attempt, job.lease_token, job.assigned_worker) == (1, pending.lease_token + 1, "worker-1")
        assert job.started_at is not None
        assert job.lease_expires_at == pytest.approx(job.started_at + self.time_unit_seconds)
        if self.has_manual_clock:
            assert job.started_at == clock()

    async def test_of_many_claims_at_once_one_wins(self, store: JobStore) -> None:
        await self.pending(store)
        claims = await asyncio.gather(
            *(store.claim("job-1", worker_id=f"worker-{n}", lease_seconds=10) for n in range(20))
        )
        winners = [claim.job for claim in claims if claim is not None]
        assert winners == [await store.get("job-1")]

    @pytest.mark.parametrize("status", [s for s in JobStatus if s not in (JobStatus.PENDING, JobStatus.SCHEDULED)])
    async def test_only_a_pending_job_can_be_claimed(self, store: JobStore, status: JobStatus) -> None:
        job = await self.in_status(store, status)
        assert await store.claim("job-1", worker_id="worker-2", lease_seconds=10) is None
        assert await store.get("job-1") == job

    async def test_a_job_that_is_not_there_can_not_be_claimed(self, store: JobStore) -> None:
        assert await store.claim("job-1", worker_id="worker-1", lease_seconds=10) is None

    async def test_a_lease_that_ran_out_is_not_there_for_a_claim_before_it_was_reaped(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        await self.claimed(store, max_attempts=2)
        await self.pass_time(clock, 1.1)
        assert await store.claim("job-1", worker_id="worker-2", lease_seconds=10) is None

    async def test_a_claim_whose_answer_was_lost_can_be_made_again(self, store: JobStore) -> None:
        await self.pending(store)
        first = await store.claim("job-1", worker_id="worker-1", lease_seconds=10, claim_id="c1")
        assert first is not None
        again = await store.claim("job-1", worker_id="worker-1", lease_seconds=10, claim_id="c1")
        assert again is not None
        assert again.request == REQUEST
        assert (again.job.lease_token, again.job.attempt) == (first.job.lease_token, first.job.attempt)
        for worker_id, claim_id in (("worker-1", "c2"), ("worker-2", "c1"), ("worker-1", None)):
            assert await store.claim("job-1", worker_id=worker_id, lease_seconds=10, claim_id=claim_id) is None
        assert await self.statuses(store) == [JobStatus.PENDING, JobStatus.EXECUTING]

    async def test_a_claim_can_not_be_made_again_when_the_job_was_handed_back(self, store: JobStore) -> None:
        await self.pending(store)
        claim = await store.claim("job-1", worker_id="worker-1", lease_seconds=10, claim_id="c1")
        assert claim is not None
        await store.release(await self.lease_of(store))
        other = await store.claim("job-1", worker_id="worker-2", lease_seconds=10, claim_id="c2")
        assert other is not None
        assert await store.claim("job-1", worker_id="worker-1", lease_seconds=10, claim_id="c1") is None

    async def test_the_fencing_token_grows_with_every_claim(self, store: JobStore) -> None:
        tokens = [(await self.claimed(store)).token]
        for _ in range(3):
            job = await self.existing(store)
            await store.release(await self.lease_of(store))
            tokens.append((await self.claim(store)).token)
            assert tokens[-1] > job.lease_token
        assert tokens == sorted(set(tokens))

    async def test_attempts_are_counted_over_lost_workers(self, store: JobStore, clock: ManualClock) -> None:
        await self.claimed(store, max_attempts=3)
        for attempt in (2, 3):
            await self.pass_time(clock, 1.1)
            await store.reap()
            await self.claim(store)
            assert (await self.existing(store)).attempt == attempt
