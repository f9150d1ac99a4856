"""How an executor starts, stops and starts again, and what it says of itself."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import JobStatus, Payload
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import LONG_SECONDS, HeldStore, in_time, until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["LifePromises"]


class LifePromises(ExecutorPromises):
    """How an executor starts, stops and starts again."""

    async def test_a_stop_cancels_what_runs(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            runs = [await stage.running(f"job-{n}") for n in range(self.some)]
            await in_time(executor.stop())
            for job, _, call in runs:
                assert await in_time(call) is None
                await job.has_gone()
            assert executor.stats().running == 0

    async def test_a_stop_does_not_wait_for_ever_for_a_tool_that_does_not_listen(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            runs = [await stage.running(f"job-{n}", is_deaf=True) for n in range(self.some)]
            await in_time(executor.stop())
            assert executor.stats().running == 0
            for job, _, call in runs:
                if self.kills:
                    await job.has_gone()
                    assert not isinstance(await in_time(call), Payload)

    async def test_a_stop_is_safe_twice_and_before_a_start(self, executor: Executor) -> None:
        await in_time(executor.stop())
        async with self.port(executor) as stage:
            _, _, call = await stage.running("a")
            await in_time(executor.stop())
            await in_time(executor.stop())
            assert await in_time(call) is None
            assert executor.stats().running == 0

    async def test_it_can_be_started_again(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            for n in range(2):
                await stage.runs_another(f"done-{n}")
                _, _, call = await stage.running(f"left-{n}")
                await in_time(executor.stop())
                assert await in_time(call) is None
                await in_time(executor.start(stage))
                assert executor.capacity == self.capacity
            await stage.runs_another("last")

    async def test_it_can_be_started_again_on_another_event_loop(self, executor: Executor) -> None:
        async def use() -> None:
            async with self.stage(executor) as stage:
                (job,) = await stage.running(1)
                job.let_go()
                assert await job.end() == job.result

        for _ in range(2):
            await asyncio.to_thread(asyncio.run, use())

    @pytest.mark.parametrize("is_deaf", [False, True])
    async def test_a_server_that_stops_ends_its_jobs_and_can_be_started_again(
        self, executor: Executor, is_deaf: bool
    ) -> None:
        store = HeldStore()
        async with self.stage(executor, store=store, cancel_seconds=0.1 if is_deaf else 5.0) as stage:
            jobs = await stage.running(self.some, is_deaf=is_deaf)
            await in_time(stage.server.__aexit__())
            for job in jobs:
                record = await store.get(job.id)
                assert record is not None
                assert record.status is JobStatus.CANCELLED
                if self.kills or not is_deaf:
                    await job.has_gone()
            assert executor.stats().running == 0
            await in_time(stage.server.__aenter__())
            await stage.runs_another()

    async def test_a_server_that_stops_does_not_wait_for_ever_for_a_claim(self, executor: Executor) -> None:
        store = HeldStore()
        async with self.stage(executor, store=store, max_concurrency=1, cancel_seconds=0.1) as stage:
            (first,) = await stage.running(1)
            job = await stage.submit("a")
            store.may_claim.clear()
            first.let_go()
            await until(lambda: "a" in store.claiming)
            await in_time(stage.server.__aexit__())
            assert executor.stats().running == 0
            assert job.hellos == []
            store.may_claim.set()
            await in_time(stage.server.__aenter__())
            await stage.runs_another()
            assert job.hellos == []

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
                await job.end()
            await until(lambda: executor.stats().running == 0)
            stats = executor.stats()
            assert (stats.running, stats.abandoned, stats.abandoned_total, stats.worker_losses_total) == (0, 0, 0, 0)

    async def test_it_is_ready_once_it_has_started(self, executor: Executor) -> None:
        async with self.stage(executor) as stage, asyncio.timeout(LONG_SECONDS):
            assert await executor.why_not_ready() is None
            assert await stage.server.why_not_ready() is None
            await stage.running(self.some)
            assert await executor.why_not_ready() is None
            assert await stage.server.why_not_ready() is None
