"""The job that runs: its context, its id, its reporter; and the options of how jobs are run."""

import contextvars
import threading
from typing import Any

from ivcap_service import EventReporter, JobContext
from pydantic import BaseModel, Field

from lambda_kit.compat import function_tool
from lambda_kit.core.tools.context import current_job

__all__ = [
    "ExecutionContext",
    "Executor",
    "ExecutorOpts",
    "JobContext",
    "get_event_reporter",
    "get_job_context",
    "get_job_id",
    "job_context",
]

job_context: contextvars.ContextVar[JobContext | None] = function_tool.job_context
"""The context of the job that runs in this thread or task. None: none does."""

_LOOK_SECONDS = 0.2


class ExecutionContext:
    """Base of what a service passes to its functions by the decorator's ``context``."""


class ExecutorOpts(BaseModel):
    """How a tool's jobs are run and kept."""

    job_cache_size: int | None = Field(default=10000, description="number of finished jobs that are kept in memory")
    job_cache_ttl: int | None = Field(default=3600, description="seconds for which finished jobs are kept")
    max_workers: int | None = Field(
        default=None, description="number of jobs that run at once, each on a thread; None: as many as there are"
    )


def get_job_context() -> JobContext | None:
    """The context of the job that runs in this thread or task, also of one of a class. None: none does."""
    return job_context.get() or current_job()


def get_event_reporter() -> EventReporter | None:
    """The reporter of the job that runs in this thread or task. None: none does."""
    context = get_job_context()
    return None if context is None else context.report


def get_job_id() -> str | None:
    """The id of the job that runs in this thread or task. None: none does."""
    context = get_job_context()
    return None if context is None else context.job_id


class Executor:
    """What is known of the jobs that run. Jobs are run by lambda_kit: it can't be made."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        raise TypeError("jobs are run by lambda_kit's executors: there is no Executor to make; add a tool instead")

    @classmethod
    def active_jobs(cls) -> list[str]:
        """The ids of the jobs that run now, in this process."""
        return function_tool.active_jobs()

    @classmethod
    def wait_for_exit_ready(cls) -> None:
        """Block this thread until no job runs in this process. A server waits by itself when it stops."""
        while function_tool.active_jobs():
            threading.Event().wait(_LOOK_SECONDS)
