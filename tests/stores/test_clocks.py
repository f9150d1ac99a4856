"""Leases go by the clock of the store's server: that of no other machine ends anybody's jobs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_kit import Job, JobStatus
from lambda_kit.core.ports.store import Lease
from lambda_kit.core.ports.store_clock import StoreClock
from lambda_kit.core.runtime.steady_clock import boot_seconds
from tests.support.redis_jobs import REQUEST, RESULT
from tests.support.store_opener import Opener, opener

MINUTES = 600.0


@pytest.fixture(params=["redis", "postgres"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opener(request.param, tmp_path) as new_store:
        yield new_store


@pytest.mark.parametrize("offset", [MINUTES, -MINUTES], ids=["ahead", "behind"])
async def test_machines_whose_clocks_differ_by_minutes_leave_each_other_their_jobs(
    new_store: Opener, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    real_time = time.time
    async with new_store() as right:
        await right.heartbeat("right", lease_seconds=60.0)
        for job_id in ("runs", "waits"):
            await right.create(Job(id=job_id, tool="t", requested_at=0.0, assigned_worker="right"), REQUEST)
        assert await right.claim("runs", worker_id="right", lease_seconds=60.0)
        assert await right.acquire_slot("slot", "right runs", limit=1, lease_seconds=60.0)

        monkeypatch.setattr(time, "time", lambda: real_time() + offset)
        async with new_store() as wrong:
            await wrong.heartbeat("wrong", lease_seconds=60.0)
            assert wrong.now() == pytest.approx(real_time(), abs=30.0)
            assert await wrong.reap() == []
            assert await wrong.adopt("wrong", tools=["t"]) == []
            assert not await wrong.acquire_slot("slot", "wrong x", limit=1, lease_seconds=60.0)
            await wrong.create(Job(id="theirs", tool="t", requested_at=0.0), REQUEST)
            claim = await wrong.claim("theirs", worker_id="wrong", lease_seconds=60.0)
            assert claim is not None
            assert claim.job.started_at == pytest.approx(real_time(), abs=30.0)
            assert claim.job.lease_expires_at == pytest.approx(real_time() + 60.0, abs=30.0)

            monkeypatch.setattr(time, "time", real_time)
            assert await right.reap() == []
            assert (await right.finish(Lease("runs", 1), RESULT)).status is JobStatus.SUCCEEDED
            ended = await wrong.finish(Lease("theirs", 1), RESULT)
            assert ended.expires_at == pytest.approx(real_time() + ended.ttl_seconds, abs=30.0)


def test_the_time_of_the_server_goes_on_from_what_it_said_last() -> None:
    clock = StoreClock()
    clock.sample(1000.0, asked_at=boot_seconds())
    assert clock() == pytest.approx(1000.0, abs=10.0)
    clock.sample(5000.0, asked_at=boot_seconds() - 10.0)  # it took too long to be sure
    assert clock() == pytest.approx(1000.0, abs=10.0)
    clock.sample(2000.0, asked_at=boot_seconds())
    assert clock() == pytest.approx(2000.0, abs=10.0)


def test_a_clock_that_is_given_is_the_clock() -> None:
    clock = StoreClock(lambda: 7.0)
    clock.sample(1000.0, asked_at=boot_seconds())
    assert clock() == 7.0
