"""Promises of `purge`, and of the time to live."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import pytest

from lambda_kit.core.model.job import FINAL_STATUSES, JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import RESULT, StorePromises

__all__ = ["RetentionPromises"]


class RetentionPromises(StorePromises):
    """For how long jobs are kept."""

    @pytest.mark.parametrize("status", sorted(FINAL_STATUSES))
    async def test_a_final_job_is_kept_for_its_time_and_no_longer(
        self, store: JobStore, clock: ManualClock, status: JobStatus
    ) -> None:
        job = await self.in_status(store, status, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 0.5)
        assert await store.purge() == 0
        assert await store.get("job-1") == job
        await self.pass_time(clock, 0.6)
        assert await store.get("job-1") is None
        assert await store.get_result("job-1") is None
        assert await store.request_cancel("job-1") is None
        assert await store.claim("job-1", worker_id="w", lease_seconds=10) is None

    @pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.EXECUTING])
    async def test_a_job_that_is_not_final_never_expires(
        self, store: JobStore, clock: ManualClock, status: JobStatus
    ) -> None:
        job = await self.in_status(store, status, ttl_seconds=self.time_unit_seconds / 10)
        await self.pass_time(clock, 3)
        assert await store.purge() == 0
        assert await store.get("job-1") == job

    async def test_a_purge_counts_what_it_forgets_once(self, store: JobStore, clock: ManualClock) -> None:
        for n in range(5):
            ttl = self.time_unit_seconds * (1 if n < 3 else 1000)
            await self.finished(store, f"job-{n}", tool=f"tool-{n % 2}", ttl_seconds=ttl)
        await self.pass_time(clock, 1.1)
        assert await store.purge() == 3
        assert await store.purge() == 0
        assert [job.id for job in (await store.list_jobs()).jobs] == ["job-4", "job-3"]
        assert sum((await store.counts()).values()) == 2

    async def test_the_time_starts_at_the_end_of_the_job(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.claimed(store, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 2)
        await store.finish(lease, RESULT)
        await self.pass_time(clock, 0.5)
        assert await store.get_result("job-1") == RESULT

    async def test_a_time_of_zero_forgets_the_job_with_its_end(self, store: JobStore) -> None:
        lease = await self.claimed(store, ttl_seconds=0.0)
        assert (await store.finish(lease, RESULT)).status is JobStatus.SUCCEEDED
        assert await store.get("job-1") is None
        assert (await store.list_jobs()).jobs == []
        assert await store.counts() == {}

    async def test_jobs_finished_in_any_order_each_have_their_own_time(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        for n, units in enumerate((5, 1, 3)):
            await self.finished(store, f"job-{n}", ttl_seconds=units * self.time_unit_seconds)
        left = []
        for _ in range(3):
            await self.pass_time(clock, 1.5)
            left.append({job.id for job in (await store.list_jobs()).jobs})
        assert left == [{"job-0", "job-2"}, {"job-0"}, {"job-0"}]
