"""A step of the wall clock ends nothing: neither a lease nor what is kept."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_kit import Job, JobStatus, JobStore, MemoryJobStore, SqliteJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease

STEP = 10_000.0
BODY = Payload(b"{}", "application/json")
STORES: dict[str, Callable[[Path], JobStore]] = {
    "memory": lambda _folder: MemoryJobStore(),
    "sqlite": lambda folder: SqliteJobStore(folder / "jobs.db"),
}


@pytest.mark.parametrize("step", [STEP, -STEP], ids=["ahead", "back"])
@pytest.mark.parametrize("kind", STORES)
async def test_a_step_of_the_wall_clock_ends_no_lease_and_no_job(
    kind: str, step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_time = time.time
    async with STORES[kind](tmp_path) as store:
        await store.heartbeat("w", lease_seconds=1000.0)
        for job_id in ("runs", "done"):
            await store.create(Job(id=job_id, tool="t", requested_at=0.0), BODY)
            assert await store.claim(job_id, worker_id="w", lease_seconds=1000.0)
        await store.finish(Lease("done", 1), BODY)

        monkeypatch.setattr(time, "time", lambda: real_time() + step)
        assert await store.reap() == []
        assert await store.purge() == 0
        assert (await store.get("done")) is not None
        assert (await store.finish(Lease("runs", 1), BODY)).status is JobStatus.SUCCEEDED


async def test_a_process_that_comes_after_a_step_has_the_time_of_those_that_use_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_time = time.time
    async with SqliteJobStore(tmp_path / "jobs.db") as first:
        await first.heartbeat("w", lease_seconds=1000.0)
        monkeypatch.setattr(time, "time", lambda: real_time() + STEP)
        async with SqliteJobStore(tmp_path / "jobs.db") as second:
            assert second.now() == pytest.approx(first.now(), abs=60.0)
        await first.expire_worker("w")
    async with SqliteJobStore(tmp_path / "jobs.db") as alone:  # nobody has the file open: the wall clock is right
        assert alone.now() == pytest.approx(real_time() + STEP, abs=60.0)
