"""A job that one server takes and another one runs, which has the executor: they share a store, and nothing else."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from pathlib import Path

from lambda_kit.core.model.job import Failure, JobStatus
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["TwoServerPromises"]


class TwoServerPromises(ExecutorPromises):
    """A job that one server takes and another one runs."""

    async def test_results_and_events_reach_the_server_that_took_the_job(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        async with self.stage(executor, shared_file=tmp_path / "jobs.db") as stage:
            job = await stage.submit("a", events=3)
            await job.has_come()
            assert (await job.record()).status is JobStatus.EXECUTING
            job.let_go()
            assert await job.end() == job.result
            assert await job.told() == ["pending", "executing", *range(6), "succeeded"]
            assert stage.begun == ["a"]

    async def test_failures_reach_it_too(self, executor: Executor, tmp_path: Path) -> None:
        async with self.stage(executor, shared_file=tmp_path / "jobs.db") as stage:
            job = stage.job("bad", raises="ValueError")
            job.let_go()
            await stage.hand_in(job)
            outcome = await job.end()
            assert isinstance(outcome, Failure)
            assert outcome.message == "a bad value"

    async def test_a_cancel_reaches_the_server_that_runs_the_job(self, executor: Executor, tmp_path: Path) -> None:
        async with self.stage(executor, shared_file=tmp_path / "jobs.db") as stage:
            jobs = await stage.running(self.some)
            await jobs[0].cancel()
            assert await jobs[0].end() is None
            await jobs[0].has_gone()
            for job in jobs[1:]:
                assert not job.is_gone.is_set()
                job.let_go()
                assert await job.end() == job.result
            await stage.runs_another()

    async def test_jobs_over_the_capacity_wait_in_the_store(self, executor: Executor, tmp_path: Path) -> None:
        size = self.full()
        async with self.stage(executor, shared_file=tmp_path / "jobs.db") as stage:
            jobs = await stage.running(size)
            more = [await stage.submit(f"waits-{n}") for n in range(size)]
            assert [(await job.record()).status for job in more] == [JobStatus.PENDING] * size
            for job in [*jobs, *more]:
                job.let_go()
            for job in [*jobs, *more]:
                assert await job.end() == job.result
            assert stage.most_at_once <= size
