"""The `Executor` port: moves job ids to where they are run."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import msgspec

from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.tools.run import JobSpec
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Executor", "ExecutorStats", "Invoke", "JobHost", "Run"]


class Run(Protocol):
    """One claimed job, ready to be run: here by one of the two run methods, or elsewhere by its `spec`.

    Nothing that a tool raises escapes from the run methods.
    """

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

    def spec(self) -> JobSpec:
        """What another process needs to run the job (`lambda_kit.core.tools.run.ToolRun`)."""
        ...

    def emit(self, event: NewEvent) -> None:
        """Take an event that the tool reported in another process. From any thread; in order."""
        ...


Invoke = Callable[[Run], Awaitable[Outcome]]
"""How an executor runs one claimed job, for example on a thread."""


class JobHost(Protocol):
    """What an executor is given at its start: who knows the jobs."""

    @property
    def tools(self) -> Mapping[str, BoundTool]:
        """The tools whose jobs this executor is handed, by name."""
        ...

    def run(self, job_id: str, invoke: Invoke) -> Coroutine[Any, Any, None]:
        """Claim the job of that id, have `invoke` run it, and record its end.

        It never raises for what the tool did, and does nothing if the job was cancelled or taken meanwhile.
        """
        ...

    def has_room(self) -> None:
        """To be called when the executor can take a job again, after it could not. On the event loop."""
        ...


class ExecutorStats(msgspec.Struct, frozen=True, gc=False):
    """What an executor is doing."""

    running: int
    """Jobs that it was handed and that have not ended."""
    capacity: int | None
    """How many jobs it runs at once. None: no bound."""
    abandoned: int = 0
    """Runs that could not be ended when they had to, and still go on."""
    abandoned_total: int = 0
    """How many of them there have been."""
    worker_losses_total: int = 0
    """How many of its workers were lost: killed, crashed, out of memory."""


class Executor(ABC):
    """Runs jobs. It is handed ids: the store holds the truth, and `JobHost.run` does the book-keeping.

    One executor serves one `ToolServer`. It is started and stopped on the server's event loop, and may be started again
    after a stop.
    """

    name: str
    """What `ToolOptions.executor` calls it."""

    runs_in_server: bool
    """Whether tools run in the server's process, so that they may take a `litestar.Request` and are set up there."""

    starts_at_once: bool = False
    """Whether each job that `submit` takes is run by `JobHost.run` at once, in this process: it waits nowhere here.

    Such jobs can be made and claimed in one step of the store.
    """

    @abstractmethod
    def check(self, tool: BoundTool) -> None:
        """Refuse a tool that can't run here. Called when the server is built.

        Raises:
            ToolDefinitionError: says why, and what to do.
        """

    @abstractmethod
    async def start(self, host: JobHost) -> None:
        """Make what is needed to run jobs.

        Raises:
            ConfigurationError: if that fails, for example the `setup` of a tool in a worker; names the tool.
        """

    def has_room(self) -> bool:
        """Whether `submit` takes a job now. Always, by default: for an executor with a queue of its own.

        A job that finds no room waits in the server's queue until `JobHost.has_room` is called.
        """
        return True

    @abstractmethod
    async def submit(self, job_id: str, tool: str) -> None:
        """Take a pending job; returns at once. The caller's context variables are carried to its run.

        Raises:
            QueueFullError: if it can't be taken now. Nothing was kept of it.
        """

    @abstractmethod
    async def cancel(self, job_id: str) -> bool:
        """Ask a job to end; False if this executor does not know it.

        One that it has not yet begun never starts. Of a running one the outcome is None (cancelled), unless it ends by
        itself first. One that does not end is ended by `kill` after a while.
        """

    @abstractmethod
    async def kill(self, job_id: str) -> None:
        """End a job's run by force; where that can't be done, as with a thread, let go of it and count it as abandoned.

        Afterwards there is room for another job. No error if this executor does not know it (any more).
        """

    @abstractmethod
    async def drain(self, timeout_seconds: float | None = None) -> bool:
        """Wait until every job that it was handed has ended; False if the time was up first."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything: jobs are cancelled, and killed if they do not end. Safe to call twice."""

    async def why_not_ready(self) -> str | None:
        """Why its tools can't do their work now, in words. None: they can."""
        return None

    @abstractmethod
    def stats(self) -> ExecutorStats:
        """What is running now."""
