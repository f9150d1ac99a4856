"""How jobs are run: once each, with all that belongs to them, and without harm to others."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import pytest

from lambda_kit.core.model.job import Failure, FailureKind, JobStatus
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_tools import Hello, caller
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["RunPromises"]

_FAILURES = [
    ("ValueError", FailureKind.INVALID_VALUE, "a bad value"),
    ("RuntimeError", FailureKind.TOOL, "a bad day"),
    ("SystemExit", FailureKind.TOOL, "a bad end"),
    ("_Strange", FailureKind.TOOL, "a bad surprise"),
]


class RunPromises(ExecutorPromises):
    """How jobs are run."""

    async def test_a_submitted_job_is_run_once(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            job = await stage.submit("a")
            await job.has_come()
            assert (await job.record()).status is JobStatus.EXECUTING
            job.let_go()
            assert await job.end() == job.result
            assert stage.begun == ["a"]
            assert len(job.hellos) == 1

    async def test_many_jobs_are_each_run_once(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = [stage.job(f"job-{n}") for n in range(30)]
            for job in jobs:
                job.let_go()
                await stage.hand_in(job)
            assert [await job.end() for job in jobs] == [job.result for job in jobs]
            assert stage.begun == [job.id for job in jobs]
            assert [len(job.hellos) for job in jobs] == [1] * 30

    async def test_requests_and_results_arrive_whole(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n, padding in enumerate(["", "é\N{SNOWMAN}\0", "x" * 3_000_000]):
                job = stage.job(f"job-{n}", padding=padding)
                job.let_go()
                await stage.hand_in(job)
                assert await job.end() == job.result

    async def test_a_run_knows_its_job(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            job = await stage.submit("a", authorization="Bearer secret", time_limit_seconds=4000.5)
            await job.has_come()
            (hello,) = job.hellos
            record = await job.record()
            assert hello == Hello(
                job_id="a",
                tool=record.tool,
                authorization="Bearer secret",
                attempt=1,
                deadline=record.deadline,
                url="http://test/a",
                caller=hello.caller,
                process_id=hello.process_id,
                setups=hello.setups,
            )
            assert hello.deadline is not None

    async def test_events_arrive_in_order_and_before_the_end(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            job = await stage.submit("a", events=100)
            await job.has_come()
            async with asyncio.timeout(60):
                async for event in stage.jobs_door.events("a"):  # while it runs
                    if event.seq == 102:  # behind pending and executing
                        break
            assert not await job.is_final()
            job.let_go()
            assert await job.end() == job.result
            before, after = [JobStatus.PENDING, JobStatus.EXECUTING], [JobStatus.SUCCEEDED]
            assert await job.told() == [*before, *range(200), *after]
            progress = (await job.record()).progress
            assert progress is not None
            assert progress.done == 199

    async def test_events_go_to_their_own_job(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some, events=20)
            for job in jobs:
                job.let_go()
            for job in jobs:
                assert [told for told in await job.told() if isinstance(told, int)] == list(range(40))

    @pytest.mark.parametrize(("raises", "kind", "message"), _FAILURES)
    async def test_what_a_tool_raises_is_an_outcome(
        self, executor: Executor, raises: str, kind: FailureKind, message: str
    ) -> None:
        async with self.stage(executor) as stage:
            job = stage.job("bad", raises=raises, events=3)
            job.let_go()
            await stage.hand_in(job)
            outcome = await job.end()
            assert isinstance(outcome, Failure)
            assert (outcome.kind, outcome.type, outcome.message) == (kind, raises, message)
            assert outcome.traceback is not None
            assert message in outcome.traceback
            assert (await job.told())[2:] == [*range(6), JobStatus.FAILED]
            await stage.runs_another()

    async def test_a_failed_job_does_no_harm_to_others(self, executor: Executor) -> None:
        self.skip_unless_two_run_at_once()
        async with self.stage(executor) as stage:
            good = await stage.submit("good")
            await good.has_come()
            for raises, _kind, _message in _FAILURES:
                bad = stage.job(f"bad-{raises}", raises=raises)
                bad.let_go()
                await stage.hand_in(bad)
                assert isinstance(await bad.end(), Failure)
            assert not good.is_gone.is_set()
            good.let_go()
            assert await good.end() == good.result

    async def test_the_submitters_context_is_carried_to_the_run(self, executor: Executor) -> None:
        if not self.carries_context:
            pytest.skip("runs are in another context")
        async with self.stage(executor) as stage:
            jobs = []
            for n in range(self.some * 2):  # where there is a bound, half of them wait
                caller.set(f"caller-{n}")
                jobs.append(await stage.submit(f"job-{n}"))
            caller.set("nobody")
            for n, job in enumerate(jobs):
                await job.has_come()
                assert job.hellos[0].caller == f"caller-{n}"
                job.let_go()

    async def test_the_event_loop_is_not_held_up_by_what_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some)
            async with asyncio.timeout(60):
                for _ in range(100):
                    await asyncio.sleep(0)
            assert executor.stats().running == len(jobs)

    async def test_a_job_over_its_time_limit_ends_whether_or_not_it_listens(self, executor: Executor) -> None:
        async with self.stage(executor, cancel_seconds=0.1) as stage:
            for is_deaf in (False, True):
                job = await stage.submit(f"late-{is_deaf}", time_limit_seconds=0.1, is_deaf=is_deaf)
                outcome = await job.end()
                assert isinstance(outcome, Failure)
                assert outcome.kind is FailureKind.TIME_LIMIT
            await until(lambda: executor.stats().running == 0)
            await stage.runs_another()
