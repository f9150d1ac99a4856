"""Promises of `heartbeat`, `workers`, `expire_worker` and `adopt`."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing.clock import ManualClock
from lambda_kit.testing.store_topics.base import StorePromises

__all__ = ["WorkerPromises"]


class WorkerPromises(StorePromises):
    """How the jobs of a process that is gone get to another."""

    async def waiting(
        self, store: JobStore, *job_ids: str, assigned_worker: str | None = "other", tool: str = "greet"
    ) -> None:
        for job_id in job_ids:
            await self.pending(store, job_id, assigned_worker=assigned_worker, tool=tool)

    async def adopted(
        self, store: JobStore, worker_id: str = "me", limit: int = 1000, tool: str = "greet"
    ) -> list[str]:
        return [job.id for job in await store.adopt(worker_id, tools=[tool], limit=limit)]

    async def test_what_waits_in_a_living_process_is_left_to_it(self, store: JobStore) -> None:
        await store.heartbeat("other", lease_seconds=self.time_unit_seconds * 10)
        await self.waiting(store, "a", "b")
        assert await self.adopted(store) == []
        assert (await self.existing(store, "a")).assigned_worker == "other"

    async def test_what_waited_in_a_process_that_fell_silent_is_taken_oldest_first(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        await store.heartbeat("other", lease_seconds=self.time_unit_seconds)
        await store.heartbeat("me", lease_seconds=self.time_unit_seconds * 100)
        await self.waiting(store, "c", "a", "b")
        await self.pass_time(clock, 1.1)
        jobs = await store.adopt("me", tools=["greet"])
        assert [job.id for job in jobs] == ["c", "a", "b"]
        assert jobs == [await store.get(job.id) for job in jobs]
        assert {(job.assigned_worker, job.status) for job in jobs} == {("me", JobStatus.PENDING)}
        assert await self.adopted(store) == []

    async def test_the_jobs_of_a_silent_worker_can_be_spared(self, store: JobStore, clock: ManualClock) -> None:
        await store.heartbeat("other", lease_seconds=self.time_unit_seconds)
        await store.heartbeat("dead", lease_seconds=self.time_unit_seconds)
        await self.waiting(store, "of the silent")
        await self.waiting(store, "of nobody", assigned_worker=None)
        await self.waiting(store, "of the dead", assigned_worker="dead")
        await store.expire_worker("dead")
        await self.pass_time(clock, 1.1)
        spared = await store.adopt("me", tools=["greet"], spares_silent=True)
        assert [job.id for job in spared] == ["of nobody", "of the dead"]
        assert await self.adopted(store) == ["of the silent"]

    async def test_the_jobs_of_some_principals_can_be_left(self, store: JobStore) -> None:
        for job_id, principal in (("a", "ann"), ("b", None), ("c", "bob"), ("d", "ann")):
            await self.pending(store, job_id, assigned_worker=None, principal=principal)
        jobs = await store.adopt("me", tools=["greet"], but_of=["ann", "cem"], limit=1)
        assert [job.id for job in jobs] == ["b"]
        jobs = await store.adopt("me", tools=["greet"], but_of=["ann", "cem"])
        assert [job.id for job in jobs] == ["c"]
        assert await store.adopt("me", tools=["greet"], but_of=["ann"]) == []
        assert await self.adopted(store) == ["a", "d"]

    async def test_a_process_that_notes_again_that_it_lives_keeps_its_jobs(
        self, store: JobStore, clock: ManualClock
    ) -> None:
        await store.heartbeat("other", lease_seconds=self.time_unit_seconds)
        await self.waiting(store, "a")
        await self.pass_time(clock, 0.6)
        await store.heartbeat("other", lease_seconds=self.time_unit_seconds * 10)
        await self.pass_time(clock, 0.6)
        assert await self.adopted(store) == []

    async def test_jobs_that_are_nobodys_or_of_an_unknown_process_are_taken(self, store: JobStore) -> None:
        await self.waiting(store, "a", assigned_worker=None)
        await self.waiting(store, "b", assigned_worker="never-heard-of")
        assert await self.adopted(store) == ["a", "b"]

    async def test_only_jobs_of_the_tools_that_were_asked_for_are_taken(self, store: JobStore) -> None:
        await self.waiting(store, "a", assigned_worker=None, tool="one")
        await self.waiting(store, "b", assigned_worker=None, tool="two")
        assert await self.adopted(store, tool="two") == ["b"]
        assert [job.id for job in await store.adopt("me", tools=["one", "two", "three"])] == ["a"]
        assert await store.adopt("me", tools=[]) == []

    async def test_no_more_than_the_limit_are_taken_at_once(self, store: JobStore) -> None:
        await self.waiting(store, *"abcde", assigned_worker=None)
        await store.heartbeat("me", lease_seconds=self.time_unit_seconds * 10)
        assert await self.adopted(store, limit=2) == ["a", "b"]
        assert await self.adopted(store, limit=2) == ["c", "d"]
        assert await self.adopted(store, limit=2) == ["e"]

    async def test_of_several_who_take_at_once_each_gets_others(self, store: JobStore) -> None:
        names = [f"job-{n}" for n in range(20)]
        await self.waiting(store, *names, assigned_worker=None)
        workers = [f"worker_id-{n}" for n in range(5)]
        for worker_id in workers:
            await store.heartbeat(worker_id, lease_seconds=self.time_unit_seconds * 10)
        taken = await asyncio.gather(*(self.adopted(store, worker_id, limit=7) for worker_id in workers))
        flat = [job_id for jobs in taken for job_id in jobs]
        assert len(flat) == len(set(flat))
        rest = await self.adopted(store, "worker_id-0")
        assert sorted(flat + rest) == sorted(names)

    async def test_jobs_that_run_or_have_ended_are_not_taken(self, store: JobStore) -> None:
        for status in (JobStatus.EXECUTING, JobStatus.SUCCEEDED, JobStatus.CANCELLED):
            await self.in_status(store, status, job_id=f"job-{status}")
        assert await self.adopted(store) == []

    async def test_a_job_that_lost_its_worker_is_nobodys(self, store: JobStore, clock: ManualClock) -> None:
        await store.heartbeat("worker-1", lease_seconds=self.time_unit_seconds * 100)
        await self.claimed(store, max_attempts=2)
        await self.pass_time(clock, 1.1)
        [job] = await store.reap()
        assert job.assigned_worker is None
        assert await self.adopted(store) == ["job-1"]

    async def test_a_job_that_was_released_stays_in_its_process(self, store: JobStore) -> None:
        lease = await self.claimed(store)
        before = await self.existing(store)
        await store.heartbeat(str(before.assigned_worker), lease_seconds=self.time_unit_seconds * 10)
        released = await store.release(lease)
        assert released.assigned_worker == before.assigned_worker
        assert await self.adopted(store) == []

    async def test_a_worker_that_is_expired_has_nothing_any_more(self, store: JobStore) -> None:
        await store.heartbeat("worker-1", lease_seconds=self.time_unit_seconds * 100)
        await store.heartbeat("worker-2", lease_seconds=self.time_unit_seconds * 100)
        await self.waiting(store, "waits", assigned_worker="worker-1")
        await self.waiting(store, "other", assigned_worker="worker-2")
        await self.claimed(store, "runs", max_attempts=2)
        assert sorted(await store.workers()) == ["worker-1", "worker-2"]
        await store.expire_worker("worker-1")
        assert await store.workers() == ["worker-2"]
        assert [job.id for job in await store.reap()] == ["runs"]
        assert sorted(await self.adopted(store)) == ["runs", "waits"]

    async def test_the_slots_of_a_worker_that_is_expired_are_free(self, store: JobStore) -> None:
        async def acquire(holder: str, name: str = "name") -> bool:
            return await store.acquire_slot(name, holder, limit=2, lease_seconds=self.time_unit_seconds * 100)

        await store.heartbeat("dead", lease_seconds=self.time_unit_seconds * 100)
        assert [await acquire("dead job-1"), await acquire("deadly job-2"), await acquire("x job-3")] == [
            True,
            True,
            False,
        ]
        assert [await acquire("dead job-4", "other"), await acquire("dead job-5", "other")] == [True, True]
        await store.expire_worker("dead")
        assert [await acquire("x job-3"), await acquire("y job-6")] == [True, False]
        assert [await acquire("x job-3", "other"), await acquire("y job-6", "other")] == [True, True]

    async def test_a_worker_that_is_not_known_can_be_expired(self, store: JobStore) -> None:
        await store.expire_worker("never-heard-of")
        assert await store.workers() == []

    async def test_a_process_that_was_silent_for_hours_is_forgotten(self, store: JobStore, clock: ManualClock) -> None:
        if not self.has_manual_clock:
            pytest.skip("nobody waits here for hours")
        await store.heartbeat("silent", lease_seconds=10.0)
        clock.advance(3600.0)
        await store.heartbeat("living", lease_seconds=10.0)
        await store.purge()
        assert sorted(await store.workers()) == ["living", "silent"]
        clock.advance(20.0)
        await store.purge()
        assert await store.workers() == ["living"]
