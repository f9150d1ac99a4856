"""The `Executor` port: moves job ids to where they are run."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import msgspec

from lambda_kit.core.job import Outcome
from lambda_kit.core.tool import BoundTool

__all__ = ["Executor", "ExecutorStats", "Invoke", "Run", "RunJob"]


class Run(Protocol):
    """One claimed job, ready to be run in this process. Nothing that a tool raises escapes from the two run methods."""

    @property
    def job_id(self) -> str:
        """The id of the job."""
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


Invoke = Callable[[Run], Awaitable[Outcome]]
"""How an executor runs one claimed job, for example on a thread."""

RunJob = Callable[[str, Invoke], Coroutine[Any, Any, None]]
"""Given to an executor at its start: claims the job of that id, has `Invoke` run it, and records its end.

It never raises for what the tool did, and does nothing if the job was cancelled or taken meanwhile.
"""


class ExecutorStats(msgspec.Struct, frozen=True, gc=False):
    """What an executor is doing."""

    queued: int
    running: int
    capacity: int | None
    """How many jobs it runs at once. None: no bound."""


class Executor(ABC):
    """Runs jobs. It is handed ids: the store holds the truth, and `RunJob` does the book-keeping.

    One executor serves one `ToolServer`. It is started and stopped on the server's event loop, and may be started again
    after a stop.
    """

    name: str
    """What `ToolOptions.executor` calls it."""

    runs_in_server: bool
    """Whether tools run in the server's process, so that they may take a `litestar.Request` and are set up there."""

    @abstractmethod
    def check(self, tool: BoundTool) -> None:
        """Refuse a tool that can't run here. Called when the server is built.

        Raises:
            ToolDefinitionError: says why, and what to do.
        """

    @abstractmethod
    async def start(self, run_job: RunJob) -> None:
        """Make what is needed to run jobs."""

    @abstractmethod
    async def submit(self, job_id: str, tool: str) -> None:
        """Take a pending job; returns at once. Jobs start in the order in which they were submitted.

        Raises:
            QueueFullError: if it can't be taken now. Nothing was kept of it. (How many jobs a tool may have waiting is
                asked before, when the job is made.)
        """

    @abstractmethod
    async def cancel(self, job_id: str) -> bool:
        """End a job's run, as far as this executor can; False if it does not know the job.

        A queued job never starts. Of a running one the outcome is None (cancelled), unless it ends by itself first.
        """

    @abstractmethod
    async def drain(self, timeout_seconds: float | None = None) -> bool:
        """Wait until no job is queued or running; False if the time was up first."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything: queued jobs are dropped from the queue, running ones are cancelled. Safe to call twice."""

    @abstractmethod
    def stats(self) -> ExecutorStats:
        """What is queued and running now."""
