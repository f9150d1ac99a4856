"""Observers: entered around the tool's call, where that is, and unable to do harm."""
# ruff: noqa: D102 - a contract is made of assertions, and its names are sentences

from pathlib import Path

import pytest

from lambda_kit.core.model.job import Failure
from lambda_kit.core.ports.executor import Executor
from lambda_kit.testing.executor_tools import BrokenObserver, NotingObserver
from lambda_kit.testing.executor_topics.base import ExecutorPromises

__all__ = ["ObserverPromises"]


class ObserverPromises(ExecutorPromises):
    """What becomes of `JobObserver.around_run`."""

    async def test_an_observer_is_entered_around_the_call_of_the_tool(self, executor: Executor, tmp_path: Path) -> None:
        file = tmp_path / "notes"
        async with self.stage(executor, observers=[NotingObserver(file)]) as stage:
            job = await stage.submit("a")
            await job.has_come()
            (hello,) = job.hellos
            entered = f"entered a {hello.process_id}"  # in the process of the tool
            assert hello.caller == "observed-a"  # and in its context
            assert file.read_text().splitlines() == [entered]
            job.let_go()
            assert await job.end() == job.result
            assert file.read_text().splitlines() == [entered, f"left a {hello.process_id}"]

    async def test_what_a_tool_raises_passes_through_an_observer(self, executor: Executor, tmp_path: Path) -> None:
        file = tmp_path / "notes"
        async with self.stage(executor, observers=[NotingObserver(file)]) as stage:
            job = await stage.submit("a", raises="RuntimeError")
            await job.has_come()
            job.let_go()
            outcome = await job.end()
            assert isinstance(outcome, Failure)
            assert outcome.message == "a bad day"
            assert file.read_text().splitlines()[-1] == f"left a {job.hellos[0].process_id} RuntimeError"

    async def test_an_observer_sees_that_a_run_is_cancelled(self, executor: Executor, tmp_path: Path) -> None:
        file = tmp_path / "notes"
        async with self.stage(executor, observers=[NotingObserver(file)]) as stage:
            (job,) = await stage.running(1)
            await job.cancel()
            assert await job.end() is None
            assert file.read_text().splitlines()[-1].startswith(f"left {job.id} {job.hellos[0].process_id} ")

    @pytest.mark.parametrize("where", ["call", "enter", "exit", "loop"])
    async def test_an_observer_that_raises_does_no_harm(self, executor: Executor, where: str, tmp_path: Path) -> None:
        file = tmp_path / "notes"
        observers = [BrokenObserver(where), NotingObserver(file), BrokenObserver(where)]
        async with self.stage(executor, observers=observers) as stage:
            await stage.runs_another("good")
            bad = stage.job("bad", raises="ValueError")
            bad.let_go()
            await stage.hand_in(bad)
            outcome = await bad.end()
            assert isinstance(outcome, Failure)
            assert outcome.message == "a bad value"
            (job,) = await stage.running(1)
            await job.cancel()
            assert await job.end() is None
            await stage.runs_another()
        what = [line.split()[:2] for line in file.read_text().splitlines()]
        runs = ["good", "bad", "running-0", "another"]
        assert what == [[step, job_id] for job_id in runs for step in ("entered", "left")]
