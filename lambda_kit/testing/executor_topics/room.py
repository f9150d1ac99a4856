"""How many jobs run at once, and what happens to more."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.errors import QueueFullError
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import LONG_SECONDS
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["RoomPromises"]


class RoomPromises(ExecutorPromises):
    """How many jobs run at once."""

    async def test_as_many_as_its_capacity_run_at_once(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(self.capacity or 20):
                assert executor.has_room()
                await stage.submit(f"job-{n}")
            for job in stage.jobs.values():
                await job.has_come()
            assert executor.has_room() is (self.capacity is None)

    async def test_a_full_executor_refuses_a_job_and_keeps_nothing_of_it(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            jobs = await stage.running(size)
            for n in range(3):
                with pytest.raises(QueueFullError):
                    await stage.submit(f"refused-{n}")
            assert not await executor.cancel("refused-0")
            assert executor.stats().running == size
            for job in jobs:
                job.let_go()
            assert await executor.drain(20)
            assert stage.begun == [job.id for job in jobs]
            assert all(not stage.jobs[f"refused-{n}"].hellos for n in range(3))
            await stage.hand_over(stage.jobs["refused-1"])  # it may come again
            await stage.jobs["refused-1"].has_come()

    async def test_a_job_that_is_being_claimed_has_a_place(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            stage.may_claim.clear()
            for n in range(size):
                await stage.submit(f"job-{n}")
            assert not executor.has_room()
            with pytest.raises(QueueFullError):
                await stage.submit("refused")

    async def test_it_says_when_it_has_room_again(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            jobs = await stage.running(size)
            for n in range(3):
                stage.room.clear()
                jobs.pop(0).let_go()
                await asyncio.wait_for(stage.room.wait(), LONG_SECONDS)
                assert executor.has_room()
                jobs.append(await stage.submit(f"next-{n}"))
                await jobs[-1].has_come()
                assert not executor.has_room()

    async def test_never_more_than_its_capacity_run_at_once(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            for n in range(size * 10):
                job = stage.job(f"job-{n}")
                job.let_go()
                await stage.until_room()
                await stage.hand_over(job)
            assert await executor.drain(20)
            assert stage.most_at_once <= size
            assert len(stage.begun) == size * 10
