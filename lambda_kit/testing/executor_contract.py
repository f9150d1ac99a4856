"""`ExecutorContract`: a test for each promise of the `Executor` port."""
# ruff: noqa: D102, E402 - a contract is made of assertions, and its names are sentences

import asyncio
import contextvars
from typing import ClassVar

import pytest

# before the import, so that a failed promise shows the values
pytest.register_assert_rewrite("lambda_kit.testing.executor_jobs")

from lambda_kit.core.executor import Executor
from lambda_kit.core.job import Payload
from lambda_kit.testing.executor_jobs import FakeJobs, until

__all__ = ["ExecutorContract"]

_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


class ExecutorContract:
    """Subclass it in a test module, and override the fixture `executor`.

    ::

        class TestMyExecutor(ExecutorContract):
            @pytest.fixture
            def executor(self):
                return MyExecutor(max_workers=2)

    The fixture gives an executor that was not started and runs two jobs at once (`capacity`, if it is another number).
    pytest and pytest-asyncio are needed.
    """

    pytestmark = pytest.mark.asyncio

    capacity: ClassVar[int] = 2
    """How many jobs the fixture's executor runs at once."""

    @pytest.fixture
    def executor(self) -> Executor:
        """An executor that was not started. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'executor'")

    @pytest.fixture
    def jobs(self) -> FakeJobs:
        """The jobs that the executor is handed."""
        return FakeJobs()

    async def test_a_submitted_job_is_run_once(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        await executor.submit("a", "tool")
        await jobs["a"].has_started()
        jobs["a"].let_end()
        assert await executor.drain(10)
        assert jobs.begun == ["a"]
        assert jobs["a"].outcome == Payload(b"a", "text/plain")
        await executor.stop()

    async def test_jobs_start_in_the_order_in_which_they_were_submitted(
        self, executor: Executor, jobs: FakeJobs
    ) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(50)]
        for name in names:
            jobs[name].let_end()
            await executor.submit(name, "tool")
        assert await executor.drain(10)
        assert jobs.begun == names
        await executor.stop()

    async def test_no_more_than_its_capacity_run_at_once(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(self.capacity + 3)]
        for name in names:
            await executor.submit(name, "tool")
        for name in names[: self.capacity]:
            await jobs[name].has_started()
        assert jobs.begun == names[: self.capacity]
        for name in names:
            jobs[name].let_end()
        assert await executor.drain(10)
        assert jobs.most_at_once == self.capacity
        await executor.stop()

    async def test_the_next_job_starts_when_one_has_ended(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(self.capacity + 1)]
        for name in names:
            await executor.submit(name, "tool")
        await jobs[names[0]].has_started()
        jobs[names[0]].let_end()
        await jobs[names[-1]].has_started()
        assert executor.stats().queued == 0
        await executor.stop()

    async def test_a_submit_returns_before_the_job_runs_to_its_end(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        async with asyncio.timeout(10):
            for n in range(self.capacity * 20):
                await executor.submit(f"job-{n}", "tool")
        stats = executor.stats()
        assert stats.queued + stats.running == self.capacity * 20
        await executor.stop()

    async def test_the_submitters_context_is_carried_to_the_run(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        jobs.look = _caller.get
        names = [f"job-{n}" for n in range(self.capacity + 2)]
        for name in names:  # the last ones wait in the queue
            _caller.set(name)
            await executor.submit(name, "tool")
        _caller.set("nobody")
        for name in names:
            jobs[name].let_end()
        assert await executor.drain(10)
        assert [jobs[name].seen for name in names] == names
        await executor.stop()

    async def test_a_cancelled_job_that_waits_never_starts(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(self.capacity + 3)]
        for name in names:
            await executor.submit(name, "tool")
        await jobs[names[0]].has_started()
        assert await executor.cancel(names[-2])
        assert not await executor.cancel(names[-2])
        for name in names:
            jobs[name].let_end()
        assert await executor.drain(10)
        assert names[-2] not in jobs.begun
        assert len(jobs.begun) == len(names) - 1
        await executor.stop()

    async def test_a_cancelled_job_that_runs_ends_without_a_result(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        await executor.submit("a", "tool")
        await jobs["a"].has_started()
        assert await executor.cancel("a")
        await executor.cancel("a")  # again, while it winds down or has ended: no error
        assert await executor.drain(10)
        assert jobs["a"].has_ended
        assert jobs["a"].outcome is None
        await executor.stop()

    async def test_one_cancel_leaves_the_others_alone(self, executor: Executor, jobs: FakeJobs) -> None:
        if self.capacity < 2:
            pytest.skip("it runs one job at once")
        await executor.start(jobs.run_job)
        for name in ("a", "b"):
            await executor.submit(name, "tool")
            await jobs[name].has_started()
        await executor.cancel("a")
        jobs["b"].let_end()
        assert await executor.drain(10)
        assert (jobs["a"].outcome, jobs["b"].outcome) == (None, Payload(b"b", "text/plain"))
        await executor.stop()

    async def test_a_job_that_it_does_not_know_can_not_be_cancelled(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        assert not await executor.cancel("nowhere")
        jobs["a"].let_end()
        await executor.submit("a", "tool")
        assert await executor.drain(10)
        assert not await executor.cancel("a")
        await executor.stop()

    async def test_a_job_whose_record_can_not_be_kept_does_not_take_a_place_for_ever(
        self, executor: Executor, jobs: FakeJobs
    ) -> None:
        await executor.start(jobs.run_job)
        jobs.is_gone = True  # nothing can be claimed
        for n in range(self.capacity * 3):
            await executor.submit(f"gone-{n}", "tool")
        assert await executor.drain(10)
        jobs.is_gone = False
        jobs["a"].let_end()
        await executor.submit("a", "tool")
        assert await executor.drain(10)
        assert jobs.begun == ["a"]
        await executor.stop()

    async def test_an_idle_executor_is_drained(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        assert await executor.drain(0)
        assert await executor.drain()
        await executor.stop()

    async def test_a_drain_waits_for_queued_and_running_jobs(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(self.capacity + 1)]
        for name in names:
            await executor.submit(name, "tool")
        assert not await executor.drain(0)
        for name in names[:-1]:
            jobs[name].let_end()
        await jobs[names[-1]].has_started()
        assert not await executor.drain(0.01)
        drain = asyncio.create_task(executor.drain())
        jobs[names[-1]].let_end()
        async with asyncio.timeout(10):
            assert await drain
        await executor.stop()

    async def test_a_stop_drops_the_queue_and_cancels_what_runs(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        names = [f"job-{n}" for n in range(self.capacity + 2)]
        for name in names:
            await executor.submit(name, "tool")
        running = names[: self.capacity]
        for name in running:
            await jobs[name].has_started()
        async with asyncio.timeout(20):
            await executor.stop()
        assert jobs.begun == running
        assert [(jobs[name].has_ended, jobs[name].outcome) for name in running] == [(True, None)] * len(running)
        stats = executor.stats()
        assert (stats.queued, stats.running) == (0, 0)

    async def test_a_stop_is_safe_twice_and_before_a_start(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.stop()
        await executor.start(jobs.run_job)
        await executor.submit("running", "tool")
        await jobs["running"].has_started()
        async with asyncio.timeout(20):
            await executor.stop()
            await executor.stop()
        assert (jobs["running"].has_ended, jobs["running"].outcome) == (True, None)
        stats = executor.stats()
        assert (stats.queued, stats.running) == (0, 0)
        assert await executor.drain(0)

    async def test_it_can_be_started_again(self, executor: Executor, jobs: FakeJobs) -> None:
        for name in ("a", "b", "c"):
            await executor.start(jobs.run_job)
            jobs[name].let_end()
            await executor.submit(name, "tool")
            assert await executor.drain(10)
            await executor.submit(f"{name}-left", "tool")
            await executor.stop()
        assert [name for name in jobs.begun if not name.endswith("left")] == ["a", "b", "c"]

    async def test_it_can_be_started_again_on_another_event_loop(self, executor: Executor, jobs: FakeJobs) -> None:
        async def use(name: str) -> None:
            await executor.start(jobs.run_job)
            await executor.submit(name, "tool")
            assert not await executor.drain(0.01)  # it waits on this loop
            jobs[name].let_end()
            assert await executor.drain(10)
            await executor.stop()

        for name in ("a", "b"):
            await asyncio.to_thread(asyncio.run, use(name))
        assert jobs.begun == ["a", "b"]

    async def test_the_stats_say_what_waits_and_runs(self, executor: Executor, jobs: FakeJobs) -> None:
        await executor.start(jobs.run_job)
        assert executor.stats().capacity == self.capacity
        names = [f"job-{n}" for n in range(self.capacity + 3)]
        for name in names:
            await executor.submit(name, "tool")
        await jobs[names[self.capacity - 1]].has_started()
        stats = executor.stats()
        assert (stats.queued, stats.running) == (3, self.capacity)
        for name in names:
            jobs[name].let_end()
        assert await executor.drain(10)
        await until(lambda: executor.stats().running == 0)
        assert executor.stats().queued == 0
        await executor.stop()
