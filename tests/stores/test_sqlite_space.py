"""The store in an SQLite file on a full disk, and with what is too large for it."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_kit import Job, PayloadTooLargeError, SqliteJobStore, UnavailableError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease

REQUEST = Payload(b"{}", "application/json")
BIG = Payload(b"x" * 100_000, "application/octet-stream")


def a_job(job_id: str) -> Job:
    return Job(id=job_id, tool="greet", requested_at=0.0)


async def ids(store: SqliteJobStore) -> set[str]:
    return {job.id for job in (await store.list_jobs(limit=1000)).jobs}


async def fill(store: SqliteJobStore) -> set[str]:
    """Create jobs until the disk is full; returns those that were acknowledged."""
    acknowledged: set[str] = set()
    for n in range(1000):
        jobs = [a_job(f"job-{n}-{m}") for m in range(4)]
        answers = await asyncio.gather(*(store.create(job, BIG) for job in jobs), return_exceptions=True)
        acknowledged |= {job.id for job, a in zip(jobs, answers, strict=True) if not isinstance(a, BaseException)}
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        if refused:
            assert [type(answer) for answer in refused] == [UnavailableError] * len(refused), refused
            assert "full" in str(refused[0])
            return acknowledged
    raise AssertionError("the disk was not filled")


async def goes_on(store: SqliteJobStore, acknowledged: set[str]) -> None:
    """Nothing was lost, and it works again."""
    assert await ids(store) == acknowledged
    assert (await store.create(a_job("more"), BIG)).is_new
    for job_id in sorted(acknowledged):
        claim = await store.claim(job_id, worker_id="w", lease_seconds=60)
        assert claim is not None
        assert claim.request == BIG
        await store.finish(Lease(job_id, claim.job.lease_token), REQUEST)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """The connections that are opened in the test. The first is the one that writes."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connect_and_note(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    return opened


async def test_a_database_that_can_not_grow_refuses_jobs_and_goes_on(
    tmp_path: Path, connections: list[sqlite3.Connection]
) -> None:
    async with SqliteJobStore(tmp_path / "jobs.db") as store:
        connections[0].execute("PRAGMA max_page_count = 400").fetchone()
        acknowledged = await fill(store)
        assert acknowledged
        assert await ids(store) == acknowledged
        connections[0].execute("PRAGMA max_page_count = 100000").fetchone()
        await goes_on(store, acknowledged)


async def test_after_an_error_of_the_disk_it_opens_the_file_again_and_goes_on(tmp_path: Path) -> None:
    async with SqliteJobStore(tmp_path / "jobs.db") as store:
        await store.create(a_job("a"), BIG)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "jobs.db-wal").stat().st_size, limits[1]))
        try:
            for _ in range(3):
                with pytest.raises(UnavailableError, match=r"jobs\.db"):
                    await store.create(a_job("b"), BIG)
            assert await ids(store) == {"a"}
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await goes_on(store, {"a"})
    async with SqliteJobStore(tmp_path / "jobs.db") as store:
        assert await ids(store) == {"a", "more"}


async def test_what_is_too_large_for_a_row_is_refused(tmp_path: Path, connections: list[sqlite3.Connection]) -> None:
    async with SqliteJobStore(tmp_path / "jobs.db") as store:
        connections[0].setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
        larger = Payload(b"x" * 1_000_001, "application/octet-stream")
        creates = (store.create(a_job("large"), larger), store.create(a_job("small"), BIG))
        refused, created = await asyncio.gather(*creates, return_exceptions=True)
        assert isinstance(refused, PayloadTooLargeError)
        assert not isinstance(created, BaseException)
        assert await ids(store) == {"small"}
        claim = await store.claim("small", worker_id="w", lease_seconds=60)
        assert claim is not None
        with pytest.raises(PayloadTooLargeError):
            await store.finish(Lease("small", 1), larger)
        assert await store.get("small") == claim.job


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can't be mounted: run the tests as root")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


async def test_a_full_disk_refuses_jobs_and_loses_none_and_it_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 21_000_000)
    async with SqliteJobStore(small_disk / "jobs.db") as store:
        acknowledged = await fill(store)
        assert acknowledged
        assert await ids(store) == acknowledged
        ballast.unlink()
        await goes_on(store, acknowledged)
    async with SqliteJobStore(small_disk / "jobs.db") as store:
        assert await ids(store) == {*acknowledged, "more"}


async def test_a_store_can_not_be_made_on_a_full_disk_and_can_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65536):
            pass
    store = SqliteJobStore(small_disk / "jobs.db")
    with pytest.raises(UnavailableError):
        await store.start()
    ballast.unlink()
    async with store:
        assert (await store.create(a_job("a"), REQUEST)).is_new
