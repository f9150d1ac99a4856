"""How long a finished job is kept, by tool, in each durable store; then it is gone, from the store too."""

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import redis
from pydantic import BaseModel

from lambda_kit import ExecutorOpts, LambdaTool, Service, SqliteJobStore, ToolOptions, ToolServer
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.ports.store import JobStore
from lambda_kit.testing import ManualClock, TestClient
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.store_dump import all_of_postgres, all_of_redis

SERVICE = Service(name="Retention", contact={"name": "A", "email": "a@example.com"})


class Name(BaseModel):
    name: str


class Brief(LambdaTool):
    """Kept for a minute"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=60))

    def run(self, req: Name) -> str:
        return req.name


class Long(LambdaTool):
    """Kept for a day"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=86400))

    def run(self, req: Name) -> str:
        return req.name


class Usual(LambdaTool):
    """Kept for an hour"""

    def run(self, req: Name) -> str:
        return req.name


TTL = {"brief": 60.0, "long": 86400.0, "usual": 3600.0}


class Kept:
    """A store, and how to look into it from outside: which of some words are anywhere in it."""

    def __init__(self, store: JobStore, clock: ManualClock, dump: Callable[[], Awaitable[str]]) -> None:
        self.store = store
        self.clock = clock
        self._dump = dump

    async def holds(self, *words: str) -> set[str]:
        """Those of the words that are in it."""
        text = await self._dump()
        return {word for word in words if word in text}


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    clock = ManualClock()
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "jobs.db"
            yield Kept(SqliteJobStore(path, clock=clock), clock, lambda: _all_of_sqlite(path))
        elif request.param == "redis":
            prefix = stack.enter_context(new_prefix())
            yield Kept(RedisJobStore(REDIS_URL, prefix=prefix, clock=clock), clock, lambda: _all_of_redis(prefix))
        else:
            schema = stack.enter_context(new_schema())
            store = PostgresJobStore(POSTGRES_URL, schema=schema, clock=clock)
            yield Kept(store, clock, lambda: _all_of_postgres(schema))


async def _all_of_sqlite(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return repr([connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables])


async def _all_of_redis(prefix: str) -> str:
    with redis.Redis.from_url(REDIS_URL) as client:
        return all_of_redis(client, f"{{{prefix}}}:*")


async def _all_of_postgres(schema: str) -> str:
    async with database() as connection:
        return await all_of_postgres(connection, schema)


async def test_a_finished_job_is_kept_as_long_as_its_tool_says(kept: Kept) -> None:
    names = [f"job-of-{tool}" for tool in TTL]
    async with ToolServer(SERVICE, [Brief, Long, Usual], store=kept.store) as server:
        # the server's own housekeeping looks by the same clock, which stands still
        for tool in TTL:
            assert await server.run_tool(tool, {"name": f"job-of-{tool}"}) == f"job-of-{tool}"
        jobs = {job.tool: job for job in (await kept.store.list_jobs()).jobs}
        for tool, job in jobs.items():
            assert job.expires_at is not None
            assert job.finished_at is not None
            assert job.expires_at - job.finished_at == pytest.approx(TTL[tool])
        assert await kept.holds(*names) == set(names)
        for gone, seconds in (("brief", 61.0), ("usual", 3600.0), ("long", 86400.0)):
            kept.clock.advance(seconds)
            job = jobs.pop(gone)
            assert await kept.store.get(job.id) is None
            assert await kept.store.get_result(job.id) is None
            assert await kept.store.read_events(job.id) is None
            await kept.store.purge()
            assert {left.id for left in (await kept.store.list_jobs()).jobs} == {left.id for left in jobs.values()}
            assert await kept.holds(*names, job.id) == {f"job-of-{tool}" for tool in jobs}


def test_the_record_says_when_a_job_expires_and_then_it_is_not_found(kept: Kept) -> None:
    with TestClient(ToolServer(SERVICE, [Brief, Long, Usual], store=kept.store)) as client:
        for tool, seconds in TTL.items():
            assert client.post(f"/{tool}", json={"name": "a"}, headers={"job-id": tool}).status_code == 200
            record = client.get(f"/jobs/{tool}/status").json()
            finished, expires = (datetime.fromisoformat(record[name]) for name in ("finished-at", "expires-at"))
            assert (expires - finished).total_seconds() == pytest.approx(seconds, abs=0.01)
        kept.clock.advance(61)
        for path in ("", "/status", "/events"):
            answer = client.get(f"/jobs/brief{path}")
            assert (answer.status_code, answer.json()["type"]) == (404, "job-not-found")
            assert client.get(f"/jobs/usual{path}").status_code == 200
        # its id can be taken again
        again = client.post("/brief", json={"name": "b"}, headers={"job-id": "brief"})
        assert (again.status_code, again.text) == (200, "b")
