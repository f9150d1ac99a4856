"""What the store in Redis leaves there, how it is opened and closed, and what it refuses."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from lambda_kit import BadRequestError, ConfigurationError, JobStatus, MissingExtraError, UnavailableError
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.outbox import DropReason
from lambda_kit.core.ports.store import Lease
from lambda_kit.testing import ManualClock
from tests.support.redis_jobs import REQUEST, RESULT, a_job, claim, claimed, new_prefix
from tests.support.redis_server import REDIS_URL


@pytest.fixture
def prefix() -> Iterator[str]:
    with new_prefix() as prefix:
        yield prefix


@pytest.fixture
async def store(prefix: str) -> AsyncIterator[RedisJobStore]:
    async with RedisJobStore(REDIS_URL, prefix=prefix) as store:
        yield store


# --- what is in Redis ---


async def test_redis_itself_forgets_final_jobs_and_no_others(store: RedisJobStore, prefix: str) -> None:
    await claimed(store, "runs")
    await store.finish(await claimed(store, "done", ttl_seconds=100.0, idempotency_key="k"), RESULT)
    with redis.Redis.from_url(REDIS_URL) as raw:
        for key in ("job:done", "log:done", "key:k"):
            assert 100 < raw.ttl(f"{{{prefix}}}:{key}") <= 160
        for key in ("job:runs", "log:runs"):
            assert raw.ttl(f"{{{prefix}}}:{key}") == -1


async def test_a_time_to_live_beyond_all_bounds_is_no_error(store: RedisJobStore) -> None:
    await store.finish(await claimed(store, ttl_seconds=1e300), RESULT)
    assert await store.get_result("job-1") == RESULT


async def test_what_redis_has_forgotten_is_neither_listed_nor_in_the_way(prefix: str) -> None:
    clock = ManualClock()
    async with RedisJobStore(REDIS_URL, prefix=prefix, clock=clock) as store:
        await store.register_sink("sink")
        for job_id in ("a", "b", "c"):
            await store.finish(await claimed(store, job_id, ttl_seconds=10.0), RESULT)
        clock.advance(11)
        with redis.Redis.from_url(REDIS_URL) as raw:
            raw.delete(*(f"{{{prefix}}}:{kind}:{job_id}" for kind in ("job", "log") for job_id in ("a", "b", "c")))
        assert (await store.list_jobs()).jobs == []
        assert await store.counts() == {}
        assert await store.undelivered("sink") == []
        await store.create(a_job("a", tool="other"), REQUEST)
        await store.finish(await claimed(store, "b"), RESULT)
        assert await store.purge() == 2
        assert await store.purge() == 0
        assert [job.id for job in (await store.list_jobs()).jobs] == ["b", "a"]
        assert await store.counts() == {("other", JobStatus.PENDING): 1, ("greet", JobStatus.SUCCEEDED): 1}
        assert [delivery.job_id for delivery in await store.undelivered("sink")] == ["a", "b"]


async def test_what_redis_has_forgotten_before_it_was_delivered_is_given_up_and_told(prefix: str) -> None:
    clock = ManualClock()
    async with RedisJobStore(REDIS_URL, prefix=prefix, clock=clock) as store:
        await store.register_sink("sink")
        for job_id in ("a", "b", "c"):
            await store.finish(await claimed(store, job_id, ttl_seconds=10.0), RESULT)
        clock.advance(11)
        with redis.Redis.from_url(REDIS_URL) as raw:  # as after a night in which no process has purged
            raw.delete(*(f"{{{prefix}}}:{kind}:{job_id}" for kind in ("job", "log") for job_id in ("a", "b")))
            await store.create(a_job("b"), REQUEST)
            await store.purge()
            dropped = await store.drop_undelivered(silent_seconds=3600.0)
            assert [(it.sink, it.job_id, it.reason) for it in dropped] == [("sink", "a", DropReason.OVERDUE)]
            assert await store.drop_undelivered(silent_seconds=3600.0) == []
            assert [delivery.job_id for delivery in await store.undelivered("sink")] == ["c", "b"]
            names = [*raw.zrange(f"{{{prefix}}}:ready:sink", 0, -1), *raw.hkeys(f"{{{prefix}}}:confirmed:sink")]
            assert sorted({name.decode().partition("~")[0] for name in names}) == ["b", "c"]


async def test_jobs_that_are_forgotten_leave_no_keys(prefix: str) -> None:
    clock = ManualClock()
    async with RedisJobStore(REDIS_URL, prefix=prefix, clock=clock) as store:
        await store.register_sink("sink")
        for n in range(300):
            lease = await claimed(store, f"job-{n}", ttl_seconds=10.0, idempotency_key=f"k-{n}", assigned_worker="w")
            [delivery] = await store.undelivered("sink", worker_id="h")
            await store.finish(lease, RESULT)
            assert await store.mark_delivered("sink", delivery, after_seq=3, is_complete=True)
        clock.advance(11)
        assert await store.purge() == 300
    with redis.Redis.from_url(REDIS_URL) as raw:
        left = {key.decode().partition("}:")[2] for key in raw.scan_iter(f"{{{prefix}}}:*", count=1000)}
    assert left == {"layout", "number", "tools", "sinks", "sinks_seen"}


async def test_a_request_is_kept_until_the_job_has_ended(store: RedisJobStore, prefix: str) -> None:
    lease = await claimed(store)
    with redis.Redis.from_url(REDIS_URL) as raw:
        assert raw.hget(f"{{{prefix}}}:job:job-1", "q") == REQUEST.content
        await store.finish(lease, RESULT)
        assert raw.hget(f"{{{prefix}}}:job:job-1", "q") is None


@pytest.mark.parametrize("size", [65_536, 65_537, 50_000_000])
async def test_large_requests_and_results_are_kept(store: RedisJobStore, size: int) -> None:
    request, result = (Payload(letter * size, "application/octet-stream") for letter in (b"q", b"r"))
    await store.create(a_job(), request)
    claim = await store.claim("job-1", worker_id="w", lease_seconds=60, claim_id="c")
    assert claim is not None
    assert claim.request == request
    again = await store.claim("job-1", worker_id="w", lease_seconds=60, claim_id="c")
    assert again == claim
    await store.finish(Lease("job-1", claim.job.lease_token), result)
    assert await store.get_result("job-1") == result


async def test_scripts_that_redis_forgot_are_loaded_again(store: RedisJobStore) -> None:
    with redis.Redis.from_url(REDIS_URL) as raw:
        await store.create(a_job(), REQUEST)
        raw.script_flush()
        await store.finish(await claim(store), RESULT)
        raw.script_flush()
    large = Payload(b"x" * 100_000, "text/plain")
    await store.create(a_job("large"), large)
    assert await store.get_result("job-1") == RESULT


# --- opening and closing ---


async def test_a_stop_waits_for_the_writes_under_way(prefix: str) -> None:
    store = RedisJobStore(REDIS_URL, prefix=prefix)
    await store.start()
    large = Payload(b"x" * 1_000_000, "text/plain")
    writes = [asyncio.create_task(store.create(a_job(f"job-{n}"), large if n % 50 else REQUEST)) for n in range(300)]
    await asyncio.sleep(0)  # now they are under way
    await store.stop()
    assert all(created.is_new for created in await asyncio.gather(*writes))
    with pytest.raises(UnavailableError, match="not started"):
        await store.get("job-1")
    async with store:
        assert len((await store.list_jobs(limit=1000)).jobs) == 300


def test_a_store_can_be_started_on_another_event_loop(prefix: str) -> None:
    store = RedisJobStore(REDIS_URL, prefix=prefix)

    async def once() -> bool:
        async with store:
            return (await store.create(a_job(), REQUEST)).is_new

    assert [asyncio.run(once()) for _ in range(2)] == [True, False]


async def test_jobs_of_another_layout_are_left_alone(prefix: str) -> None:
    for layout, remedy in ((1, "older version .* let that version finish its jobs"), (3, "newer version")):
        with redis.Redis.from_url(REDIS_URL) as raw:
            raw.set(f"{{{prefix}}}:layout", layout)
        with pytest.raises(ConfigurationError, match=remedy):
            await RedisJobStore(REDIS_URL, prefix=prefix).start()


@pytest.mark.parametrize(
    "url", ["redis://:se@cret@host:x/0", "http://u:secret@host", "redis://u:secret@h:99999999/", "redis://[secret/", ""]
)
def test_a_malformed_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="malformed") as caught:
        RedisJobStore(url)
    assert "cret" not in str(caught.value)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no_such_option") as caught:
        RedisJobStore("redis://user:secret@127.0.0.1/0?no_such_option=secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "a{b", "a}b", "a b"])
def test_a_prefix_that_would_tear_keys_apart_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix="):
        RedisJobStore(REDIS_URL, prefix=prefix)


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="event_log_size=0"):
        RedisJobStore(REDIS_URL, event_log_size=0)
    with pytest.raises(ValueError, match="max_connections=0"):
        RedisJobStore(REDIS_URL, max_connections=0)


async def test_a_cursor_of_no_store_is_refused(store: RedisJobStore) -> None:
    with pytest.raises(BadRequestError):
        await store.list_jobs(cursor="+inf")


def test_without_redis_py_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"lambda-kit\[redis\]"):
        RedisJobStore(REDIS_URL)
