"""Tasks: a call that takes longer than it is waited for is followed as a task, which is its job.

The extension ``io.modelcontextprotocol/tasks`` of 2026-07-28 (SEP-2663,
https://github.com/modelcontextprotocol/ext-tasks). The id of a task is that of its job.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY

from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.failure_texts import failure_text
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.messages import McpError
from lambda_kit.adapters.mcp.request import TASKS_EXTENSION, McpRequest
from lambda_kit.adapters.mcp.results import CallAnswers
from lambda_kit.core.errors import JobNotFoundError, UnavailableError
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import FailureKind, Job, JobStatus, bare_job_id
from lambda_kit.core.model.rfc3339 import rfc3339
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Task", "TaskReader", "TaskRequests", "require_tasks", "task_created"]

_DONE = b'{"resultType":"complete"}'
_LOST = frozenset([FailureKind.WORKER_LOST, FailureKind.MEMORY_LIMIT])
_TASKS: Mapping[str, Any] = {"extensions": {TASKS_EXTENSION: {}}}


def require_tasks(request: McpRequest) -> None:
    """See that the client takes tasks.

    Raises:
        McpError: -32021 if it has not declared the extension in this request.
    """
    if not request.meta.takes_tasks:
        raise McpError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"this needs a client with tasks: one of 2026-07-28 that declares the extension {TASKS_EXTENSION} in the "
            "capabilities of the request",
            {"requiredCapabilities": _TASKS},
        )


def task_created(request: McpRequest, job: Job) -> bytes:
    """What ``tools/call`` answers where a call goes on as a task (`CreateTaskResult`).

    The job is in the store, so that any replica finds the task.

    Args:
        request: The call. Its client has declared the extension: see `Meta.takes_tasks`.
        job: Made of the call, and not final.
    """
    tool = request.caller.jobs.tools.get(job.tool)
    return msgspec.json.encode({"resultType": "task", **_fields_of(job, "working", tool)})


class Task(NamedTuple):
    """A task as a client is shown it (`DetailedTask`)."""

    status: str
    is_final: bool
    fields: Mapping[str, Any]
    """All of it but ``resultType``, to be encoded as JSON."""


class TaskReader:
    """Reads tasks for clients.

    Args:
        host: The server.
        answers: What calls answer.
    """

    def __init__(self, host: McpHost, answers: CallAnswers) -> None:
        self._host = host
        self._answers = answers

    async def read(self, request: McpRequest, task_id: str) -> Task:
        """A task as it is now, with its result or error.

        Args:
            request: Of whom it is read for.
            task_id: What the client has sent.

        Raises:
            JobNotFoundError: if there is none, it has expired, or it is another principal's.
            UnavailableError: if the store is away.
        """
        found = await request.caller.jobs.wait(_job_id(task_id), wait_seconds=0.0)
        tool = self._tool_of(found.job)
        status, more = await self._state_of(request, found)
        return Task(status, found.job.status.is_final, {**_fields_of(found.job, status, tool), **more})

    async def find(self, request: McpRequest, task_id: str) -> Job:
        """The job of a task.

        Args:
            request: As for `read`.
            task_id: As for `read`.

        Raises:
            JobNotFoundError: as `read`.
            UnavailableError: as `read`.
        """
        job = await request.caller.jobs.get(_job_id(task_id))
        self._tool_of(job)
        return job

    def is_served(self, job: Job) -> bool:
        """Whether agents can have begun it."""
        tool = self._host.jobs.tools.get(job.tool)
        return tool is None or bool(tool.options.mcp)

    def _tool_of(self, job: Job) -> BoundTool | None:
        if not self.is_served(job):
            raise JobNotFoundError(job.id)
        return self._host.jobs.tools.get(job.tool)

    async def _state_of(self, request: McpRequest, found: WaitResult) -> tuple[str, dict[str, Any]]:
        """The status, and what else is said of it.

        What the call itself would have been answered is the task's result, also where it is an error of the tool. It
        has failed only where nobody knows that answer any more, since what ran the tool is gone (SEP-2663, Task
        Execution Errors).
        """
        job, failure = found.job, found.job.failure
        if not job.status.is_final:
            return "working", {}
        if job.status is JobStatus.CANCELLED:
            return "cancelled", {}
        if failure is not None and failure.kind in _LOST:
            text = failure_text(job, debug=self._host.shows_tracebacks())
            return "failed", {"statusMessage": text, "error": {"code": INTERNAL_ERROR, "message": text}}
        return "completed", {"result": msgspec.Raw(await self._answers.answer(request, found))}


class TaskRequests(Feature):
    """Answers ``tasks/get``, ``tasks/update`` and ``tasks/cancel``.

    Args:
        tasks: Reads them.
    """

    def __init__(self, tasks: TaskReader) -> None:
        self._tasks = tasks
        self.extension_handlers = {
            "tasks/get": self._get,
            "tasks/update": self._update,
            "tasks/cancel": self._cancel,
        }

    def capabilities(self, *, is_stateless: bool) -> Mapping[str, Any]:
        """That calls can become tasks."""
        return _TASKS if is_stateless else {}

    async def _get(self, request: McpRequest, _exchange: Exchange) -> bytes:
        params = _read_params(request, _Params)
        with _told_to_clients():
            task = await self._tasks.read(request, params.task_id)
        return msgspec.json.encode({"resultType": "complete", **task.fields})

    async def _update(self, request: McpRequest, _exchange: Exchange) -> bytes:
        """Acknowledge it: no tool asks a client for input, so that no response is one to a request of ours."""
        params = _read_params(request, _UpdateParams)
        with _told_to_clients():
            await self._tasks.find(request, params.task_id)
        return _DONE

    async def _cancel(self, request: McpRequest, _exchange: Exchange) -> bytes:
        """Ask for the end of its job; that has no effect on one that has ended."""
        params = _read_params(request, _Params)
        jobs = request.caller.jobs
        with _told_to_clients("; it is cancelled when it can be"):
            try:
                job = await self._tasks.find(request, params.task_id)
                if not job.status.is_final:
                    await jobs.cancel(job.id)
            except UnavailableError:
                jobs.cancel_soon(params.task_id, is_meant=self._tasks.is_served)
                raise
        return _DONE


class _Params(msgspec.Struct, rename="camel"):
    task_id: str


class _UpdateParams(_Params, rename="camel"):
    input_responses: dict[str, Any]


_P = TypeVar("_P", bound=_Params)


def _read_params(request: McpRequest, params: type[_P]) -> _P:
    require_tasks(request)
    try:
        return msgspec.json.decode(request.params, type=params)
    except msgspec.ValidationError as error:
        raise McpError(INVALID_PARAMS, f"params: {error}") from None


def _job_id(task_id: str) -> str:
    if bare_job_id(task_id) != task_id:
        raise JobNotFoundError(task_id)
    return task_id


@contextlib.contextmanager
def _told_to_clients(besides: str = "") -> Iterator[None]:
    try:
        yield
    except JobNotFoundError:
        raise McpError(INVALID_PARAMS, "taskId: there is no such task, or it has expired") from None
    except UnavailableError as error:
        wait = f"{error.retry_after_seconds:g}"
        raise McpError(INTERNAL_ERROR, f"the task can't be reached now: try again in {wait} s{besides}") from None


def _fields_of(job: Job, status: str, tool: BoundTool | None) -> dict[str, Any]:
    """The members of `Task`. Its time to live counts from its creation, and grows until its end is known."""
    ends_at = time.time() + job.ttl_seconds if job.expires_at is None else job.expires_at
    fields: dict[str, Any] = {
        "taskId": job.id,
        "status": status,
        "createdAt": rfc3339(job.requested_at),
        "lastUpdatedAt": rfc3339(job.finished_at or job.started_at or job.requested_at),
        "ttlMs": max(1, int((ends_at - job.requested_at) * 1000)),
    }
    if (said := _message_of(job)) is not None:
        fields["statusMessage"] = said
    if tool is not None and tool.options.refresh_seconds > 0:
        fields["pollIntervalMs"] = int(tool.options.refresh_seconds * 1000)
    return fields


def _message_of(job: Job) -> str | None:
    """What its status means, for the user."""
    if job.status.is_final:
        return None
    if job.cancel_requested:
        return "It is being cancelled."
    if job.status is not JobStatus.EXECUTING:
        return "It waits for its turn."
    progress = job.progress
    if progress is None:
        return "It is running."
    if progress.message:
        return progress.message
    return f"{progress.done:g}" if progress.total is None else f"{progress.done:g} of {progress.total:g}"
