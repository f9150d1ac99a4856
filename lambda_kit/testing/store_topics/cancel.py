"""Promises of `request_cancel`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import FINAL_STATUSES, JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.store_topics.base import RESULT, StorePromises

__all__ = ["CancelPromises"]


class CancelPromises(StorePromises):
    """How a job's end is asked for."""

    async def test_a_pending_job_is_cancelled_at_once(self, store: JobStore) -> None:
        await self.pending(store)
        job = await store.request_cancel("job-1")
        assert job is not None
        assert job == await store.get("job-1")
        assert job.status is JobStatus.CANCELLED
        assert job.finished_at is not None
        assert job.expires_at == pytest.approx(job.finished_at + job.ttl_seconds)
        assert await store.claim("job-1", worker_id="w", lease_seconds=10) is None
        assert await store.queue_positions(["job-1"]) == {}

    async def test_an_executing_job_is_asked_to_end(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        job = await store.request_cancel("job-1")
        assert job is not None
        assert job == await store.get("job-1")
        assert (job.status, job.cancel_requested, job.lease_token) == (JobStatus.EXECUTING, True, lease.token)
        assert (await store.renew([lease], lease_seconds=10))[0].cancel_requested

    async def test_to_ask_again_changes_nothing(self, store: JobStore) -> None:
        await self.claimed(store)
        first = await store.request_cancel("job-1")
        log = await self.events(store)
        assert await store.request_cancel("job-1") == first
        assert await self.events(store) == log

    @pytest.mark.parametrize("status", sorted(FINAL_STATUSES))
    async def test_a_final_job_is_returned_as_it_is(self, store: JobStore, status: JobStatus) -> None:
        job = await self.in_status(store, status)
        log = await self.events(store)
        assert await store.request_cancel("job-1") == job
        assert await store.get("job-1") == job
        assert await self.events(store) == log

    async def test_a_job_that_is_not_there_is_none(self, store: JobStore) -> None:
        assert await store.request_cancel("job-1") is None

    @pytest.mark.parametrize("order", [0, 1])
    async def test_a_race_of_cancel_and_finish_has_one_story(self, store: JobStore, order: int) -> None:
        for n in range(25):
            lease = await self.claimed(store, f"job-{n}")
            racers = [store.finish(lease, RESULT), store.request_cancel(lease.job_id)]
            await asyncio.gather(*(racers if order == 0 else reversed(racers)))
            job = await self.existing(store, lease.job_id)
            assert job.status in (JobStatus.SUCCEEDED, JobStatus.CANCELLED)
            assert (await self.statuses(store, lease.job_id))[-1] is job.status
            result = await store.get_result(lease.job_id)
            assert result == (RESULT if job.status is JobStatus.SUCCEEDED else None)

    @pytest.mark.parametrize("order", [0, 1])
    async def test_a_race_of_cancel_and_claim_has_one_story(self, store: JobStore, order: int) -> None:
        for n in range(25):
            job_id = (await self.pending(store, f"job-{n}")).id
            racers = [store.claim(job_id, worker_id="w", lease_seconds=10), store.request_cancel(job_id)]
            await asyncio.gather(*(racers if order == 0 else reversed(racers)))
            job = await self.existing(store, job_id)
            was_claimed = job.attempt == 1
            expected = JobStatus.EXECUTING if was_claimed else JobStatus.CANCELLED
            assert (job.status, job.cancel_requested) == (expected, was_claimed)
            assert (await self.statuses(store, job_id))[-1] is job.status
