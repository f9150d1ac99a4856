"""What others do to the file of a store while it is open: locks, removal, other files in its place, damage."""
# ruff: noqa: ASYNC240 - nothing else runs on the event loops of these tests

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, Job, SqliteJobStore, UnavailableError
from lambda_kit.core.model.job import Payload
from tests.core.running_tools import until

REQUEST = Payload(b"{}", "application/json")
PAGE_BYTES = 4096


def a_job(job_id: str) -> Job:
    return Job(id=job_id, tool="greet", requested_at=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteJobStore]:
    async with SqliteJobStore(path) as store:
        await store.create(a_job("a"), REQUEST)
        yield store


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def files(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]


async def refused(store: SqliteJobStore) -> None:
    with pytest.raises(UnavailableError, match=r"the file was removed, or replaced by another, .*restart the service"):
        await store.create(a_job("lost"), REQUEST)


# --- removed, replaced ---


async def test_nothing_is_acknowledged_that_would_go_to_a_file_that_was_removed(
    store: SqliteJobStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in files(path):
        file.unlink()
    for _ in range(3):
        await refused(store)
    assert not path.exists()
    assert await store.get("a") is not None  # reading goes on
    assert len(errors(caplog)) == 1
    assert "restart the service" in errors(caplog)[0]
    await store.stop()
    await store.start()  # a new file
    assert (await store.create(a_job("b"), REQUEST)).is_new
    assert await store.get("a") is None


async def test_nothing_is_acknowledged_that_would_go_to_a_file_that_was_replaced(
    store: SqliteJobStore, path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    async with SqliteJobStore(copy) as other:
        await other.create(a_job("b"), REQUEST)
    for file in files(path):
        file.unlink()
    copy.rename(path)
    await refused(store)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM jobs").fetchall() == [("b",)]


async def test_a_file_that_comes_back_is_used_again(store: SqliteJobStore, path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in files(path):
        file.rename(elsewhere / file.name)
    await refused(store)
    for file in files(path):
        (elsewhere / file.name).rename(file)
    assert (await store.create(a_job("b"), REQUEST)).is_new
    assert {job.id for job in (await store.list_jobs()).jobs} == {"a", "b"}


# --- locked ---


async def test_a_call_that_waits_behind_another_one_does_not_wait_for_a_lock_twice_as_long(path: Path) -> None:
    second_failed = threading.Event()

    def wait_for_the_lock() -> bool:
        """Whether the second call failed before one that waits for nearly twice its time, and began to later."""
        with contextlib.closing(sqlite3.connect(path, timeout=9.5, isolation_level=None)) as witness:
            with contextlib.suppress(sqlite3.OperationalError):
                witness.execute("BEGIN IMMEDIATE")
            return second_failed.is_set()

    async with SqliteJobStore(path, busy_timeout_seconds=5.0) as store:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(store.create(a_job("first"), REQUEST))
            await asyncio.sleep(0)  # it is asked for
            await until(store._writer._calls.empty)  # and begun
            second = asyncio.create_task(store.create(a_job("second"), REQUEST))
            await asyncio.sleep(0)
            waited = asyncio.create_task(asyncio.to_thread(wait_for_the_lock))
            for call in (first, second):
                with pytest.raises(UnavailableError, match="locked"):
                    await call
            second_failed.set()
            holder.execute("ROLLBACK")
            assert await waited
        assert (await store.create(a_job("third"), REQUEST)).is_new


async def test_of_calls_that_wait_for_a_lock_those_whose_time_is_not_up_are_done_when_it_is_released(
    path: Path,
) -> None:
    async with SqliteJobStore(path, busy_timeout_seconds=8.0) as store:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(store.create(a_job("first"), REQUEST))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(4.0):
                    await asyncio.shield(first)
            later = [asyncio.create_task(store.create(a_job(f"later-{n}"), REQUEST)) for n in range(3)]
            with pytest.raises(UnavailableError, match="locked"):
                await first
            holder.execute("ROLLBACK")
        assert [created.is_new for created in await asyncio.gather(*later)] == [True] * 3


# --- damaged ---


def damage(path: Path, first_page: int, last_page: int) -> None:
    """Overwrite pages of the file, counted from 1."""
    with path.open("r+b") as file:
        file.seek((first_page - 1) * PAGE_BYTES)
        file.write(os.urandom((last_page - first_page + 1) * PAGE_BYTES))


async def filled(path: Path) -> int:
    """Make a store with jobs. Returns how many pages there are."""
    async with SqliteJobStore(path) as store:
        await asyncio.gather(*(store.create(a_job(f"job-{n}"), REQUEST) for n in range(500)))
    return path.stat().st_size // PAGE_BYTES


def pages_where_something_begins(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 0 ORDER BY 1").fetchall()
    return [page for (page,) in rows]


async def test_a_file_whose_tables_or_indexes_are_damaged_where_they_begin_is_refused(
    path: Path, tmp_path: Path
) -> None:
    await filled(path)
    pages = pages_where_something_begins(path)
    assert len(pages) > 15
    for page in pages:
        copy = tmp_path / f"damaged-{page}.db"
        shutil.copy(path, copy)
        damage(copy, page, page)
        with pytest.raises(ConfigurationError, match=r"it is damaged: restore it from a backup, .*\.recover"):
            async with SqliteJobStore(copy):  # if it does start, it is stopped
                pass


async def test_damage_that_is_met_later_is_one_error_in_the_log_that_says_what_to_do(
    store: SqliteJobStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.stop()
    pages = await filled(path)
    await store.start()
    damage(path, 2, pages)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="it is damaged: restore it from a backup") as caught:
            await store.list_jobs(limit=1000)
        assert caught.value.retry_after_seconds == 60
        with pytest.raises(UnavailableError, match="it is damaged: restore it from a backup"):
            await store.get("job-250")
    assert len(errors(caplog)) == 1
    assert ".recover" in errors(caplog)[0]
