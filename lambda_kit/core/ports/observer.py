"""The `JobObserver` port: sees jobs come, start and end, for metrics, traces and logs."""

import contextlib
from contextlib import AbstractContextManager

from lambda_kit.core.model.job import Job

__all__ = ["JobObserver"]


class JobObserver:
    """Sees what happens to jobs in this process. Best effort: what it raises is logged and harms no job.

    All methods but `around_run` and `around_worker` are called on the event loop of the server, and must be quick.
    Override what you need.
    """

    def creating(self, job: Job) -> Job:
        """The record of a job that is about to be created, maybe: it may be attached to one that is there.

        What is returned is created, so an observer can complete it, such as by the trace in `traceparent`. `id` and
        what came with the request must stay.
        """
        return job

    def submitted(self, job: Job) -> None:
        """A job was created here. An attached request creates none."""

    def rejected(self, tool: str) -> None:
        """A request was refused since a queue was full: no job was created."""

    def refused(self, tool: str | None, reason: str) -> None:
        """A request was refused, for whatever reason; `rejected` is called as well where a queue was full.

        Args:
            tool: The tool that was to be run. None: the request was refused before that was looked at.
            reason: One word of a few, as in the ``type`` of the answer: ``unauthenticated``, ``queue-full`` …
        """

    def started(self, job: Job) -> None:
        """A job was claimed by this process and is run now; the record is the claimed one."""

    def ended(self, job: Job) -> None:
        """A job has ended: in the process that ran it, or, if it never began, in the one that had it in its queue.

        The record is the final one. Called once for each end. A job that is to be run again has not ended.
        """

    def events_dropped(self, job: Job, count: int) -> None:
        """Events were dropped: the tool reports faster than they can be stored."""

    def released(self, job: Job) -> None:
        """A job that was started here is no longer run here, and has not ended.

        It is to be run again, or another process has it. May be called for a job that was not started here, too.
        """

    def for_worker(self, job: Job) -> Job:
        """The record of a job as a worker process gets it, for `around_run` and `around_step` there.

        Called on the event loop of the server when a `ProcessExecutor` runs the job. So an observer can hand on what it
        knows, such as the trace in `traceparent`. Only for observers with an `around_run` of their own.
        """
        return job

    def around_step(self, job: Job) -> AbstractContextManager[object]:
        """A context that is entered around each step (``with ctx.report.step(...)``), on the thread that reports it.

        That may be one which the tool has started, and which has inherited no context variables. Only for observers
        with an `around_run` of their own.
        """
        return contextlib.nullcontext()

    def around_run(self, job: Job) -> AbstractContextManager[object]:
        """A context that is entered around the call of the tool's `run`, in its thread or task and process.

        An exception of the tool passes through it. With a `ProcessExecutor` the observer is pickled, once for each
        worker process, and called there.
        """
        return contextlib.nullcontext()

    def around_worker(self) -> AbstractContextManager[object]:
        """A context that is entered in each worker process of a `ProcessExecutor`, and in no other process.

        It is entered on the event loop of that process, after the tools are loaded and before their `setup`, and left
        after their `teardown`; that whole end has 15 s. A process that is killed does not leave it. Context variables
        that it sets do not reach the jobs: use `around_run` for these.
        """
        return contextlib.nullcontext()
