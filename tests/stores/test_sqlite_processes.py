"""Several processes use one SQLite file as their job store, and one of them is killed."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lambda_kit import Job, JobStatus, SqliteJobStore
from lambda_kit.core.model.job import Payload
from tests.support import sqlite_process

REQUEST = Payload(b"{}", "application/json")
LONG_SECONDS = 60.0


def a_job(job_id: str) -> Job:
    return Job(id=job_id, tool="greet", requested_at=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_stores_that_open_a_new_file_at_once_all_can(path: Path) -> None:
    command = [sys.executable, sqlite_process.__file__, "open", str(path)]
    processes = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(3)]
    stores = [SqliteJobStore(path) for _ in range(8)]
    try:
        await asyncio.gather(*(store.start() for store in stores))
        await asyncio.gather(*(store.create(a_job(f"job-{n}"), REQUEST) for n, store in enumerate(stores)))
        said = [await process.communicate() for process in processes]
        assert [stdout for stdout, _ in said] == [b"fine\n"] * 3
        assert len((await stores[0].list_jobs()).jobs) == 11
    finally:
        for store in stores:
            await store.stop()


@pytest.mark.parametrize("seconds", [2, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
async def test_four_processes_write_to_one_file_and_no_update_is_lost(path: Path, seconds: int) -> None:
    shared = sqlite_process.SHARED
    races = [f"race-{n}" for n in range(1, 501)]
    async with SqliteJobStore(path, event_log_size=1_000_000) as store:
        await store.create(a_job(shared), REQUEST)
        await store.claim(shared, worker_id="w", lease_seconds=1e6)
        await asyncio.gather(*(store.create(a_job(job_id), REQUEST) for job_id in races))
        command = [sys.executable, sqlite_process.__file__, "share", str(path)]
        processes = [
            await asyncio.create_subprocess_exec(*command, f"p{n}", str(seconds), stdout=subprocess.PIPE)
            for n in range(4)
        ]
        outputs = [(await process.communicate())[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4
        told = [json.loads(output) for output in outputs]
        finished = [job_id for one in told for job_id in one["finished"]]
        assert all(len(one["finished"]) > 0 for one in told)
        for job_id in finished:
            assert await store.get_result(job_id) == sqlite_process.BODY
        claimed = [job_id for one in told for job_id in one["claimed"]]
        assert len(claimed) == len(set(claimed))
        page = await store.read_events(shared, limit=1_000_000)
        assert page is not None
        assert [event.seq for event in page.events] == list(range(1, page.last_seq + 1))
        reported = sorted(event.body.decode() for event in page.events if event.body)
        assert reported == sorted(mark for one in told for mark in one["reported"])


async def test_what_was_acknowledged_before_a_kill_is_there(path: Path) -> None:
    command = [sys.executable, sqlite_process.__file__, "endless", str(path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(LONG_SECONDS):
        acknowledged = [await process.stdout.readline() for _ in range(500)]
    process.kill()
    acknowledged += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    names = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]
    async with SqliteJobStore(path) as store:
        for job_id in names:
            assert await store.get_result(job_id) == sqlite_process.BODY
        for job in (await store.list_jobs(limit=1000)).jobs:  # those it was busy with are whole
            page = await store.read_events(job.id)
            assert page is not None
            assert page.events[-1].status is job.status
            assert (await store.get_result(job.id) is not None) == (job.status is JobStatus.SUCCEEDED)
