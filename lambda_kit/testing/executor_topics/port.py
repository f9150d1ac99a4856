"""What the engine relies on: the executor alone, without it."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import msgspec

from lambda_kit.core.model.job import Failure, FailureKind
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import in_time
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["PortPromises"]


class PortPromises(ExecutorPromises):
    """What the engine relies on."""

    async def test_a_run_returns_its_outcome(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            job, _, call = await stage.running("good")
            assert not call.done()
            job.let_go()
            assert await in_time(call) == job.result
            job, _, call = await stage.running("bad", raises="ValueError")
            job.let_go()
            outcome = await in_time(call)
            assert isinstance(outcome, Failure)
            assert outcome.kind is FailureKind.INVALID_VALUE
            _, run, call = await stage.running("unwanted")
            await executor.cancel(run)
            assert await in_time(call) is None

    async def test_all_events_have_been_emitted_when_a_run_returns(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            for n, raises in enumerate([None, "RuntimeError"]):
                job, run = stage.new_run(f"job-{n}", events=50, raises=raises)
                job.let_go()
                await in_time(stage.begin(run))
                told = [(event.progress, msgspec.json.decode(event.body)["options"]["done"]) for event in run.events]
                assert [(progress and progress.done, done) for progress, done in told] == [(n, n) for n in range(100)]

    async def test_a_run_has_the_attempt_and_the_deadline_of_its_record(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            job, _, _ = await stage.running("a", attempt=3, started_at=4_000_000_000.0, time_limit_seconds=0.5)
            assert (job.hellos[0].attempt, job.hellos[0].deadline) == (3, 4_000_000_000.5)

    async def test_two_runs_of_one_job_are_told_apart(self, executor: Executor) -> None:
        """The first one lost its lease, and still winds down."""
        self.skip_unless_two_run_at_once()
        async with self.port(executor) as stage:
            first_job, first, first_call = await stage.running("again")
            second_job, _, second_call = await stage.running("again", attempt=2)
            await executor.cancel(first)
            assert await in_time(first_call) is None
            await first_job.has_gone()
            assert not second_call.done()
            second_job.let_go()
            assert await in_time(second_call) == second_job.result

    async def test_its_capacity_is_as_declared(self, executor: Executor) -> None:
        async with self.port(executor) as stage:
            assert executor.capacity == executor.stats().capacity == self.capacity
            for n in range(self.some):
                await stage.running(f"job-{n}")
            assert executor.capacity == self.capacity
            assert executor.stats().running == self.some
