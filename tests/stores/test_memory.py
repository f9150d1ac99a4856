"""The store in memory keeps every promise of the port, and a few of its own."""

from collections.abc import AsyncIterator

import pytest

from lambda_kit import Job, JobStatus, MemoryJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease
from lambda_kit.testing import JobStoreContract, ManualClock
from lambda_kit.testing.store_machine import JobStoreMachine, job_store_machine_test
from lambda_kit.testing.store_topics.events import EventPromises

REQUEST = Payload(b"{}", "application/json")
RESULT = Payload(b"1", "application/json")


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock) -> AsyncIterator[MemoryJobStore]:
        async with MemoryJobStore(clock=clock) as store:
            yield store


class TestMemoryJobStoreWithASmallLog(EventPromises):
    event_log_size = 50

    @pytest.fixture
    async def store(self, clock: ManualClock) -> AsyncIterator[MemoryJobStore]:
        async with MemoryJobStore(clock=clock, event_log_size=50) as store:
            yield store


class MemoryMachine(JobStoreMachine):
    def new_store(self, clock: ManualClock) -> MemoryJobStore:
        return MemoryJobStore(clock=clock)


TestRandomOperations = job_store_machine_test(MemoryMachine)


def a_job(job_id: str, **members: object) -> Job:
    return Job(**{"id": job_id, "tool": "greet", "requested_at": 0.0, **members})  # type: ignore[arg-type]


async def finish(store: MemoryJobStore, job_id: str, **members: object) -> Job:
    await store.create(a_job(job_id, **members), REQUEST)
    claim = await store.claim(job_id, worker_id="w", lease_seconds=10)
    assert claim is not None
    return await store.finish(Lease(job_id, claim.job.lease_token), RESULT)


async def ids(store: MemoryJobStore) -> set[str]:
    return {job.id for job in (await store.list_jobs(limit=1000)).jobs}


async def test_the_oldest_finished_jobs_go_when_their_tool_has_more_than_it_keeps() -> None:
    store = MemoryJobStore()
    for n in range(6):
        await finish(store, f"job-{n}", keep_finished=3)
    assert await ids(store) == {"job-3", "job-4", "job-5"}
    assert await store.counts() == {("greet", JobStatus.SUCCEEDED): 3}
    assert await store.get_result("job-2") is None


async def test_reading_a_job_makes_it_no_younger() -> None:
    store = MemoryJobStore()
    for n in range(3):
        await finish(store, f"job-{n}", keep_finished=3)
    for _ in range(5):
        await store.get("job-0")
        await store.get_result("job-0")
    await finish(store, "job-3", keep_finished=3)
    assert await ids(store) == {"job-1", "job-2", "job-3"}


async def test_what_counts_is_when_a_job_ended_not_when_it_was_made() -> None:
    store = MemoryJobStore()
    await store.create(a_job("slow", keep_finished=2), REQUEST)
    slow = await store.claim("slow", worker_id="w", lease_seconds=10)
    assert slow is not None
    await finish(store, "a", keep_finished=2)
    await finish(store, "b", keep_finished=2)
    await store.finish(Lease("slow", slow.job.lease_token), RESULT)
    assert await ids(store) == {"b", "slow"}


async def test_pending_and_executing_jobs_are_never_evicted() -> None:
    store = MemoryJobStore()
    for n in range(20):
        await store.create(a_job(f"waits-{n}", keep_finished=1), REQUEST)
        await store.create(a_job(f"runs-{n}", keep_finished=1), REQUEST)
        await store.claim(f"runs-{n}", worker_id="w", lease_seconds=10)
    for n in range(20):
        await finish(store, f"done-{n}", keep_finished=1)
    alive = {f"{what}-{n}" for what in ("waits", "runs") for n in range(20)}
    assert await ids(store) == alive | {"done-19"}


async def test_cancelled_and_failed_jobs_count_as_finished() -> None:
    store = MemoryJobStore()
    for n in range(4):
        await store.create(a_job(f"job-{n}", keep_finished=2), REQUEST)
        await store.request_cancel(f"job-{n}")
    assert await ids(store) == {"job-2", "job-3"}


async def test_each_tool_has_its_own_capacity() -> None:
    store = MemoryJobStore()
    for n in range(4):
        await finish(store, f"a-{n}", tool="a", keep_finished=1)
        await finish(store, f"b-{n}", tool="b", keep_finished=3)
    assert await ids(store) == {"a-3", "b-1", "b-2", "b-3"}


async def test_a_smaller_capacity_lets_the_oldest_go() -> None:
    store = MemoryJobStore()
    for n in range(5):
        await finish(store, f"job-{n}", keep_finished=10)
    await finish(store, "job-5", keep_finished=3)
    assert await ids(store) == {"job-3", "job-4", "job-5"}
    assert sum((await store.counts()).values()) == 3


async def test_a_larger_capacity_keeps_what_is_there() -> None:
    store = MemoryJobStore()
    for n in range(3):
        await finish(store, f"job-{n}", keep_finished=2)
    await finish(store, "job-3", keep_finished=3)
    await finish(store, "job-4", keep_finished=3)
    assert await ids(store) == {"job-2", "job-3", "job-4"}


async def test_after_a_change_of_capacity_jobs_still_expire() -> None:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)
    for n in range(3):
        await finish(store, f"job-{n}", keep_finished=10, ttl_seconds=100.0)
    await finish(store, "late", keep_finished=5, ttl_seconds=1000.0)
    clock.advance(101)
    assert await store.purge() == 3
    assert await ids(store) == {"late"}


async def test_the_key_of_an_evicted_job_is_free() -> None:
    store = MemoryJobStore()
    await finish(store, "a", keep_finished=1, idempotency_key="key")
    await finish(store, "b", keep_finished=1)
    assert (await store.create(a_job("c", idempotency_key="key"), REQUEST)).is_new


async def test_time_that_passes_within_an_operation_loses_no_job_from_sight() -> None:
    """The clock moves at each look: a job that expires between two looks is forgotten, not leaked."""
    clock = ManualClock()

    def restless() -> float:
        clock.advance(1.0)
        return clock()

    store = MemoryJobStore(clock=restless)
    for n in range(50):
        await finish(store, f"job-{n}", keep_finished=3 + n % 2, ttl_seconds=float(1 + n % 17))
    clock.advance(100)
    await store.purge()
    assert await store.counts() == {}


def test_a_log_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="event_log_size=0"):
        MemoryJobStore(event_log_size=0)
