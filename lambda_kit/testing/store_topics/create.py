"""Promises of `create`, `get` and `get_result`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import REQUEST, RESULT, StorePromises

__all__ = ["CreatePromises"]

_REAL_STATUSES = [status for status in JobStatus if status is not JobStatus.SCHEDULED]


class CreatePromises(StorePromises):
    """How jobs come into the store."""

    async def test_a_created_job_is_there_with_every_member(self, store: JobStore) -> None:
        job = self.new_job(
            request_content_type="application/vnd.example+json",
            request_digest=b"\x00\xff",
            idempotency_key="key",
            request_info=RequestInfo(
                method="POST", url="http://x/é?a=1", fields=((b"x-a", b"\xff"), (b"x-a", b"2")), client=("::1", 8)
            ),
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ttl_seconds=0.5,
            keep_finished=7,
            max_attempts=3,
        )
        created = await store.create(job, REQUEST)
        assert created.is_new
        assert created.job == job
        assert await store.get(job.id) == job

    async def test_a_job_that_was_never_created_is_not_there(self, store: JobStore) -> None:
        await self.pending(store, "other")
        assert await store.get("job-1") is None
        assert await store.get_result("job-1") is None

    @pytest.mark.parametrize("status", _REAL_STATUSES)
    async def test_a_second_create_returns_the_job_that_is_there(self, store: JobStore, status: JobStatus) -> None:
        first = await self.in_status(store, status)
        log = await self.events(store)
        created = await store.create(self.new_job(tool="other", requested_at=1.0), RESULT)
        assert not created.is_new
        assert created.job == first
        assert await store.get("job-1") == first
        assert await self.events(store) == log

    async def test_a_second_create_does_not_replace_the_request(self, store: JobStore) -> None:
        await self.pending(store)
        await store.create(self.new_job(), RESULT)
        claim = await store.claim("job-1", worker_id="w", lease_seconds=1)
        assert claim is not None
        assert claim.request == REQUEST

    @pytest.mark.parametrize("status", _REAL_STATUSES)
    async def test_the_same_idempotency_key_gives_the_first_job(self, store: JobStore, status: JobStatus) -> None:
        first = await self.in_status(store, status, idempotency_key="key")
        created = await store.create(self.new_job("job-2", idempotency_key="key"), REQUEST)
        assert not created.is_new
        assert created.job == first
        assert await store.get("job-2") is None

    @pytest.mark.parametrize("status", _REAL_STATUSES)
    async def test_a_job_is_found_by_its_idempotency_key(self, store: JobStore, status: JobStatus) -> None:
        job = await self.in_status(store, status, idempotency_key="key")
        assert await store.find_by_key("key") == job
        assert await store.find_by_key("KEY") is None

    async def test_an_expired_job_is_not_found_by_its_key(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds, idempotency_key="key")
        await self.pass_time(clock, 1.1)
        assert await store.find_by_key("key") is None

    async def test_other_keys_and_no_key_are_other_jobs(self, store: JobStore) -> None:
        await self.pending(store, "a", idempotency_key="key")
        for job_id, key in (("b", "KEY"), ("c", None), ("d", None)):
            created = await store.create(self.new_job(job_id, idempotency_key=key), REQUEST)
            assert created.is_new

    async def test_the_id_goes_before_the_key(self, store: JobStore) -> None:
        await self.pending(store, "a", idempotency_key="key")
        await self.pending(store, "b")
        created = await store.create(self.new_job("b", idempotency_key="key"), REQUEST)
        assert not created.is_new
        assert created.job.id == "b"

    async def test_of_many_creates_at_once_one_is_new(self, store: JobStore) -> None:
        made = await asyncio.gather(*(store.create(self.new_job(), REQUEST) for _ in range(20)))
        assert sum(created.is_new for created in made) == 1
        assert {created.job for created in made} == {await self.existing(store)}

    async def test_of_many_creates_with_one_key_one_is_new(self, store: JobStore) -> None:
        jobs = [self.new_job(f"job-{n}", idempotency_key="key") for n in range(20)]
        made = await asyncio.gather(*(store.create(job, REQUEST) for job in jobs))
        assert sum(created.is_new for created in made) == 1
        assert len({created.job.id for created in made}) == 1
        assert len((await store.list_jobs()).jobs) == 1

    async def test_an_expired_job_does_not_count(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds)
        await self.pass_time(clock, 1.1)
        created = await store.create(self.new_job(), REQUEST)
        assert created.is_new
        assert created.job.status is JobStatus.PENDING
        assert await self.statuses(store) == [JobStatus.PENDING]

    async def test_the_key_of_an_expired_job_does_not_count(self, store: JobStore, clock: ManualClock) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds, idempotency_key="key")
        await self.pass_time(clock, 1.1)
        created = await store.create(self.new_job("job-2", idempotency_key="key"), REQUEST)
        assert created.is_new
        again = await store.create(self.new_job("job-3", idempotency_key="key"), REQUEST)
        assert again.job.id == "job-2"

    async def test_a_job_made_again_after_it_expired_outlives_a_purge(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        await self.finished(store, ttl_seconds=self.time_unit_seconds, idempotency_key="key")
        await self.pass_time(clock, 1.1)
        again = await self.pending(store, idempotency_key="key")
        await store.purge()
        await self.finished(store, "other")
        assert await store.get("job-1") == again
        assert (await store.create(self.new_job("b", idempotency_key="key"), REQUEST)).job == again

    @pytest.mark.parametrize("job_id", ["a", "A", "urn:x:1", "..", "-._:", "x" * 128])
    async def test_any_legal_id_is_one_of_its_own(self, store: JobStore, job_id: str) -> None:
        await self.pending(store, "b")
        await self.pending(store, job_id)
        assert (await self.existing(store, job_id)).id == job_id
        assert len((await store.list_jobs()).jobs) == 2

    async def test_ids_differ_by_case(self, store: JobStore) -> None:
        await self.pending(store, "job")
        assert (await store.create(self.new_job("JOB"), REQUEST)).is_new

    # --- admission ---

    async def test_a_new_job_is_refused_at_the_limit_and_nothing_is_written(self, store: JobStore) -> None:
        await self.pending(store, "a")
        await self.claimed(store, "b")
        job = self.new_job(idempotency_key="key")
        with pytest.raises(QueueFullError):
            await store.create(job, REQUEST, max_unfinished=2)
        assert await store.get("job-1") is None
        assert await store.find_by_key("key") is None
        assert [job.id for job in (await store.list_jobs()).jobs] == ["b", "a"]
        assert (await store.create(job, REQUEST, max_unfinished=3)).is_new

    async def test_a_limit_of_none_is_no_limit_and_one_of_0_takes_nothing(self, store: JobStore) -> None:
        for n in range(3):
            assert (await store.create(self.new_job(f"job-{n}"), REQUEST, max_unfinished=None)).is_new
        with pytest.raises(QueueFullError):
            await store.create(self.new_job("other", tool="other"), REQUEST, max_unfinished=0)

    async def test_at_the_limit_the_job_that_is_there_is_found_by_id_and_key(self, store: JobStore) -> None:
        first = await self.pending(store, idempotency_key="key")
        for job in (self.new_job(), self.new_job("job-2", idempotency_key="key")):
            created = await store.create(job, REQUEST, max_unfinished=1)
            assert not created.is_new
            assert created.job == first

    async def test_the_limit_counts_the_jobs_of_the_one_tool(self, store: JobStore) -> None:
        await self.pending(store, "a", tool="other")
        assert (await store.create(self.new_job(), REQUEST, max_unfinished=1)).is_new

    @pytest.mark.parametrize("status", [status for status in _REAL_STATUSES if status.is_final])
    async def test_a_job_that_ended_makes_room(self, store: JobStore, status: JobStatus) -> None:
        await self.in_status(store, status, "a")
        assert (await store.create(self.new_job("b"), REQUEST, max_unfinished=1)).is_new

    async def test_a_cancelled_and_a_released_job_count_for_what_they_are(self, store: JobStore) -> None:
        await self.pending(store, "a")
        await store.request_cancel("a")
        assert (await store.create(self.new_job("b"), REQUEST, max_unfinished=1)).is_new
        await store.release(await self.claim(store, "b"))
        with pytest.raises(QueueFullError):
            await store.create(self.new_job("c"), REQUEST, max_unfinished=1)
        await store.request_cancel("b")
        assert (await store.create(self.new_job("c"), REQUEST, max_unfinished=1)).is_new

    async def test_of_many_creates_at_once_no_more_than_the_limit_are_taken(self, store: JobStore) -> None:
        jobs = [self.new_job(f"job-{n}") for n in range(20)]
        made = await asyncio.gather(
            *(store.create(job, REQUEST, max_unfinished=5) for job in jobs), return_exceptions=True
        )
        assert sum(isinstance(outcome, QueueFullError) for outcome in made) == 15
        assert len((await store.list_jobs()).jobs) == 5
