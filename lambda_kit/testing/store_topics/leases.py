"""Promises of `renew` and `reap`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import pytest

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.model.job import FailureKind, JobStatus
from lambda_kit.core.ports.store import JobStore, Lease
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import RESULT, StorePromises

__all__ = ["LeasePromises"]


class LeasePromises(StorePromises):
    """How workers are watched over."""

    async def test_a_renewed_lease_lasts_longer(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.claimed(store)
        before = await self.existing(store)
        await self.pass_time(clock, 0.5)
        (renewal,) = await store.renew([lease], lease_seconds=2 * self.time_unit_seconds)
        assert (renewal.lease, renewal.is_lost, renewal.cancel_requested) == (lease, False, False)
        after = await self.existing(store)
        assert before.lease_expires_at is not None
        assert after.lease_expires_at is not None
        assert after.lease_expires_at > before.lease_expires_at
        assert after.lease_token == lease.token
        await self.pass_time(clock, 1.0)
        assert await store.reap() == []

    async def test_a_renewal_is_no_change_of_status(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        log = await self.events(store)
        await store.renew([lease], lease_seconds=10)
        assert await self.events(store) == log

    async def test_a_lease_that_ran_out_but_was_not_taken_is_extended(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        lease = await self.claimed(store)
        await self.pass_time(clock, 1.5)
        (renewal,) = await store.renew([lease], lease_seconds=self.time_unit_seconds)
        assert not renewal.is_lost
        assert await store.reap() == []

    async def test_many_leases_are_answered_in_order(self, store: JobStore) -> None:
        held = await self.claimed(store, "held")
        ended = await self.claimed(store, "ended")
        await store.finish(ended, RESULT)
        asked = await self.claimed(store, "asked")
        await store.request_cancel("asked")
        released = await self.claimed(store, "released")
        await store.release(released)
        stale = Lease("held", held.token + 1)
        leases = [ended, asked, stale, Lease("nowhere", 1), held, released]
        renewals = await store.renew(leases, lease_seconds=10)
        assert [renewal.lease for renewal in renewals] == leases
        assert [renewal.is_lost for renewal in renewals] == [True, False, True, True, False, True]
        assert [r.cancel_requested for r in renewals if not r.is_lost] == [True, False]

    async def test_no_leases_no_answers(self, store: JobStore) -> None:
        assert await store.renew([], lease_seconds=10) == []

    async def test_a_lost_lease_is_not_renewed(self, store: JobStore, clock: ManualClock) -> None:
        old = await self.claimed(store, max_attempts=2)
        await self.pass_time(clock, 1.1)
        await store.reap()
        await self.claim(store)
        job = await self.existing(store)
        (renewal,) = await store.renew([old], lease_seconds=1000)
        assert renewal.is_lost
        assert await store.get("job-1") == job

    async def test_nothing_is_reaped_while_leases_last(self, store: JobStore, clock: ManualClock) -> None:
        await self.pending(store, "waits")
        await self.claimed(store, "runs")
        await self.finished(store, "ended")
        await self.pass_time(clock, 0.5)
        assert await store.reap() == []

    async def test_workers_that_are_spared_keep_their_jobs(self, store: JobStore, clock: ManualClock) -> None:
        spared, _ = await self.claimed(store, "theirs"), await self.claimed(store, "lost", max_attempts=2)
        worker_id = (await self.existing(store, "theirs")).assigned_worker or ""
        await self.pass_time(clock, 1.1)
        assert await store.reap(spares={worker_id}) == []
        assert (await store.finish(spared, RESULT)).status is JobStatus.SUCCEEDED
        assert [job.id for job in await store.reap(spares={"another"})] == ["lost"]

    async def test_without_attempts_left_a_lost_job_ends_as_error(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.claimed(store)
        await self.pass_time(clock, 1.1)
        (job,) = await store.reap()
        assert job == await store.get("job-1")
        assert job.status is JobStatus.ERROR
        assert job.failure is not None
        assert job.failure.kind is FailureKind.WORKER_LOST
        assert job.expires_at is not None
        with pytest.raises(LeaseLostError):
            await store.finish(lease, RESULT)
        assert await store.get_result("job-1") is None

    async def test_with_attempts_left_a_lost_job_is_pending_again(self, store: JobStore, clock: ManualClock) -> None:
        await self.claimed(store, max_attempts=2)
        await self.pass_time(clock, 1.1)
        (job,) = await store.reap()
        assert job == await store.get("job-1")
        assert (job.status, job.attempt, job.failure) == (JobStatus.PENDING, 1, None)
        assert job.lease_expires_at is None
        assert await store.queue_positions(["job-1"]) == {"job-1": 1}
        await self.claim(store)
        await self.pass_time(clock, 1.1)
        assert [j.status for j in await store.reap()] == [JobStatus.ERROR]

    @pytest.mark.parametrize("max_attempts", [1, 5])
    async def test_a_lost_job_whose_cancel_was_asked_for_is_cancelled(
        self, store: JobStore, clock: ManualClock, max_attempts: int
    ) -> None:
        await self.claimed(store, max_attempts=max_attempts)
        await store.request_cancel("job-1")
        await self.pass_time(clock, 1.1)
        assert [job.status for job in await store.reap()] == [JobStatus.CANCELLED]

    async def test_a_job_is_reaped_once(self, store: JobStore, clock: ManualClock) -> None:
        await self.claimed(store, "a")
        await self.claimed(store, "b", max_attempts=2)
        await self.pass_time(clock, 1.1)
        assert {job.id for job in await store.reap()} == {"a", "b"}
        assert await store.reap() == []
