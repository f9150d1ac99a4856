"""How a job is asked to end."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import HeldStore, until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["CancelPromises"]


class CancelPromises(ExecutorPromises):
    """How a job is asked to end."""

    async def test_a_cancelled_job_that_waits_never_starts(self, executor: Executor) -> None:
        async with self.stage(executor, max_concurrency=1) as stage:
            (first,) = await stage.running(1)
            job = await stage.submit("a")
            assert (await job.cancel()).status is JobStatus.CANCELLED
            first.let_go()
            assert await first.end() == first.result
            await stage.runs_another()
            assert job.hellos == []
            assert "a" not in stage.begun

    async def test_a_cancelled_job_that_is_being_claimed_never_starts(self, executor: Executor) -> None:
        store = HeldStore()
        async with self.stage(executor, store=store, max_concurrency=1) as stage:
            (first,) = await stage.running(1)
            job = await stage.submit("a")
            store.may_claim.clear()
            first.let_go()
            await until(lambda: "a" in store.claiming)
            await job.cancel()
            store.may_claim.set()
            assert await job.end() is None
            await stage.runs_another()
            assert job.hellos == []

    async def test_a_cancelled_job_that_runs_ends_without_a_result(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            (job,) = await stage.running(1)
            await job.cancel()
            await job.cancel()  # again, while it winds down or has ended: no error
            assert await job.end() is None
            await job.has_gone()
            assert (executor.stats().abandoned_total, executor.stats().worker_losses_total) == (0, 0)
            await stage.runs_another()

    async def test_a_cancel_just_behind_the_start_is_not_lost(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            for n in range(12):
                _, run = stage.new_run(f"job-{n}")
                call = stage.begin(run)
                for _ in range(n // 2 + 1):  # the engine cancels no run that it has not begun
                    await asyncio.sleep(0)
                await executor.cancel(run)
                assert await asyncio.wait_for(call, 20) is None
            await stage.runs_another()

    async def test_a_job_that_is_cancelled_as_soon_as_it_is_submitted_is_cancelled(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(12):
                job = await stage.submit(f"job-{n}")
                for _ in range(n // 2):
                    await asyncio.sleep(0)
                await job.cancel()
                assert await job.end() is None
            await stage.runs_another()

    async def test_one_cancel_leaves_the_others_alone(self, executor: Executor) -> None:
        self.skip_unless_two_run_at_once()
        async with self.stage(executor) as stage:
            first, second = await stage.running(2)
            await first.cancel()
            assert await first.end() is None
            assert not second.is_gone.is_set()
            second.let_go()
            assert await second.end() == second.result

    async def test_a_tool_that_does_not_listen_may_still_end_by_itself(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            job, run, call = await stage.running("a", is_deaf=True)
            await executor.cancel(run)
            await asyncio.sleep(0)
            assert not call.done()
            job.let_go()
            assert await asyncio.wait_for(call, 20) in (None, job.result)
            await stage.runs_another()

    async def test_to_cancel_what_has_ended_or_was_never_begun_is_no_error(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            _, never = stage.new_run("never")
            await executor.cancel(never)
            job, run, call = await stage.running("a")
            job.let_go()
            assert await asyncio.wait_for(call, 20) == job.result
            await executor.cancel(run)
            await stage.runs_another()

    async def test_a_race_of_cancel_and_end_has_one_story(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(20):
                job = await stage.submit(f"job-{n}")
                if n % 2:
                    await job.has_come()
                job.let_go()
                await job.cancel()
                assert await job.end() in (None, job.result)
                assert (await job.told())[-1] == (await job.record()).status
            await until(lambda: executor.stats().running == 0)
            await stage.runs_another()
