"""What docs/troubleshooting.md says of stores, reproduced."""

import asyncio
import contextlib
import io
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lambda_kit import Job, JobSettings, JobStore, MemoryJobStore, SqliteJobStore, UnavailableError
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.testing import ManualClock, TestClient
from tests.docs.troubles import Warnings, answer, greeter, refused, served, shows
from tests.support.postgres_schema import POSTGRES_URL, database, new_schema
from tests.support.redis_server import REDIS_URL, need_redis
from tests.support.service_process import free_port

AWAY = "the job store can't be reached now: try again later"


@contextlib.contextmanager
def a_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "jobs.db"


def start(store: JobStore) -> None:
    async def start_and_stop() -> None:
        async with store:
            pass

    asyncio.run(start_and_stop())


@refused("there is no store for 'mysql://'")
def no_such_store() -> None:
    served(greeter(), store="mysql://db.example.com/jobs")


@refused("names no file: write sqlite:///jobs.db for a file in this folder")
def no_such_form() -> None:
    served(greeter(), store="sqlite://jobs.db")


@refused("PostgresJobStore needs the extra 'postgres', which is not installed")
def no_driver() -> None:
    modules = {"asyncpg": None, "lambda_kit.adapters.stores.postgres.database": None}
    with mock.patch.dict(sys.modules, modules):
        del sys.modules["lambda_kit.adapters.stores.postgres.database"]
        PostgresJobStore("postgresql://db.example.com/jobs")


@shows("--workers 2: each process would have jobs of its own in its memory")
def workers_without_a_shared_store() -> str:
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit) as exited:
        served(greeter(), store=MemoryJobStore()).serve(["--workers", "2"])
    assert exited.value.code == 1
    return said.getvalue()


@refused("there is no directory")
def no_directory() -> None:
    with a_file() as file:
        start(SqliteJobStore(file.parent / "nowhere" / "jobs.db"))


@refused("it can't be written: this process needs write permission for the file and its directory")
def a_file_that_can_only_be_read() -> None:
    connect = sqlite3.connect

    def open_read_only(path: Path, **options: Any) -> Any:  # since root may write any file
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    with a_file() as file:
        start(SqliteJobStore(file))
        with mock.patch("sqlite3.connect", open_read_only):
            start(SqliteJobStore(file))


@refused("it is the database of another application: name another file")
def a_database_of_others() -> None:
    with a_file() as file:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE poems (line TEXT)")
        start(SqliteJobStore(file))


@refused("it was written by a newer version of lambda_kit")
def a_newer_file() -> None:
    with a_file() as file:
        start(SqliteJobStore(file))
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version=99")
        start(SqliteJobStore(file))


@refused("it is damaged: restore it from a backup")
def a_damaged_file() -> None:
    with a_file() as file:
        start(SqliteJobStore(file))
        with file.open("r+b") as content:
            content.seek(4096)
            content.write(b"\xff" * (file.stat().st_size - 4096))
        start(SqliteJobStore(file))


@refused("refuses the user or the password of the URL")
def a_wrong_password() -> None:
    need_redis()
    start(RedisJobStore(REDIS_URL.replace("//", "//nobody:wrong@")))


async def in_postgres(*statements: str) -> None:
    async with database() as connection:
        for statement in statements:
            await connection.execute(statement)


@refused("belongs to another application: choose another by PostgresJobStore")
def a_schema_of_others() -> None:
    with new_schema() as name:
        asyncio.run(in_postgres(f"CREATE SCHEMA {name}", f"CREATE TABLE {name}.jobs (line text)"))
        start(PostgresJobStore(POSTGRES_URL, schema=name))


@refused("the store can't be reached, for 0.2 s now")
def a_store_that_stays_away() -> None:
    store = RedisJobStore(f"redis://127.0.0.1:{free_port()}")
    server = served(greeter(), store=store, settings=JobSettings(store_wait_seconds=0.2))
    asyncio.run(server.run_tool("greet", {"name": "Ada"}))


@refused("the encryption key must be 32 bytes in URL-safe base64")
def a_key_that_is_none() -> None:
    served(greeter(), encryption_key="sesame")


@shows("database is locked")
def a_locked_file() -> str:
    with (
        a_file() as file,
        TestClient(served(greeter(), store=SqliteJobStore(file, busy_timeout_seconds=0.05))) as client,
        contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other,
        Warnings("lambda_kit", "requests are answered by 503") as warnings,
    ):
        other.execute("BEGIN IMMEDIATE")
        refusal = client.post("/greet", json={"name": "Ada"})
        other.execute("ROLLBACK")
    assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "1")
    assert refusal.json()["detail"] == AWAY
    return warnings.message


@shows(AWAY)
def a_store_that_is_away() -> str:
    class Away(MemoryJobStore):
        async def create(self, *_: object, **__: object) -> Any:
            raise UnavailableError("the store at 10.0.0.1 is away")

    return answer(503, options={"store": Away()}, json={"name": "Ada"})


@shows("the file was removed, or replaced by another, while it was in use")
def a_file_that_was_removed() -> str:
    with (
        a_file() as file,
        TestClient(served(greeter(), store=SqliteJobStore(file))) as client,
        Warnings("lambda_kit", "requests are answered by 503") as warnings,
    ):
        file.unlink()
        assert client.post("/greet", json={"name": "Ada"}).status_code == 503
    return warnings.message


@refused("is away, or can't do it now")
def a_redis_that_is_not_there() -> None:
    start(RedisJobStore(f"redis://127.0.0.1:{free_port()}"))


@shows("did not renew its lease (attempt 1)")
def a_worker_that_is_gone() -> str:
    clock = ManualClock()
    store = MemoryJobStore(clock=clock)

    async def leave_a_job_behind() -> None:
        await store.create(Job(id="my-job", tool="greet", requested_at=clock()), Payload(b"{}", "application/json"))
        await store.claim("my-job", worker_id="a-process-that-is-gone", lease_seconds=10)

    asyncio.run(leave_a_job_behind())
    clock.advance(11)
    with TestClient(served(greeter(), store=store)) as client:
        answer = client.get("/jobs/my-job", headers={"Prefer": "wait=30"})
    assert answer.status_code == 500
    return str(answer.json()["detail"])
