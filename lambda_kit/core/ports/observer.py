"""The `JobObserver` port: sees jobs come, start and end, for metrics, traces and logs."""

import contextlib
from contextlib import AbstractContextManager

from lambda_kit.core.model.job import Job

__all__ = ["JobObserver"]


class JobObserver:
    """Sees what happens to jobs in this process. Best effort: what it raises is logged and harms no job.

    All methods but `around_run` are called on the event loop of the server, and must be quick. Override what you need.
    """

    def submitted(self, job: Job) -> None:
        """A job was created here. An attached request creates none."""

    def rejected(self, tool: str) -> None:
        """A request was refused since a queue was full: no job was created."""

    def started(self, job: Job) -> None:
        """A job was claimed by this process and is run now; the record is the claimed one."""

    def ended(self, job: Job) -> None:
        """A job has ended: in the process that ran it, or, if it never began, in the one that had it in its queue.

        The record is the final one. Called once for each end. A job that is to be run again has not ended.
        """

    def events_dropped(self, job: Job, count: int) -> None:
        """Events were dropped: the tool reports faster than they can be stored."""

    def around_run(self, job: Job) -> AbstractContextManager[object]:
        """A context that is entered around the call of the tool's `run`, in its thread or task and process.

        An exception of the tool passes through it. With a `ProcessExecutor` the observer is pickled, once for each
        worker process, and this is all that is called there.
        """
        return contextlib.nullcontext()
