"""How a run is ended that does not end when asked to."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["KillPromises"]

_SOON_SECONDS = 0.05


class KillPromises(ExecutorPromises):
    """How a run is ended by force."""

    async def test_a_job_that_does_not_end_when_cancelled_is_ended_by_force(self, executor: Executor) -> None:
        async with self.stage(executor, cancel_seconds=_SOON_SECONDS) as stage:
            jobs = await stage.running(self.capacity or 2, is_deaf=True)
            await jobs[0].cancel()
            assert await jobs[0].end() is None
            await stage.runs_another()  # in its place
            for job in jobs[1:]:
                assert not job.is_gone.is_set()
                job.let_go()
                assert await job.end() == job.result

    async def test_all_can_be_killed_one_after_another(self, executor: Executor) -> None:
        async with self.stage(executor, cancel_seconds=_SOON_SECONDS) as stage:
            jobs = await stage.running(self.capacity or 2, is_deaf=True)
            for job in jobs:
                await job.cancel()
            for n, job in enumerate(jobs):
                assert await job.end() is None
                await stage.runs_another(f"another-{n}")

    async def test_the_killed_run_ends_or_is_counted_as_abandoned(self, executor: Executor) -> None:
        async with self.stage(executor, cancel_seconds=_SOON_SECONDS) as stage:
            (job,) = await stage.running(1, is_deaf=True)
            await job.cancel()
            assert await job.end() is None
            await until(lambda: executor.stats().running == 0)
            if self.kills:
                await job.has_gone()
                stats = executor.stats()
                assert (stats.abandoned, stats.abandoned_total) == (0, 0)
                return
            assert not job.is_gone.is_set()
            stats = executor.stats()
            assert (stats.abandoned, stats.abandoned_total) == (1, 1)
            job.let_go()
            await until(lambda: executor.stats().abandoned == 0)
            assert executor.stats().abandoned_total == 1
            assert await job.end() is None  # what it returns is dropped
            await stage.runs_another()

    @pytest.mark.parametrize("is_asked", [True, False])
    async def test_a_kill_returns_at_once_and_makes_room(self, executor: Executor, is_asked: bool) -> None:
        async with self.port(executor) as stage:
            runs = [await stage.running(f"job-{n}", is_deaf=True) for n in range(self.capacity or 2)]
            _, run, call = runs[0]
            if is_asked:
                await executor.cancel(run)
            async with asyncio.timeout(60):
                await executor.kill(run)
                await executor.kill(run)  # again: no error
            await stage.runs_another()
            if self.kills:
                assert not isinstance(await asyncio.wait_for(call, 20), Payload)
            for job, _, other in runs[1:]:
                assert not job.is_gone.is_set()
                job.let_go()
                assert await asyncio.wait_for(other, 20) == job.result

    async def test_to_kill_what_has_ended_or_was_never_begun_is_no_error(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            _, never = stage.new_run("never")
            await executor.kill(never)
            job, run, call = await stage.running("a")
            job.let_go()
            assert await asyncio.wait_for(call, 20) == job.result
            await executor.kill(run)
            stats = executor.stats()
            assert (stats.running, stats.abandoned_total, stats.worker_losses_total) == (0, 0, 0)
            await stage.runs_another()
