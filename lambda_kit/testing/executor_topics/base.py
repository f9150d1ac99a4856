"""What the promises of an executor have in common: its fixture, its capabilities, and stages to show them on."""

from typing import Any, ClassVar

import pytest

from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.tools.tool import LambdaTool
from lambda_kit.testing.executor_port import PortStage
from lambda_kit.testing.executor_stage import Stage
from lambda_kit.testing.executor_tools import AsyncVisitor, Visitor

__all__ = ["ExecutorPromises"]


class ExecutorPromises:
    """Base of the topics. The attributes declare what the executor under test can do."""

    pytestmark = pytest.mark.asyncio

    capacity: ClassVar[int | None] = 2
    """How many jobs the fixture's executor runs at once. None: no bound."""

    is_async: ClassVar[bool] = False
    """Whether the tools of the tests are ``async def run``."""

    carries_context: ClassVar[bool] = True
    """Whether a run sees the context variables of its submitter: not in another process."""

    kills: ClassVar[bool] = False
    """Whether `kill` ends a tool that does not listen. If not, it is abandoned."""

    @pytest.fixture
    def executor(self) -> Executor:
        """An executor that was not started. Override it."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'executor'")

    def stage(self, executor: Executor, **options: Any) -> Stage:
        """The executor at work in a server, while in its ``async with`` block. Options are those of `Stage`."""
        return Stage(executor, self._tool(), **options)

    def port(self, executor: Executor) -> PortStage:
        """The executor at work alone, while in its ``async with`` block."""
        return PortStage(executor, self._tool())

    @property
    def some(self) -> int:
        """As many jobs as run at once, at most two: a test needs no more."""
        return min(self.capacity or 2, 2)

    def full(self) -> int:
        """How many jobs fill the executor. Skips the test if it can't be full."""
        if self.capacity is None:
            pytest.skip("this executor has no bound")
        return self.capacity

    def skip_unless_two_run_at_once(self) -> None:
        """For tests with one job beside another."""
        if self.capacity == 1:
            pytest.skip("this executor runs one job at once")

    def _tool(self) -> LambdaTool:
        return AsyncVisitor() if self.is_async else Visitor()
