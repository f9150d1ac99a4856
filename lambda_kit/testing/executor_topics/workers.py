"""What else holds where tools run outside of the server's process, and that they are set up there, and only there."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

import asyncio
import os

import pytest

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.job import Failure, FailureKind
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_jobs import until
from lambda_kit.testing.executor_stage import Stage
from lambda_kit.testing.executor_tools import BrokenVisitor
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["WorkerPromises"]


def _skip_unless_elsewhere(executor: Executor) -> None:
    if executor.runs_in_server:
        pytest.skip("this executor runs tools in the server's process")


class WorkerPromises(ExecutorPromises):
    """What holds where tools run outside of the server's process."""

    async def test_tools_run_where_it_says(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for job in await stage.running(self.some):
                assert (job.hellos[0].process_id == os.getpid()) is executor.runs_in_server

    async def test_a_tool_is_set_up_once_where_it_runs(self, executor: Executor) -> None:
        async with self.stage(executor) as stage:
            for n in range(2):
                for job in [await stage.submit(f"job-{n}-{m}") for m in range(self.some)]:
                    await job.has_come()
                    assert job.hellos[0].setups == 1
                    job.let_go()
                    await job.end()

    async def test_a_setup_that_fails_stops_the_start(self, executor: Executor) -> None:
        _skip_unless_elsewhere(executor)
        with pytest.raises(ConfigurationError, match=r"broken_visitor|BrokenVisitor"):
            async with Stage(executor, BrokenVisitor()):
                pass
        async with asyncio.timeout(60):
            await executor.stop()
        async with self.stage(executor) as stage:
            await stage.runs_another()

    async def test_a_worker_that_dies_fails_its_job_alone(self, executor: Executor) -> None:
        _skip_unless_elsewhere(executor)
        async with self.stage(executor) as stage:
            others = await stage.running(self.some - 1)
            doomed = stage.job("doomed", exits=True)
            doomed.let_go()
            await stage.hand_in(doomed)
            outcome = await doomed.end()
            assert isinstance(outcome, Failure)
            assert outcome.kind is FailureKind.WORKER_LOST
            assert outcome.message
            await stage.runs_another()
            await until(lambda: executor.stats().worker_losses_total == 1)
            for job in others:
                assert not job.is_gone.is_set()
                job.let_go()
                assert await job.end() == job.result

    async def test_a_job_that_can_not_be_sent_to_a_worker_fails_alone(self, executor: Executor) -> None:
        _skip_unless_elsewhere(executor)
        async with self.stage(executor) as stage:
            for n in range(self.some + 1):
                job = await stage.submit(f"job-{n}", authorization="Bearer \udcff")  # a lone surrogate has no bytes
                outcome = await job.end()
                assert isinstance(outcome, Failure)
                assert outcome.kind is FailureKind.WORKER_LOST
            for another in await stage.running(self.some):
                another.let_go()
                assert await another.end() == another.result
