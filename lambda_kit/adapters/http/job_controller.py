"""The controller of the jobs of all tools: result, record, list."""

from functools import partial
from typing import Any

from litestar import Controller, Request, delete, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import Scope

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.answers import Answer, job_record, json_answer
from lambda_kit.adapters.http.callers import job_guards, jobs_for
from lambda_kit.adapters.http.components import Models
from lambda_kit.adapters.http.event_stream import EventStream
from lambda_kit.adapters.http.headers import parse_job_id, shown
from lambda_kit.adapters.http.openapi import describe_operation
from lambda_kit.adapters.http.public_place import VARIES_WITH_PREFIX, base_path
from lambda_kit.adapters.http.security import secured
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.tool_controller import poll
from lambda_kit.core.errors import BadRequestError, JobConflictError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.job import Job, JobStatus

__all__ = ["job_controller", "job_list_controller"]

_MAX_LIMIT = 1000

_WINDING_DOWN_SECONDS = 0.2
"""For so long a cancel waits for the tool's end, before it answers that it winds down."""


def job_controller(service: JobService, settings: HttpSettings, models: Models) -> type[Controller]:
    """Make the Litestar controller of the single jobs."""

    async def result(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        return await poll(service, settings, request, job_id)  # type: ignore[return-value]

    async def status(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        jobs = jobs_for(service, settings, request.scope)
        job = await jobs.get(parse_job_id(job_id, "job id"))
        [record] = await _records(jobs, [job], request.scope)
        return json_answer(record, fields=[(b"job-id", job.urn.encode()), VARIES_WITH_PREFIX])  # type: ignore[return-value]

    async def events(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        jobs = jobs_for(service, settings, request.scope)
        job = await jobs.get(parse_job_id(job_id, "job id"))
        last = request.headers.get("last-event-id")  # a client that begins may send an empty one
        after = _after("after", request.query_params.get("after"))
        if last:
            after = _after("Last-Event-ID", last)
        if job.status.is_final and after and await jobs.event_reader(job, after=after).is_at_end():
            return Answer(204, b"", None, [(b"job-id", job.urn.encode())])  # type: ignore[return-value]
        return EventStream(jobs, job, after, heartbeat_seconds=settings.heartbeat_seconds)  # type: ignore[return-value]

    async def cancel(self: Controller, request: Request[Any, Any, Any], job_id: FromPath[str]) -> ASGIResponse:
        bare_id = parse_job_id(job_id, "job id")
        jobs = jobs_for(service, settings, request.scope)
        job = await jobs.cancel(bare_id)
        if not job.status.is_final:  # most tools stop at once
            job = (await jobs.wait(bare_id, wait_seconds=_WINDING_DOWN_SECONDS)).job
        if job.status.is_final and job.status is not JobStatus.CANCELLED:
            raise JobConflictError(f"job '{bare_id}' has {job.status} already: there is nothing to cancel")
        [record] = await _records(jobs, [job], request.scope)
        status = 200 if job.status.is_final else 202
        return json_answer(record, status, fields=[(b"job-id", job.urn.encode()), VARIES_WITH_PREFIX])  # type: ignore[return-value]

    members: dict[str, Any] = {
        "path": "/jobs",
        "tags": ["Jobs"],
        "events": get(
            "/{job_id:str}/events",
            summary="Follow the events of a job",
            operation_id="job_events",
            operation_class=describe_operation(secured(operations.events, settings)),
            guards=job_guards(settings),
        )(events),
        "cancel": delete(
            "/{job_id:str}",
            status_code=200,
            summary="Cancel a job",
            operation_id="cancel_job",
            operation_class=describe_operation(secured(operations.cancel, settings)),
            guards=job_guards(settings),
        )(cancel),
        "result": get(
            "/{job_id:str}",
            summary="Collect the result of a job",
            operation_id="collect",
            operation_class=describe_operation(secured(partial(operations.collect, None, models), settings)),
            guards=job_guards(settings),
        )(result),
        "status": get(
            "/{job_id:str}/status",
            summary="Show the record of a job",
            operation_id="job_status",
            operation_class=describe_operation(secured(operations.status, settings)),
            guards=job_guards(settings),
        )(status),
    }
    return type("JobController", (Controller,), members)


def _tool(name: str | None) -> str | None:
    # no tool has such a name, and not every database can look for it
    return None if name is None else name.replace("\0", "\N{REPLACEMENT CHARACTER}")


def job_list_controller(service: JobService, settings: HttpSettings) -> type[Controller]:
    """Make the Litestar controller of the list of jobs. It is for those who may read every job's result."""

    async def list_jobs(self: Controller, request: Request[Any, Any, Any]) -> ASGIResponse:
        query = request.query_params
        jobs = jobs_for(service, settings, request.scope)
        page = await jobs.list(
            tool=_tool(query.get("tool")),
            statuses=_statuses(query.getall("status", [])),
            limit=_limit(query.get("limit")),
            cursor=query.get("cursor"),
        )
        content: dict[str, Any] = {"items": await _records(jobs, page.jobs, request.scope)}
        if page.next_cursor is not None:
            content["next-cursor"] = page.next_cursor
        return json_answer(content, fields=[VARIES_WITH_PREFIX])  # type: ignore[return-value]

    members: dict[str, Any] = {
        "path": "/jobs",
        "tags": ["Jobs"],
        "list_jobs": get(
            summary="List jobs, newest first",
            operation_id="list_jobs",
            operation_class=describe_operation(secured(operations.list_jobs, settings)),
            guards=job_guards(settings),
        )(list_jobs),
    }
    return type("JobListController", (Controller,), members)


async def _records(service: JobService, jobs: list[Job], scope: Scope) -> list[dict[str, Any]]:
    positions = await service.queue_positions(jobs)
    base = base_path(scope)
    return [job_record(job, service.tools.get(job.tool), base, positions.get(job.id)) for job in jobs]


def _statuses(values: list[str]) -> list[JobStatus]:
    names = [name.strip() for value in values for name in value.split(",")]
    try:
        return [JobStatus(name) for name in names]
    except ValueError:
        known = ", ".join(status.value for status in JobStatus)
        raise BadRequestError(f"status {shown(','.join(names))}: must be of {known}") from None


def _after(name: str, value: str | None) -> int:
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise BadRequestError(f"{name} {shown(value)}: must be the id of an event, a whole number")
    return int(value)


def _limit(value: str | None) -> int:
    if value is None:
        return 100
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= _MAX_LIMIT):
        raise BadRequestError(f"limit {shown(value)}: must be a whole number from 1 to {_MAX_LIMIT}")
    return int(value)
