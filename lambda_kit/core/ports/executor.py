"""The `Executor` port: runs claimed jobs.

An executor only runs. Which job comes next, how many may run at once, claims, leases, time limits and the job's end are
the engine's (`lambda_kit.core.jobs`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Job, Outcome
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.tools.run import JobSpec
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Executor", "ExecutorHost", "ExecutorStats", "Run"]


class Run(Protocol):
    """One claimed job, ready to be run: here by one of the two run methods, or elsewhere by its `spec`.

    Nothing that a tool raises escapes from the run methods. Runs are compared by identity: a job that is run again
    while its first run, which lost its lease, still winds down has two.
    """

    @property
    def job(self) -> Job:
        """The record of the job, as it was claimed."""
        ...

    @property
    def tool(self) -> BoundTool:
        """The tool that it is for."""
        ...

    def run_sync(self) -> Outcome:
        """Run the tool in the calling thread and encode its result there."""
        ...

    async def run_async(self) -> Outcome:
        """Run an ``async def run`` on the running event loop. A cancel of the task ends it as cancelled (None)."""
        ...

    def cancel(self) -> None:
        """Ask the tool to stop at its next cancellation point. From any thread."""
        ...

    def spec(self) -> JobSpec:
        """What another process needs to run the job."""
        ...

    def emit(self, event: NewEvent) -> None:
        """Take an event that the tool reported in another process. From any thread; in order."""
        ...


class ExecutorHost(Protocol):
    """What an executor is given at its start."""

    @property
    def tools(self) -> Mapping[str, BoundTool]:
        """The tools whose jobs this executor runs, by name."""
        ...

    @property
    def observers(self) -> Sequence[JobObserver]:
        """The observers with an `around_run` or `around_worker`, for executors that run tools in other processes."""
        ...

    def capacity_changed(self) -> None:
        """To be called when `Executor.capacity` has grown. On the event loop."""
        ...


class ExecutorStats(msgspec.Struct, frozen=True, gc=False):
    """What an executor is doing."""

    running: int
    """Jobs that it is running."""
    capacity: int | None
    """How many jobs it is made for at once. None: no bound."""
    abandoned: int = 0
    """Runs that could not be ended when they had to, and still go on."""
    abandoned_total: int = 0
    """How many of them there have been."""
    worker_losses_total: int = 0
    """How many of its processes were lost: killed, crashed, out of memory."""


class Executor(ABC):
    """Runs claimed jobs. One executor serves one `ToolServer`.

    It is started and stopped on the server's event loop, and may be started again after a stop, on another loop too.
    All methods are called on that loop.
    """

    name: str
    """What `ToolOptions.executor` calls it."""

    runs_in_server: bool = True
    """Whether tools run in the server's process, so that they may take a `litestar.Request` and are set up there."""

    def check(self, tool: BoundTool) -> None:  # noqa: B027 - optional hook
        """Refuse a tool that can't run here. Called when the server is built.

        Raises:
            ToolDefinitionError: says why, and what to do.
        """

    async def start(self, host: ExecutorHost) -> None:  # noqa: B027 - optional hook
        """Make what is needed to run jobs.

        Raises:
            ConfigurationError: if that fails, for example the `setup` of a tool in another process; names the tool.
        """

    @property
    def capacity(self) -> int | None:
        """How many jobs it can run at once now. None: no bound. `ExecutorHost.capacity_changed` tells that it grew."""
        return None

    @abstractmethod
    async def run(self, run: Run) -> Outcome:
        """Run one claimed job to its end; returns how it ended.

        Never called more often at once than `capacity` says, but for runs that were killed. It is awaited by a task of
        its own, in the context of whoever submitted the job. All events of the run have been emitted when it returns.
        What a tool raises, `SystemExit` too, is an outcome, and harms no other job; what this method raises fails the
        job as lost.
        """

    @abstractmethod
    async def cancel(self, run: Run) -> None:
        """Ask a run to end: its outcome is None then (cancelled), unless it ends by itself first.

        Returns at once. No effect if it has ended.
        """

    @abstractmethod
    async def kill(self, run: Run) -> None:
        """End a run by force; where that can't be done, as with a thread, let go of it and count it as abandoned.

        Its place is used by another job afterwards. No effect if it has ended.
        """

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """End everything: runs are cancelled, and killed if they do not end. Bounded. Safe to call twice."""

    async def why_not_ready(self) -> str | None:
        """Why its tools can't do their work now, in words. None: they can."""
        return None

    @abstractmethod
    def stats(self) -> ExecutorStats:
        """What is running now."""
