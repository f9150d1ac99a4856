"""How a run is ended that does not end when asked to."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import pytest

from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["KillPromises"]


class KillPromises(ExecutorPromises):
    """How a run is ended by force."""

    @pytest.mark.parametrize("is_asked", [True, False])
    async def test_after_a_kill_there_is_room(self, executor: Executor, is_asked: bool) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.capacity or 2, is_deaf=True)
            if is_asked:
                assert await executor.cancel(jobs[0].id)
            await executor.kill(jobs[0].id)
            await stage.until_room()
            await stage.runs_another()
            for job in jobs[1:]:
                assert not job.is_gone.is_set()
                job.let_go()
                assert await job.end() == job.result

    async def test_all_can_be_killed_one_after_another(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.capacity or 2, is_deaf=True)
            for job in jobs:
                await executor.cancel(job.id)
                await executor.kill(job.id)
                await executor.kill(job.id)  # again: no error
            assert await executor.drain(20)
            for n in range(len(jobs)):
                await stage.until_room()
                await stage.runs_another(f"another-{n}")

    async def test_the_killed_run_ends_or_is_counted_as_abandoned(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            (job,) = await stage.running(1, is_deaf=True)
            await executor.cancel(job.id)
            await executor.kill(job.id)
            assert await executor.drain(20)
            stats = executor.stats()
            assert stats.running == 0
            if self.kills:
                await job.has_gone()
                assert not isinstance(await job.end(), Payload)
                assert (stats.abandoned, stats.abandoned_total) == (0, 0)
                return
            assert not job.is_gone.is_set()
            assert (stats.abandoned, stats.abandoned_total) == (1, 1)
            job.let_go()
            await until(lambda: executor.stats().abandoned == 0)
            assert executor.stats().abandoned_total == 1
            await stage.runs_another()

    async def test_to_kill_what_it_does_not_know_is_no_error(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            await executor.kill("nowhere")
            await stage.runs_another("a")
            assert await executor.drain(20)
            await executor.kill("a")
            stats = executor.stats()
            assert (stats.running, stats.abandoned_total, stats.worker_losses_total) == (0, 0, 0)
            await stage.until_room()
            await stage.runs_another()
