"""The store in Redis keeps every promise of the port, between processes too."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest

from lambda_kit import JobStatus
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.ports.store import Change
from lambda_kit.testing import JobStoreContract, ManualClock
from lambda_kit.testing.store_machine import JobStoreMachine, job_store_machine_test
from lambda_kit.testing.store_topics.events import EventPromises
from tests.support.redis_jobs import REQUEST, RESULT, a_job, claim, claimed, new_prefix
from tests.support.redis_server import REDIS_URL, forget_redis_keys, need_redis


@pytest.fixture
def prefix() -> Iterator[str]:
    with new_prefix() as prefix:
        yield prefix


class TestRedisJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, clock: ManualClock, prefix: str) -> AsyncIterator[RedisJobStore]:
        async with RedisJobStore(REDIS_URL, prefix=prefix, clock=clock) as store:
            yield store


class TestRedisJobStoreWithASmallLog(EventPromises):
    event_log_size = 50

    @pytest.fixture
    async def store(self, clock: ManualClock, prefix: str) -> AsyncIterator[RedisJobStore]:
        async with RedisJobStore(REDIS_URL, prefix=prefix, clock=clock, event_log_size=50) as store:
            yield store


class RedisMachine(JobStoreMachine):
    prefixes: ClassVar[list[str]] = []

    def new_store(self, clock: ManualClock) -> RedisJobStore:
        need_redis()
        self.prefixes.append(f"test-{uuid.uuid4()}")
        return RedisJobStore(REDIS_URL, prefix=self.prefixes[-1], clock=clock)

    def teardown(self) -> None:
        super().teardown()
        forget_redis_keys(self.prefixes.pop())


TestRandomOperations = pytest.mark.slow(pytest.mark.timeout(300)(job_store_machine_test(RedisMachine, examples=15)))


@pytest.fixture
async def stores(prefix: str) -> AsyncIterator[tuple[RedisJobStore, RedisJobStore]]:
    """Two stores on the same Redis, as two processes have them."""
    async with RedisJobStore(REDIS_URL, prefix=prefix) as one, RedisJobStore(REDIS_URL, prefix=prefix) as other:
        yield one, other


class Watcher:
    """Notes the changes that it was told of."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._news = asyncio.Event()

    def __call__(self, change: Change) -> None:
        self.changes.append(change)
        self._news.set()

    async def until(self, change: Change) -> None:
        async with asyncio.timeout(60):
            while change not in self.changes:
                self._news.clear()
                await self._news.wait()


# --- between processes ---


async def test_a_change_is_told_to_the_other_processes_and_once_to_each(
    stores: tuple[RedisJobStore, RedisJobStore],
) -> None:
    one, other = stores
    mine, theirs = Watcher(), Watcher()
    one.subscribe(mine)
    other.subscribe(theirs)
    lease = await claimed(one)
    await other.request_cancel("job-1")
    await one.append_events(lease, [NewEvent("urn:x", b"{}", 0.0)])
    await one.finish(lease, RESULT)
    await other.create(a_job("job-2"), REQUEST)
    await one.request_cancel("job-2")
    for watcher in (mine, theirs):
        await watcher.until(Change("job-2", JobStatus.CANCELLED))
        assert Counter((c.job_id, c.status, c.cancel_requested) for c in watcher.changes) == Counter(
            [
                ("job-1", JobStatus.PENDING, False),
                ("job-1", JobStatus.EXECUTING, False),
                ("job-1", JobStatus.EXECUTING, True),
                ("job-1", JobStatus.EXECUTING, True),
                ("job-1", JobStatus.CANCELLED, True),
                ("job-2", JobStatus.PENDING, False),
                ("job-2", JobStatus.CANCELLED, False),
            ]
        )


async def test_what_a_process_remembers_of_a_job_is_not_taken_for_what_is(
    stores: tuple[RedisJobStore, RedisJobStore],
) -> None:
    one, other = stores
    lease = await claimed(one, max_attempts=2)
    await other.release(lease)
    new = await claim(other)
    assert new.token == lease.token + 1
    (renewal,) = await one.renew([lease], lease_seconds=60)
    assert renewal.is_lost
    with pytest.raises(Exception, match="no longer held"):
        await one.finish(lease, RESULT)
    await one.request_cancel("job-1")
    assert (await other.finish(new, RESULT)).status is JobStatus.CANCELLED

    await one.create(a_job("again", ttl_seconds=0.0), REQUEST)
    await other.request_cancel("again")
    await other.create(a_job("again", tool="other"), RESULT)
    claim_ = await one.claim("again", worker_id="w", lease_seconds=60)
    assert claim_ is not None
    assert (claim_.job.tool, claim_.request) == ("other", RESULT)


async def test_of_many_claims_of_two_processes_one_wins(stores: tuple[RedisJobStore, RedisJobStore]) -> None:
    for n in range(20):
        await stores[n % 2].create(a_job(f"job-{n}"), REQUEST)
        claims = await asyncio.gather(
            *(stores[m % 2].claim(f"job-{n}", worker_id=f"w-{m}", lease_seconds=10) for m in range(10))
        )
        assert sum(claim is not None for claim in claims) == 1


async def test_two_processes_that_reap_at_once_reap_each_job_once(prefix: str) -> None:
    clock = ManualClock()
    one, other = (RedisJobStore(REDIS_URL, prefix=prefix, clock=clock) for _ in range(2))
    async with one, other:
        for n in range(250):
            await claimed(one, f"job-{n}", max_attempts=1 + n % 2)
        clock.advance(61)
        reaped = [job.id for jobs in await asyncio.gather(one.reap(), other.reap()) for job in jobs]
        assert sorted(reaped) == sorted(f"job-{n}" for n in range(250))


async def test_stores_of_other_prefixes_are_other_stores(prefix: str) -> None:
    watcher = Watcher()
    with new_prefix() as another:
        async with RedisJobStore(REDIS_URL, prefix=another) as other, RedisJobStore(REDIS_URL, prefix=prefix) as store:
            other.subscribe(watcher)
            await store.create(a_job(), REQUEST)
            assert await other.get("job-1") is None
            await other.create(a_job("job-2"), REQUEST)
            await watcher.until(Change("job-2", JobStatus.PENDING))
    assert [change.job_id for change in watcher.changes] == ["job-2"]


@pytest.mark.parametrize("turns", [1, 2, 3, 5])
async def test_a_write_whose_caller_has_gone_is_told_to_those_who_watch_its_own_store(
    stores: tuple[RedisJobStore, RedisJobStore], turns: int
) -> None:
    store, _ = stores
    told: asyncio.Queue[Change] = asyncio.Queue()
    store.subscribe(told.put_nowait)
    create = asyncio.create_task(store.create(a_job(), REQUEST))
    for _ in range(turns):  # of the event loop, in which it is begun, and sent
        await asyncio.sleep(0)
    create.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await create
    async with asyncio.timeout(60):
        while (await told.get()).status is not JobStatus.PENDING:  # at first it is not known whether it was made
            pass
    assert await store.get("job-1") is not None
