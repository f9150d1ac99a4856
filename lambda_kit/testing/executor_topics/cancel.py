"""How a job is asked to end."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["CancelPromises"]


class CancelPromises(ExecutorPromises):
    """How a job is asked to end."""

    async def test_a_cancelled_job_that_was_not_begun_never_starts(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stage.may_claim.clear()
            job = await stage.submit("a")
            assert await executor.cancel("a")
            stage.may_claim.set()
            assert await executor.drain(20)
            assert job.hellos == []
            assert job.outcomes in ([], [None])
            await stage.until_room()
            await stage.runs_another()

    async def test_a_cancelled_job_that_runs_ends_without_a_result(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            (job,) = await stage.running(1)
            assert await executor.cancel(job.id)
            await executor.cancel(job.id)  # again, while it winds down or has ended: no error
            assert await job.end() is None
            await job.has_gone()
            assert await executor.drain(20)
            await stage.until_room()
            await stage.runs_another()

    async def test_a_cancel_just_behind_the_start_is_not_lost(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(12):
                job = await stage.submit(f"job-{n}")
                for _ in range(n // 2):  # somewhere between it being taken and its run
                    await asyncio.sleep(0)
                assert await executor.cancel(job.id)
                assert await executor.drain(20)
                assert job.outcomes in ([], [None])
                await stage.until_room()
            await stage.runs_another()

    async def test_one_cancel_leaves_the_others_alone(self, executor: Executor) -> None:
        self.skip_unless_two_run_at_once()
        async with self.stage(executor) as stage:
            first, second = await stage.running(2)
            assert await executor.cancel(first.id)
            assert await first.end() is None
            assert not second.is_gone.is_set()
            second.let_go()
            assert await second.end() == second.result

    async def test_a_tool_that_does_not_listen_may_still_end_by_itself(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            (job,) = await stage.running(1, is_deaf=True)
            assert await executor.cancel(job.id)
            assert not job.is_ended.is_set()
            job.let_go()
            assert await job.end() in (None, job.result)
            assert await executor.drain(20)

    async def test_a_job_that_it_does_not_know_can_not_be_cancelled(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            assert not await executor.cancel("nowhere")
            await stage.runs_another("a")
            assert await executor.drain(20)
            assert not await executor.cancel("a")

    async def test_a_race_of_cancel_and_end_has_one_story(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(20):
                job = await stage.submit(f"job-{n}")
                if n % 2:
                    await job.has_come()
                job.let_go()
                await executor.cancel(job.id)
                assert await executor.drain(20)
                assert job.outcomes in ([], [None], [job.result])
                assert isinstance(job.result, Payload)
                await stage.until_room()
            await until(lambda: executor.stats().running == 0)
            await stage.runs_another()
