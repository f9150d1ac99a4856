"""Promises of `finish` and `release`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.model.job import Failure, FailureKind, Job, JobStatus, Outcome, Payload
from lambda_kit.core.ports.store import JobStore, Lease
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import FAILURE, REQUEST, RESULT, StorePromises, new_event

__all__ = ["FinishPromises"]


class FinishPromises(StorePromises):
    """How a job ends, or goes back."""

    async def test_a_result_makes_it_succeeded(self, store: JobStore, clock: ManualClock) -> None:
        lease = await self.claimed(store, ttl_seconds=100.0)
        job = await store.finish(lease, RESULT)
        assert job == await store.get("job-1")
        assert job.status is JobStatus.SUCCEEDED
        assert job.result_content_type == RESULT.content_type
        assert job.failure is None
        assert await store.get_result("job-1") == RESULT
        assert job.finished_at is not None
        assert job.expires_at == pytest.approx(job.finished_at + 100.0)
        if self.has_manual_clock:
            assert job.finished_at == clock()

    async def test_an_empty_result_is_a_result(self, store: JobStore) -> None:
        empty = Payload(b"", "text/plain")
        job = await store.finish(await self.claimed(store), empty)
        assert job.status is JobStatus.SUCCEEDED
        assert await store.get_result("job-1") == empty

    @pytest.mark.parametrize("kind", list(FailureKind))
    async def test_a_failure_makes_it_failed_or_error_by_its_kind(self, store: JobStore, kind: FailureKind) -> None:
        failure = Failure(kind, "SomeError", "what é went wrong", "Traceback ...")
        job = await store.finish(await self.claimed(store), failure)
        assert job.status is kind.status
        assert job.failure == failure
        assert job == await store.get("job-1")
        assert job.result_content_type is None
        assert await store.get_result("job-1") is None

    async def test_what_the_tool_chose_for_its_failure_is_kept(self, store: JobStore) -> None:
        failure = Failure(FailureKind.TOOL, "busy", "come back later", status=503, retry_after_seconds=2.5)
        job = await store.finish(await self.claimed(store), failure)
        assert job.failure == failure
        assert job == await store.get("job-1")

    async def test_no_outcome_makes_it_cancelled(self, store: JobStore) -> None:
        job = await store.finish(await self.claimed(store), None)
        assert (job.status, job.failure) == (JobStatus.CANCELLED, None)
        assert await store.get_result("job-1") is None

    @pytest.mark.parametrize("outcome", [RESULT, FAILURE, None])
    async def test_a_late_outcome_never_overwrites_a_cancel(self, store: JobStore, outcome: Outcome) -> None:
        lease = await self.claimed(store)
        await store.request_cancel("job-1")
        job = await store.finish(lease, outcome)
        assert (job.status, job.failure, job.result_content_type) == (JobStatus.CANCELLED, None, None)
        assert await store.get_result("job-1") is None
        assert (await self.statuses(store))[-1] is JobStatus.CANCELLED

    async def test_the_end_holds_no_lease(self, store: JobStore) -> None:
        job = await store.finish(await self.claimed(store), RESULT)
        assert job.lease_expires_at is None

    async def test_there_is_no_result_before_the_end(self, store: JobStore) -> None:
        await self.pending(store)
        assert await store.get_result("job-1") is None
        await self.claim(store)
        assert await store.get_result("job-1") is None

    async def test_a_finished_job_can_not_be_finished_again(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        job = await store.finish(lease, RESULT)
        await self._refused(store, lease, job)

    async def test_of_many_finishes_at_once_one_is_kept(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        results = [Payload(b"%d" % n, "text/plain") for n in range(10)]
        answers = await asyncio.gather(*(store.finish(lease, r) for r in results), return_exceptions=True)
        won = [n for n, answer in enumerate(answers) if isinstance(answer, Job)]
        assert len(won) == 1
        assert all(isinstance(a, LeaseLostError) for n, a in enumerate(answers) if n != won[0])
        assert await store.get_result("job-1") == results[won[0]]

    async def test_an_older_token_is_refused(self, store: JobStore, clock: ManualClock) -> None:
        old = await self.claimed(store, max_attempts=2)
        await self.pass_time(clock, 1.1)
        await store.reap()
        await self._refused(store, old, await self.existing(store))  # nobody holds it
        new = await self.claim(store)
        await self._refused(store, old, await self.existing(store))  # somebody else does
        assert (await store.finish(new, RESULT)).status is JobStatus.SUCCEEDED

    async def test_a_token_from_the_future_is_refused(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await self._refused(store, Lease("job-1", lease.token + 1), await self.existing(store))

    async def test_a_job_that_is_not_there_is_a_lost_lease(self, store: JobStore) -> None:
        await self._refused(store, Lease("job-1", 1), None)

    async def test_a_pending_job_is_nobodys(self, store: JobStore) -> None:
        job = await self.pending(store)
        await self._refused(store, Lease("job-1", job.lease_token), job)

    async def test_a_lease_that_ran_out_but_was_not_taken_can_still_finish(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        lease = await self.claimed(store)
        await self.pass_time(clock, 1.1)
        assert (await store.finish(lease, RESULT)).status is JobStatus.SUCCEEDED

    async def test_a_released_job_is_pending_and_the_attempt_not_counted(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        job = await store.release(lease)
        assert job == await store.get("job-1")
        assert (job.status, job.attempt) == (JobStatus.PENDING, 0)
        assert (job.lease_expires_at, job.started_at) == (None, None)
        await self._refused(store, lease, job)
        claim = await store.claim("job-1", worker_id="worker-2", lease_seconds=10)
        assert claim is not None
        assert (claim.job.attempt, claim.request) == (1, REQUEST)

    async def test_a_released_job_whose_cancel_was_asked_for_is_cancelled(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        await store.request_cancel("job-1")
        job = await store.release(lease)
        assert job.status is JobStatus.CANCELLED
        assert job.expires_at is not None

    async def _refused(self, store: JobStore, lease: Lease, job: Job | None) -> None:
        """Every write with this lease is refused, and changes nothing."""
        before = await store.read_events(lease.job_id)
        for outcome in (RESULT, FAILURE, None):
            with pytest.raises(LeaseLostError):
                await store.finish(lease, outcome)
        with pytest.raises(LeaseLostError):
            await store.release(lease)
        with pytest.raises(LeaseLostError):
            await store.append_events(lease, [new_event(1)], dropped=2)
        assert await store.get(lease.job_id) == job
        assert await store.read_events(lease.job_id) == before
