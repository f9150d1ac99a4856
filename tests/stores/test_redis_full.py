"""A Redis that has used up its memory: what is there ends, is cancelled and purged, and new jobs are refused."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from lambda_kit import ExecutorOpts, JobContext, JobStatus, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.errors import StoreFullError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.core.ports.store import Lease
from lambda_kit.testing import ManualClock, TestClient
from tests.support.redis_jobs import REQUEST, RESULT, a_job, claimed
from tests.support.redis_server import RedisServer

EVENT = NewEvent("urn:example:event", b'{"n": 1}', 0.0)
LARGE = Payload(b"x" * 100_000, "text/plain")


class Full:
    """A Redis server of the test's own, that can be full."""

    def __init__(self, server: RedisServer) -> None:
        self.url = server.url
        self._server = server

    def fill(self) -> None:
        self._limit(1)

    def make_room(self) -> None:
        self._limit(0)

    def jobs(self) -> list[bytes]:
        """The keys with jobs and their logs."""
        with self._server.client as raw:
            return [*raw.scan_iter("*:job:*"), *raw.scan_iter("*:log:*")]

    def _limit(self, number: int) -> None:
        with self._server.client as raw:
            raw.config_set("maxmemory", number)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Full]:
    with RedisServer(tmp_path, "--maxmemory-policy", "noeviction") as server:
        yield Full(server)


# --- the store ---


async def test_a_new_job_is_refused_and_one_that_is_there_ends(redis: Full) -> None:
    async with RedisJobStore(redis.url) as store:
        lease = await claimed(store)
        await store.create(a_job("waits"), REQUEST)
        redis.fill()
        with pytest.raises(StoreFullError, match=r"the job store is full: Redis at .* has used up its maxmemory"):
            await store.create(a_job("new"), REQUEST)
        assert await store.get("new") is None
        assert (await store.finish(lease, RESULT)).status is JobStatus.SUCCEEDED
        assert await store.get_result("job-1") == RESULT
        claim = await store.claim("waits", worker_id="w", lease_seconds=60)
        assert claim is not None
        assert (await store.release(Lease("waits", claim.job.lease_token))).status is JobStatus.PENDING
        redis.make_room()
        assert (await store.create(a_job("new"), REQUEST)).is_new


async def test_what_keeps_jobs_alive_needs_no_room(redis: Full) -> None:
    async with RedisJobStore(redis.url) as store:
        await store.register_sink("sink")
        lease = await claimed(store)
        await store.create(a_job("orphan"), REQUEST)
        redis.fill()
        await store.register_sink("sink")
        await store.heartbeat("w", lease_seconds=10)
        assert await store.workers() == ["w"]
        (renewal,) = await store.renew([lease], lease_seconds=60)
        assert not renewal.is_lost
        assert await store.acquire_slot("slot", "w 1", limit=1, lease_seconds=10)
        assert [job.id for job in await store.adopt("w", tools=["greet"])] == ["orphan"]
        delivery, _ = await store.undelivered("sink", worker_id="w")
        assert await store.read_delivery("sink", delivery, worker_id="w")
        assert await store.mark_delivered("sink", delivery, after_seq=1, is_complete=False, worker_id="w")
        assert await store.drop_undelivered(silent_seconds=1e6) == []
        await store.expire_worker("w")
        await store.release_slot("slot", "w 1")


async def test_what_is_there_is_cancelled_reaped_and_purged(redis: Full) -> None:
    clock = ManualClock()
    async with RedisJobStore(redis.url, clock=clock) as store:
        runs = await claimed(store, "runs")
        await claimed(store, "lost")
        await store.create(a_job("waits", ttl_seconds=1), REQUEST)
        redis.fill()
        assert (await store.request_cancel("waits") or a_job()).status is JobStatus.CANCELLED
        assert (await store.request_cancel("runs") or a_job()).cancel_requested
        assert (await store.finish(runs, None)).status is JobStatus.CANCELLED
        clock.advance(1000)
        assert [job.id for job in await store.reap()] == ["lost"]
        clock.advance(10_000)
        assert redis.jobs()
        assert await store.purge() == 3
        assert not redis.jobs()


async def test_a_store_is_opened_again(redis: Full) -> None:
    async with RedisJobStore(redis.url) as store:
        key = await store.caller_key()
        await store.create(a_job("waits"), REQUEST)
    redis.fill()
    async with RedisJobStore(redis.url) as store:
        assert await store.caller_key() == key
        assert await store.get("waits") is not None


async def test_what_needs_much_room_is_refused_and_changes_nothing(redis: Full) -> None:
    async with RedisJobStore(redis.url) as store:
        lease = await claimed(store)
        before = await store.get("job-1")
        redis.fill()
        with pytest.raises(StoreFullError):
            await store.append_events(lease, [EVENT], batch=1)
        with pytest.raises(StoreFullError):
            await store.finish(lease, LARGE)
        with pytest.raises(StoreFullError):
            await store.finish(lease, Failure(FailureKind.TOOL, "E", "m", "x" * 60_000))
        assert await store.get("job-1") == before
        redis.make_room()
        await store.append_events(lease, [EVENT], batch=1)
        assert (await store.finish(lease, LARGE)).status is JobStatus.SUCCEEDED


async def test_a_result_fits_in_the_place_of_its_request(redis: Full) -> None:
    async with RedisJobStore(redis.url) as store:
        await store.create(a_job(), LARGE)
        claim = await store.claim("job-1", worker_id="w", lease_seconds=60)
        assert claim is not None
        redis.fill()
        assert (await store.finish(Lease("job-1", 1), LARGE)).status is JobStatus.SUCCEEDED
        assert await store.get_result("job-1") == LARGE


# --- a service ---

BEGUN, GO_ON = threading.Semaphore(0), threading.Semaphore(0)


class Ask(BaseModel):
    end: str = "ok"


class Works(LambdaTool):
    """Reports before and after it is let go on"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=1))

    def run(self, req: Ask, ctx: JobContext) -> str:
        ctx.progress(1, 2)
        BEGUN.release()
        assert GO_ON.acquire(timeout=60)
        for number in range(100):
            ctx.progress(number, 100, "on it" * 100)
        if req.end == "raise":
            raise RuntimeError("x" * 60_000)
        return "x" * 60_000 if req.end == "large" else "ok"


@pytest.fixture
def client(redis: Full) -> Iterator[TestClient]:
    service = Service(name="Full", contact={"name": "A", "email": "a@example.com"})
    with TestClient(ToolServer(service, [Works], store=redis.url)) as client:
        yield client


@pytest.fixture
def start(client: TestClient) -> Callable[[str], str]:
    def start(end: str) -> str:
        answer = client.post("/works", json={"end": end}, headers={"Prefer": "respond-async"})
        assert answer.status_code == 204
        assert BEGUN.acquire(timeout=60)
        return str(answer.headers["job-id"])

    return start


def end_of(client: TestClient, job_id: str) -> tuple[int, Any]:
    answer: httpx.Response = client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=30"})
    is_json = answer.headers.get("content-type", "").endswith("json")
    return answer.status_code, answer.json() if is_json else answer.text


def test_jobs_of_a_full_store_end_and_new_ones_are_refused(
    redis: Full, client: TestClient, start: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    jobs = {end: start(end) for end in ("ok", "raise", "large", "cancelled")}
    redis.fill()
    with caplog.at_level(logging.WARNING):
        refused = client.post("/works", json={})
        assert refused.status_code == 503
        assert refused.json()["detail"] == "the job store is full: try again later"
        assert int(refused.headers["retry-after"]) >= 1
        assert client.delete(f"/jobs/{jobs['cancelled']}").status_code in (200, 202)
        for _ in jobs:
            GO_ON.release()
        assert end_of(client, jobs["ok"]) == (200, "ok")
        assert end_of(client, jobs["cancelled"])[0] == 410
        status, problem = end_of(client, jobs["raise"])
        assert (status, problem["type"]) == (500, "RuntimeError")
        assert 0 < len(problem["detail"]) <= 1024
        status, problem = end_of(client, jobs["large"])
        assert (status, problem["type"]) == (500, "result-not-kept")
        assert problem["detail"] == "the result could not be kept: the job store is full"
    assert "requests are answered by 503: the job store is full: Redis at" in caplog.text
    assert "its events are dropped: the job store is full" in caplog.text
    redis.make_room()
    GO_ON.release()
    assert client.post("/works", json={}).status_code == 200
    assert BEGUN.acquire(timeout=60)
