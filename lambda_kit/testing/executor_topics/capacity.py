"""How many jobs run at once, and what happens to more."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["CapacityPromises"]


class CapacityPromises(ExecutorPromises):
    """How many jobs run at once."""

    async def test_as_many_as_its_capacity_run_at_once(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            assert executor.capacity == self.capacity
            jobs = await stage.running(self.capacity or 20)
            assert executor.stats().running == len(jobs)
            assert executor.capacity == self.capacity  # how many it can run, not how many more

    async def test_jobs_over_its_capacity_wait_and_are_run_in_turn(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            jobs = [*await stage.running(size), *[await stage.submit(f"waits-{n}") for n in range(3)]]
            assert [(await job.record()).status for job in jobs[size:]] == [JobStatus.PENDING] * 3
            for n in range(3):
                jobs[n].let_go()
                assert await jobs[n].end() == jobs[n].result
                await jobs[size + n].has_come()
                assert all(not job.hellos for job in jobs[size + n + 1 :])
            assert stage.begun == [job.id for job in jobs]

    async def test_never_more_than_its_capacity_run_at_once(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            jobs = [stage.job(f"job-{n}") for n in range(size * 10)]
            for job in jobs:
                job.let_go()
                await stage.hand_in(job)
            for job in jobs:
                assert await job.end() == job.result
            assert stage.most_at_once <= size
            assert len(stage.begun) == size * 10

    async def test_a_job_that_left_the_queue_takes_no_place(self, executor: Executor) -> None:
        size = self.full()
        async with self.stage(executor) as stage:
            jobs = await stage.running(size)
            gone = [await stage.submit(f"gone-{n}") for n in range(size * 3)]
            for job in gone:
                assert (await job.cancel()).status is JobStatus.CANCELLED
            for job in jobs:
                job.let_go()
                await job.end()
            for job in [await stage.submit(f"there-{n}") for n in range(size)]:
                await job.has_come()
                assert executor.stats().running <= size
            assert all(not job.hellos for job in gone)

    async def test_an_idle_executor_runs_nothing(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            assert executor.stats().running == 0
            await stage.runs_another()
            await until(lambda: executor.stats().running == 0)
