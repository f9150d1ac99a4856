"""How workers are started again, and what becomes of jobs meanwhile."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another process does it

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lambda_kit import JobFailedError, LambdaTool
from lambda_kit.core.model.job import Failure, FailureKind, JobStatus, Payload
from lambda_kit.testing.executor_jobs import HeldStore
from lambda_kit.testing.executor_stage import Stage
from tests.executors.process_tools import Order
from tests.executors.processes import LONG_SECONDS, a_server, an_executor, until, workers_here


class Fragile(LambdaTool):
    """Has trouble as the files in a folder say."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self) -> None:
        with Path(self.folder, "starts").open("a") as file:
            file.write(f"{time.monotonic()}\n")
        while self._has("held"):
            time.sleep(0.001)
        if self._has("broken"):
            raise RuntimeError("broken meanwhile")
        if self._has("doomed"):
            threading.Timer(0.01, os._exit, [3]).start()

    def run(self, req: Order) -> int:
        if self._has("deadly"):
            os._exit(3)
        return os.getpid()

    def _has(self, name: str) -> bool:
        return Path(self.folder, name).exists()


def _starts(folder: Path) -> list[float]:
    return [float(line) for line in (folder / "starts").read_text().splitlines()]


async def test_a_job_that_was_taken_does_not_wait_for_a_worker_that_can_not_be_started(tmp_path: Path) -> None:
    executor, store = an_executor(), HeldStore()
    async with Stage(executor, Fragile(str(tmp_path)), store=store) as stage, asyncio.timeout(LONG_SECONDS):
        store.may_claim.clear()
        early, late = stage.job("early"), stage.job("late")
        submit = asyncio.create_task(stage.hand_in(early))
        await until(lambda: store.claiming == ["early"])
        (tmp_path / "broken").touch()
        (tmp_path / "held").touch()
        (victim,) = workers_here()
        os.kill(victim, signal.SIGKILL)
        await until(lambda: executor.stats().worker_losses_total == 1)
        assert executor.capacity == 0
        store.may_claim.set()
        await submit
        await until(lambda: workers_here() - {victim})
        assert not await early.is_final()  # its worker is being started
        (tmp_path / "held").unlink()
        outcome = await early.end()
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.WORKER_LOST
        assert "setup failed: RuntimeError: broken meanwhile" in outcome.message
        await stage.hand_in(late)
        assert (await late.record()).status is JobStatus.PENDING
        (tmp_path / "broken").unlink()
        assert isinstance(await late.end(), Payload)


async def test_a_job_that_is_claimed_after_a_start_has_failed_ends_at_once(tmp_path: Path) -> None:
    executor, store = an_executor(), HeldStore()
    async with Stage(executor, Fragile(str(tmp_path)), store=store) as stage, asyncio.timeout(LONG_SECONDS):
        store.may_claim.clear()
        job = stage.job("a")
        submit = asyncio.create_task(stage.hand_in(job))
        await until(lambda: store.claiming)
        (tmp_path / "broken").touch()
        os.kill(workers_here().pop(), signal.SIGKILL)
        while "broken meanwhile" not in str(await executor.why_not_ready()):
            await asyncio.sleep(0.01)
        store.may_claim.set()
        await submit
        outcome = await job.end()
        assert isinstance(outcome, Failure)
        assert outcome.kind is FailureKind.WORKER_LOST


async def test_workers_that_die_as_soon_as_they_are_up_are_started_ever_more_slowly(tmp_path: Path) -> None:
    executor = an_executor()
    async with a_server(Fragile(str(tmp_path)), executor=executor) as server, asyncio.timeout(60):
        (tmp_path / "doomed").touch()
        os.kill(workers_here().pop(), signal.SIGKILL)
        await until(lambda: executor.stats().worker_losses_total >= 4)
        (tmp_path / "doomed").unlink()
        first, second, third = _starts(tmp_path)[1:4]  # on a slow machine one more may have been started meanwhile
        assert second - first >= 1  # the pauses were not shorter, however slow the machine is
        assert third - second >= 2
        assert await server.run_tool("fragile", Order()) in workers_here()


async def test_workers_that_finish_jobs_before_they_die_are_replaced_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_server(Fragile(str(tmp_path))) as server, asyncio.timeout(LONG_SECONDS):
        for _ in range(3):
            await server.run_tool("fragile", Order())
            (tmp_path / "deadly").touch()
            with pytest.raises(JobFailedError, match="worker-lost"):
                await server.run_tool("fragile", Order())
            (tmp_path / "deadly").unlink()
    said = [record.getMessage() for record in caplog.records if "starting another" in record.getMessage()]
    assert len(said) == 3
    assert all(line.endswith("starting another in 0 s") for line in said)
