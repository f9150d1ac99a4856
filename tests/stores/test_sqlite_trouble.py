"""The store in an SQLite file says what is wrong, loses nothing that it acknowledged, and goes on when it is mended."""
# ruff: noqa: ASYNC240 - nothing else runs on the event loops of these tests

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, Job, SqliteJobStore, UnavailableError
from lambda_kit.adapters.stores.sqlite import file as sqlite_file
from lambda_kit.adapters.stores.sqlite.schema import MIGRATIONS
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change

REQUEST = Payload(b"{}", "application/json")
NOBODY = 65534
LONG_SECONDS = 60.0


def a_job(job_id: str) -> Job:
    return Job(id=job_id, tool="greet", requested_at=0.0)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("lambda_kit sqlite")] == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def refusal(store: SqliteJobStore) -> str:
    """Why the store can't be started, and won't be by trying again."""
    with pytest.raises(ConfigurationError) as caught:
        await store.start()
    return str(caught.value)


async def used(path: Path, count: int = 1) -> None:
    """Make a store with pending jobs."""
    async with SqliteJobStore(path) as store:
        await asyncio.gather(*(store.create(a_job(f"job-{n}"), REQUEST) for n in range(count)))


async def ids(store: SqliteJobStore) -> set[str]:
    return {job.id for job in (await store.list_jobs(limit=1000)).jobs}


# --- files that can't be used ---


@pytest.mark.parametrize("path", [":memory:", "", Path(), "."])
def test_what_is_no_file_is_refused_with_a_hint(path: str | Path) -> None:
    with pytest.raises(ConfigurationError, match="MemoryJobStore"):
        SqliteJobStore(path)


def test_numbers_out_of_range_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="event_log_size=0"):
        SqliteJobStore(path, event_log_size=0)
    with pytest.raises(ValueError, match="busy_timeout_seconds=-1"):
        SqliteJobStore(path, busy_timeout_seconds=-1)


async def test_a_missing_directory_and_a_directory_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "jobs.db"
    message = await refusal(SqliteJobStore(missing))
    assert str(missing) in message
    assert "make it" in message
    assert "it is a directory" in await refusal(SqliteJobStore(tmp_path))


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"something else, and long enough " * 100)
    message = await refusal(SqliteJobStore(path))
    assert str(path) in message
    assert "not a database" in message
    assert path.read_bytes() == b"something else, and long enough " * 100


async def test_a_database_of_another_application_is_refused_and_left_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert "another application" in await refusal(SqliteJobStore(path))
    assert path.read_bytes() == before


async def test_a_file_that_was_cut_off_is_refused(path: Path) -> None:
    await used(path, 200)
    os.truncate(path, path.stat().st_size // 2)
    message = await refusal(SqliteJobStore(path))
    assert str(path) in message
    assert "damaged" in message


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Be somebody whom permissions bind, where the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_a_file_or_directory_that_may_only_be_read_is_refused(public_directory: Path, what: str) -> None:
    path = public_directory / "jobs.db"
    if what == "file":
        await used(path)
        path.chmod(0o444)
        public_directory.chmod(0o777)
    else:
        public_directory.chmod(0o555)
    try:
        with ordinary_user():
            message = await refusal(SqliteJobStore(path))
    finally:
        public_directory.chmod(0o755)
    assert str(path) in message
    assert "write permission" in message


# --- versions of the schema ---


async def test_the_schema_of_a_newer_version_is_refused_by_its_number(path: Path) -> None:
    await used(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    message = await refusal(SqliteJobStore(path))
    assert "schema 99" in message
    assert "newer version of lambda_kit" in message


async def test_the_schema_of_an_older_version_that_can_not_be_read_is_refused_with_what_to_do(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE counters (number, change, trimmed); CREATE TABLE jobs (number, id, owner, lease_owner);"
            "PRAGMA application_id = 0x6C6B6A73; PRAGMA user_version = 1"
        )
    message = await refusal(SqliteJobStore(path))
    assert "older version of lambda_kit (schema 1" in message
    assert "let that version finish its jobs, then name another file" in message


async def test_an_older_schema_is_migrated_once_and_the_jobs_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await used(path, 3)
    next_version = ("ALTER TABLE jobs ADD COLUMN more TEXT", "UPDATE jobs SET more = 'more'")
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, next_version))
    stores = [SqliteJobStore(path) for _ in range(5)]  # a second ALTER TABLE would fail
    try:
        await asyncio.gather(*(store.start() for store in stores))
        assert await ids(stores[4]) == {"job-0", "job-1", "job-2"}
    finally:
        for store in stores:
            await store.stop()


async def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await used(path)
    with monkeypatch.context() as patch:
        failing = ("DROP TABLE jobs", "CREATE TABLE slots (x)")
        patch.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, failing))
        with pytest.raises(UnavailableError):
            await SqliteJobStore(path).start()
    async with SqliteJobStore(path) as store:
        assert await ids(store) == {"job-0"}


# --- a locked database ---


async def test_a_lock_that_is_held_for_too_long_is_told_and_forgotten(path: Path) -> None:
    async with SqliteJobStore(path, busy_timeout_seconds=0.05) as store:
        told: list[Change] = []
        store.subscribe(told.append)
        await store.create(a_job("a"), REQUEST)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            creates = (store.create(a_job(f"job-{n}"), REQUEST) for n in range(5))
            answers = await asyncio.gather(*creates, return_exceptions=True)
            assert [type(answer) for answer in answers] == [UnavailableError] * 5
            assert "locked" in str(answers[0])
            assert await ids(store) == {"a"}  # reading goes on
            again = SqliteJobStore(path, busy_timeout_seconds=0.05)
            with pytest.raises(UnavailableError, match="locked"):
                await again.start()
        assert (await store.create(a_job("b"), REQUEST)).is_new
        assert [change.job_id for change in told] == ["a", "b"]
        async with again:
            assert await ids(again) == {"a", "b"}


# --- what nobody expects ---


@contextlib.asynccontextmanager
async def bounded_store(path: Path) -> AsyncIterator[SqliteJobStore]:
    """A store of which neither a call nor the stop may take for ever."""
    store = SqliteJobStore(path)
    await store.start()
    try:
        async with asyncio.timeout(LONG_SECONDS):
            yield store
    finally:
        async with asyncio.timeout(LONG_SECONDS):
            await store.stop()


def execute(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


async def test_an_error_that_is_not_expected_fails_the_calls_that_wait_and_no_later_ones(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with bounded_store(path) as store:
        await store.create(a_job("a"), REQUEST)
        execute(path, "DELETE FROM counters")
        creates = (store.create(a_job(f"lost-{n}"), REQUEST) for n in range(5))
        answers = await asyncio.gather(*creates, return_exceptions=True)
        assert [type(answer) for answer in answers] == [UnavailableError] * 5
        assert str(path) in str(answers[0])
        assert "can't be used now" in caplog.text
        execute(path, "INSERT INTO counters VALUES (10, 10)")
        assert (await store.create(a_job("b"), REQUEST)).is_new
        assert await ids(store) == {"a", "b"}


async def test_a_store_that_met_an_error_that_is_not_expected_can_be_stopped(path: Path) -> None:
    async with bounded_store(path) as store:
        execute(path, "DELETE FROM counters")
        with pytest.raises(UnavailableError):
            await store.create(a_job("a"), REQUEST)


async def test_a_directory_that_can_not_be_entered_is_refused(public_directory: Path) -> None:
    locked = public_directory / "locked"
    (locked / "deeper").mkdir(parents=True)
    locked.chmod(0o000)
    try:
        with ordinary_user():
            message = await refusal(SqliteJobStore(locked / "deeper" / "jobs.db"))
    finally:
        locked.chmod(0o755)
    assert "enter" in message
