"""What becomes of the store in PostgreSQL when its server is away, crashes, or refuses it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import asyncpg
import pytest

from lambda_kit import ConfigurationError, Job, JobStatus, UnavailableError
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.core.errors import LeaseLostError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change, Lease
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.service_process import free_port

REQUEST = Payload(b"{}", "application/json")
LONG_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(cluster: PostgresServer) -> PostgresServer:
    """One that runs."""
    cluster.kill()
    cluster.start()
    return cluster


@pytest.fixture
async def store(server: PostgresServer) -> AsyncIterator[PostgresJobStore]:
    async with PostgresJobStore(server.url) as store:
        yield store


class Missed:
    """Counts how often a store said that changes may have been missed."""

    def __init__(self, store: PostgresJobStore) -> None:
        self._count = asyncio.Semaphore(0)
        store.subscribe(self._add)

    def _add(self, change: Change) -> None:
        if change.job_id is None:
            self._count.release()

    async def next(self) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            await self._count.acquire()


async def write(store: PostgresJobStore, job_id: str) -> None:
    """Bring a job to its end; each step is made again while the store is away."""
    claim = None
    while True:
        try:
            await store.create(Job(id=job_id, tool="greet", requested_at=0.0), REQUEST)
            claim = claim or await store.claim(job_id, worker_id="w", lease_seconds=100, claim_id="c")
            assert claim is not None
            await store.finish(Lease(job_id, claim.job.lease_token), Payload(job_id.encode(), "text/plain"))
        except UnavailableError:
            await asyncio.sleep(0.05)
        except LeaseLostError:  # it was written, and the answer was lost
            return
        else:
            return


async def test_a_server_that_crashes_loses_nothing_that_was_acknowledged_and_the_store_heals(
    server: PostgresServer, store: PostgresJobStore
) -> None:
    missed = Missed(store)
    written: list[str] = []
    enough, stop = asyncio.Event(), False

    async def work(worker: int) -> None:
        number = 0
        while not stop:
            number += 1
            job_id = f"job-{worker}-{number}"
            await write(store, job_id)
            written.append(job_id)
            if len(written) >= 100:
                enough.set()

    async with asyncio.timeout(LONG_SECONDS), asyncio.TaskGroup() as group:
        for worker in range(16):
            group.create_task(work(worker))
        await enough.wait()
        await asyncio.to_thread(server.kill)
        with pytest.raises(UnavailableError) as error:
            await store.get(written[0])
        assert PASSWORD not in str(error.value)
        before = set(written)
        await asyncio.to_thread(server.start)
        await missed.next()
        enough.clear()
        await enough.wait()
        stop = True

    assert before < set(written)
    for job_id in written:
        assert await store.get_result(job_id) == Payload(job_id.encode(), "text/plain")
        page = await store.read_events(job_id)
        assert page is not None
        assert [event.status for event in page.events] == ["pending", "executing", "succeeded"]


async def test_connections_that_are_cut_are_made_again(server: PostgresServer, store: PostgresJobStore) -> None:
    missed = Missed(store)
    async with PostgresJobStore(server.url) as other:
        changed = asyncio.Event()
        connection = await asyncpg.connect(server.url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await connection.close()
        await missed.next()
        store.subscribe(lambda change: changed.set() if change.job_id == "again" else None)
        await write(other, "again")
        async with asyncio.timeout(LONG_SECONDS):
            await changed.wait()
        job = await store.get("again")
        assert job is not None
        assert job.status is JobStatus.SUCCEEDED


async def test_a_store_can_be_stopped_while_its_server_is_away_and_started_later(
    server: PostgresServer, store: PostgresJobStore
) -> None:
    await write(store, "before-the-crash")
    await asyncio.to_thread(server.kill)
    async with asyncio.timeout(LONG_SECONDS):
        await store.stop()
        with pytest.raises(UnavailableError):
            await store.start()
        await asyncio.to_thread(server.start)
        await store.start()
    assert await store.get("before-the-crash") is not None


async def test_nothing_is_done_by_a_store_that_is_not_started(server: PostgresServer) -> None:
    with pytest.raises(UnavailableError, match="not open"):
        await PostgresJobStore(server.url).get("a")


@pytest.mark.parametrize("wrong", ["password", "database", "user"])
async def test_what_is_refused_is_an_error_of_configuration_without_the_password(
    server: PostgresServer, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password = "s3cret!" if wrong == "password" else PASSWORD
    user = "somebody" if wrong == "user" else "worker_id"
    name = "nowhere" if wrong == "database" else "postgres"
    store = PostgresJobStore(f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{server.port}/{name}")
    with pytest.raises(ConfigurationError) as error:
        await store.start()
    for text in (str(error.value), repr(store), caplog.text):
        assert password not in text
        assert quote(password, safe="") not in text
    assert f"127.0.0.1:{server.port}/{name}" in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cret@127.0.0.1/x",
        "postgresql://u:s3cret@127.0.0.1:port/x",
        "postgresql://u:s3c/ret@127.0.0.1/x",
        "postgresql://u:s3c?ret@127.0.0.1/x",
        "postgresql://u:s3c#ret@127.0.0.1/x",
        "postgresql://u:s3c@ret@127.0.0.1:port/x",
        "s3cret",
    ],
)
async def test_a_url_that_can_not_be_read_is_an_error_of_configuration_without_the_password(url: str) -> None:
    store = PostgresJobStore(url)
    with pytest.raises(ConfigurationError) as error:
        await store.start()
    assert "s3c" not in str(error.value)
    assert "s3c" not in repr(store)


async def test_a_server_that_is_not_there_is_away() -> None:
    store = PostgresJobStore(f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x")
    for _ in range(2):
        with pytest.raises(UnavailableError) as error:
            await store.start()
        assert "s3cret" not in str(error.value)


async def test_a_server_that_does_not_answer_is_away_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresJobStore(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x")
        async with asyncio.timeout(LONG_SECONDS):
            with pytest.raises(UnavailableError):
                await store.start()


async def test_tls_that_is_asked_for_is_not_done_without(server: PostgresServer) -> None:
    with pytest.raises(UnavailableError, match="SSL"):
        await PostgresJobStore(f"{server.url}?sslmode=require").start()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@db.example:5433/x?sslmode=require&password=s3cret", "postgresql://db.example:5433/x"),
        ("postgres://u@[::1]:5433,other/x", "postgresql://[::1]:5433,other/x"),
        ("postgresql:///x?host=/run/postgresql", "postgresql:///x"),
        ("postgresql://u:s3cret@db", "postgresql://db"),
    ],
)
def test_what_is_shown_of_a_url_is_where_it_leads_to(url: str, shown: str) -> None:
    assert repr(PostgresJobStore(url)) == f"PostgresJobStore({shown!r})"
