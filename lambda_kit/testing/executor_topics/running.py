"""How jobs are run: once each, with all that belongs to them, and without harm to others."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio

import msgspec
import pytest

from lambda_kit.core.model.job import Failure, FailureKind
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
            assert not job.is_ended.is_set()
            job.let_go()
            assert await job.end() == job.result
            assert await executor.drain(20)
            assert stage.begun == ["a"]
            assert len(job.hellos) == 1

    async def test_many_jobs_are_each_run_once(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = [stage.job(f"job-{n}") for n in range(30)]
            for job in jobs:
                job.let_go()
                await stage.until_room()
                await stage.hand_over(job)
            assert [await job.end() for job in jobs] == [job.result for job in jobs]
            assert stage.begun == [job.id for job in jobs]
            assert [len(job.hellos) for job in jobs] == [1] * 30

    async def test_where_there_is_room_a_job_is_run_at_once_if_that_is_what_it_says(self, executor: Executor) -> None:
        if not executor.starts_at_once:
            pytest.skip("this executor does not say that it runs jobs at once")
        async with self.stage(executor) as stage:
            jobs = [await stage.submit(f"job-{n}") for n in range(self.some)]
            for job in jobs:
                await job.has_come()
            assert stage.begun == [job.id for job in jobs]
            for job in jobs:
                job.let_go()
                await job.end()

    async def test_requests_and_results_arrive_whole(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n, padding in enumerate(["", "é\N{SNOWMAN}\0", "x" * 3_000_000]):
                job = stage.job(f"job-{n}", padding=padding)
                job.let_go()
                await stage.hand_over(job)
                assert await job.end() == job.result
                await stage.until_room()

    async def test_a_run_knows_its_job(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            job = await stage.submit("a", authorization="Bearer secret", attempt=3, deadline=4_000_000_000.5)
            await job.has_come()
            (hello,) = job.hellos
            assert hello == Hello(
                job_id="a",
                tool=job.spec.tool,
                authorization="Bearer secret",
                attempt=3,
                deadline=4_000_000_000.5,
                url="http://test/a",
                caller=hello.caller,
                process_id=hello.process_id,
                setups=hello.setups,
            )

    async def test_events_arrive_in_order_and_before_the_end(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            job = await stage.submit("a", events=100)
            await job.has_come()
            await until(lambda: len(job.events) == 100)  # while it runs
            assert not job.is_ended.is_set()
            job.let_go()
            assert await job.end() == job.result
            assert job.events_at_end == 200
            told = [(event.progress, msgspec.json.decode(event.body)["options"]["done"]) for event in job.events]
            assert [(progress and progress.done, done) for progress, done in told] == [(n, n) for n in range(200)]

    async def test_events_go_to_their_own_job(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some, events=20)
            for job in jobs:
                job.let_go()
            for job in jobs:
                await job.end()
                assert [event.progress and event.progress.done for event in job.events] == list(range(40))

    @pytest.mark.parametrize(("raises", "kind", "message"), _FAILURES)
    async def test_what_a_tool_raises_is_an_outcome(
        self, executor: Executor, raises: str, kind: FailureKind, message: str
    ) -> None:
        async with self.stage(executor) as stage:
            job = stage.job("bad", raises=raises, events=3)
            job.let_go()
            await stage.hand_over(job)
            outcome = await job.end()
            assert isinstance(outcome, Failure)
            assert (outcome.kind, outcome.type, outcome.message) == (kind, raises, message)
            assert outcome.traceback is not None
            assert message in outcome.traceback
            assert job.events_at_end == 6
            await stage.until_room()
            await stage.runs_another()

    async def test_a_failed_job_does_no_harm_to_others(self, executor: Executor) -> None:
        self.skip_unless_two_run_at_once()
        async with self.stage(executor) as stage:
            good = await stage.submit("good")
            await good.has_come()
            for raises, _kind, _message in _FAILURES:
                await stage.until_room()
                bad = stage.job(f"bad-{raises}", raises=raises)
                bad.let_go()
                await stage.hand_over(bad)
                assert isinstance(await bad.end(), Failure)
            assert not good.is_gone.is_set()
            good.let_go()
            assert await good.end() == good.result

    async def test_a_submit_returns_before_the_job_is_claimed(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stage.may_claim.clear()
            jobs = [await stage.submit(f"job-{n}") for n in range(self.some)]
            stage.may_claim.set()
            for job in jobs:
                await job.has_come()

    async def test_the_submitters_context_is_carried_to_the_run(self, executor: Executor) -> None:
        if not self.carries_context:
            pytest.skip("runs are in another context")
        async with self.stage(executor) as stage:
            jobs = []
            for n in range(self.some):
                caller.set(f"caller-{n}")
                jobs.append(await stage.submit(f"job-{n}"))
            caller.set("nobody")
            for n, job in enumerate(jobs):
                await job.has_come()
                assert job.hellos[0].caller == f"caller-{n}"

    async def test_a_job_that_can_not_be_claimed_does_not_take_a_place(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            stage.is_gone = True
            for n in range(self.some * 3):
                await stage.until_room()
                await stage.submit(f"gone-{n}")
            assert await executor.drain(20)
            assert executor.stats().running == 0
            stage.is_gone = False
            for n in range(self.some):
                await stage.runs_another(f"there-{n}")
                await stage.until_room()
            assert all(not stage.jobs[f"gone-{n}"].hellos for n in range(self.some * 3))

    async def test_the_event_loop_is_not_held_up_by_what_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            jobs = await stage.running(self.some)
            async with asyncio.timeout(20):
                for _ in range(100):
                    await asyncio.sleep(0)
            assert executor.stats().running == len(jobs)
