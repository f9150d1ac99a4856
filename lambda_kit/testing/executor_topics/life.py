"""How an executor starts, waits, stops and starts again."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["LifePromises"]


class LifePromises(ExecutorPromises):
    """How an executor starts, waits, stops and starts again."""

    async def test_an_idle_executor_is_drained(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            assert await executor.drain(0)
            assert await executor.drain()
            await stage.runs_another()
            assert await executor.drain()
            assert await executor.drain(0)

    async def test_a_drain_waits_for_what_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some)
            assert not await executor.drain(0)
            for job in jobs[:-1]:
                job.let_go()
                await job.end()
            assert not await executor.drain(0.01)
            drain = asyncio.create_task(executor.drain())
            jobs[-1].let_go()
            assert await asyncio.wait_for(drain, 20)
            assert all(job.outcomes == [job.result] for job in jobs)

    async def test_a_drain_waits_for_what_is_being_claimed(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stage.may_claim.clear()
            job = await stage.submit("a")
            assert not await executor.drain(0.01)
            job.let_go()
            stage.may_claim.set()
            assert await executor.drain(20)
            assert job.outcomes == [job.result]

    async def test_a_stop_cancels_what_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some)
            async with asyncio.timeout(20):
                await executor.stop()
            assert [job.outcomes for job in jobs] == [[None]] * len(jobs)
            assert executor.stats().running == 0
            for job in jobs:
                await job.has_gone()
            assert await executor.drain(0)

    async def test_a_stop_does_not_wait_for_ever_for_a_tool_that_does_not_listen(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some, is_deaf=True)
            async with asyncio.timeout(20):
                await executor.stop()
            assert executor.stats().running == 0
            assert await executor.drain(0)
            assert all(not isinstance(outcome, Payload) for job in jobs for outcome in job.outcomes)
            if self.kills:
                for job in jobs:
                    await job.has_gone()

    async def test_a_stop_does_not_wait_for_ever_for_a_claim(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stage.may_claim.clear()
            job = await stage.submit("a")
            await until(lambda: stage.begun)
            async with asyncio.timeout(20):
                await executor.stop()
            assert executor.stats().running == 0
            await until(lambda: stage.open_runs == 0)  # nothing that it has begun is left
            assert (job.hellos, job.outcomes) == ([], [])

    async def test_a_stop_is_safe_twice_and_before_a_start(self, executor: Executor) -> None:
        await executor.stop()
        async with self.stage(executor) as stage:
            (job,) = await stage.running(1)
            async with asyncio.timeout(20):
                await executor.stop()
                await executor.stop()
            assert job.outcomes == [None]
            assert executor.stats().running == 0

    async def test_it_can_be_started_again(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(2):
                await stage.runs_another(f"done-{n}")
                await stage.until_room()
                left = await stage.submit(f"left-{n}")
                await left.has_come()
                await executor.stop()
                await executor.start(stage)
                assert executor.has_room()
            await stage.runs_another("last")

    async def test_it_can_be_started_again_on_another_event_loop(self, executor: Executor) -> None:
        async def use() -> None:
            async with self.stage(executor) as stage:
                (job,) = await stage.running(1)
                assert not await executor.drain(0.01)  # it waits on this loop
                job.let_go()
                assert await executor.drain(20)
                assert job.outcomes == [job.result]

        for _ in range(2):
            await asyncio.to_thread(asyncio.run, use())

    async def test_the_stats_say_what_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stats = executor.stats()
            assert (stats.running, stats.capacity) == (0, self.capacity)
            jobs = await stage.running(self.some)
            assert executor.stats().running == len(jobs)
            jobs[0].let_go()
            await jobs[0].end()
            await until(lambda: executor.stats().running == len(jobs) - 1)
            for job in jobs:
                job.let_go()
            assert await executor.drain(20)
            stats = executor.stats()
            assert (stats.running, stats.abandoned, stats.abandoned_total, stats.worker_losses_total) == (0, 0, 0, 0)

    async def test_it_is_ready_once_it_has_started(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            assert await executor.why_not_ready() is None
            await stage.running(self.some)
            assert await executor.why_not_ready() is None
