"""The routes of jobs: ``/1/services2/{service}/jobs`` (docs/wire.md, The platform's job API)."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.params import FromPath
from litestar.response import Response
from litestar.response.base import ASGIResponse

from lambda_kit.adapters.platform.bodies import json_response, read_body
from lambda_kit.adapters.platform.event_stream import HOLD_SECONDS, PlatformEvents, PlatformEventStream
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.adapters.platform.job_documents import error_result, job_list_item, job_record, try_later
from lambda_kit.adapters.platform.query import bare_job_id, flag, now_text, page_links, page_of, path_part, whole_number
from lambda_kit.adapters.platform.recent_requests import RecentRequests
from lambda_kit.adapters.platform.services import PlatformServices
from lambda_kit.core.errors import BadRequestError, JobNotFoundError, UnsupportedMediaTypeError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.model.media_type import is_json
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["job_controller"]

AnyRequest = Request[Any, Any, Any]

_MOST_IN_LIST = 1000
_QUICK_SECONDS = 1.0
"""Shorter waits don't look whether the client is still there."""
_SANDBOX = {"Content-Security-Policy": "sandbox"}


def job_controller(host: PlatformHost, services: PlatformServices) -> type[Controller]:
    """Make the Litestar controller of the jobs of all services."""
    requests = RecentRequests()

    class PlatformJobs(Controller):
        path = "/1/services2/{service_id:str}/jobs"
        include_in_schema = False

        @post(status_code=200)
        async def create(self, request: AnyRequest, service_id: FromPath[str]) -> Response[bytes]:
            service_id, tool = services.find(service_id)
            body = _payload(tool, request, await read_body(request, host.max_body_bytes()))
            jobs = host.jobs_for(request.scope)
            found = await _run(host, jobs, request, tool, body)
            requests.keep(found.job.id, body)
            fields = {"ivcap-job-id": found.job.urn}
            if found.result is not None and is_json(found.result.content_type):
                return _raw(found.result, fields)
            # ivcap-client reads each 200 as JSON, and loses the job's id where the status is another one
            later = try_later(found.job, service_id, host.public_url(request.scope), tool.options.refresh_seconds)
            return json_response(later, 202, {**fields, "Location": later["location"]})

        @get()
        async def list(self, request: AnyRequest, service_id: FromPath[str]) -> Response[bytes]:
            service_id, tool = services.find(service_id)
            limit = whole_number(request, "limit", 10, most=_MOST_IN_LIST) or 1
            page = await host.jobs_for(request.scope).list(tool=tool.name, limit=limit, cursor=page_of(request))
            base = host.public_url(request.scope)
            href = f"{base}/1/services2/{path_part(service_id)}/jobs"
            return json_response(
                {
                    "items": [job_list_item(job, service_id, base) for job in page.jobs],
                    "at-time": now_text(),
                    "links": page_links(href, page.next_cursor),
                }
            )

        @get("/{id:str}")
        async def read(self, request: AnyRequest, service_id: FromPath[str], id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            service_id, _, jobs, job = await self._find(request, service_id, id)
            found = await jobs.wait(job.id, wait_seconds=0)
            # whatever with-result-content says: ivcap-client says false where it has the result, takes what it gets
            # for all that there is, and so loses it
            result = _shown_result(host, found)
            content = requests.find(job.id) if flag(request, "with-request-content", default=False) else None
            base = host.public_url(request.scope)
            return json_response(job_record(found.job, service_id, base, request=content, result=result))

        @get("/{id:str}/output")
        async def output(self, request: AnyRequest, service_id: FromPath[str], id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            service_id, tool, jobs, job = await self._find(request, service_id, id)
            found = await jobs.wait(job.id, wait_seconds=0)
            if not found.job.status.is_final:
                later = try_later(job, service_id, host.public_url(request.scope), tool.options.refresh_seconds)
                return json_response(later, 202, {"ivcap-job-id": job.urn})
            result = _shown_result(host, found)
            status = 200 if found.result is not None else 500
            return _raw(result, {"ivcap-job-id": job.urn}, status) if result else Response(b"", status_code=204)

        @get("/{id:str}/events")
        async def events(self, request: AnyRequest, service_id: FromPath[str], id: FromPath[str]) -> ASGIResponse:  # noqa: A002
            _, _, jobs, job = await self._find(request, service_id, id)
            last = request.headers.get("last-event-id") or "0"
            if not (last.isascii() and last.isdigit() and len(last) < 16):
                raise BadRequestError(f"Last-Event-ID {last[:80]!r}: must be the id of an event, a whole number")
            most_events = whole_number(request, "max-messages", None) or None
            seconds = whole_number(request, "max-wait-time", None)
            events = PlatformEvents(jobs, job, int(last))
            with events.following():
                is_there = await events.hold(HOLD_SECONDS if seconds is None else min(seconds, HOLD_SECONDS))
            fields = [(b"ivcap-job-id", job.urn.encode())]
            if not is_there:
                return Response(b"", status_code=204)  # type: ignore[return-value]
            return PlatformEventStream(events, jobs, fields, most_events=most_events, seconds=seconds)  # type: ignore[return-value]

        async def _find(
            self, request: AnyRequest, service_id: str, job_id: str
        ) -> tuple[str, BoundTool, JobService, Job]:
            service_id, tool = services.find(service_id)
            jobs = host.jobs_for(request.scope)
            job = await jobs.get(bare_job_id(job_id))
            if job.tool != tool.name:
                raise JobNotFoundError(job.id)
            return service_id, tool, jobs, job

    return PlatformJobs


async def _run(host: PlatformHost, jobs: JobService, request: AnyRequest, tool: BoundTool, body: Payload) -> WaitResult:
    """Submit the job, and wait for its result as long as the client says."""
    said = host.wait_seconds(request.scope)
    seconds = tool.options.wait_seconds if said is None else said
    more: dict[str, Any] = {
        "request_info": host.request_info(request.scope),
        "authorization": await host.authorization(request.scope),
    }
    for field in ("traceparent", "tracestate"):
        if value := request.headers.get(field):
            more[field] = value
    if tool.signature.wants_transport_request:
        more["transport"] = request
    quick = min(seconds, _QUICK_SECONDS)
    found = await jobs.submit_and_wait(tool.name, body, wait_seconds=quick, **more)
    return await host.wait_while_connected(jobs, found, seconds - quick, request.receive)


def _payload(tool: BoundTool, request: AnyRequest, body: bytes) -> Payload:
    content_type = request.headers.get("content-type", "application/json")
    if is_json(content_type):
        return tool.json_payload(body)
    if tool.read.is_binary:
        return Payload(body, content_type)
    raise UnsupportedMediaTypeError(f"Content-Type {content_type[:80]!r}: send JSON in UTF-8 as 'application/json'")


def _shown_result(host: PlatformHost, found: WaitResult) -> Payload | None:
    if not found.job.status.is_final:
        return None
    return found.result or error_result(found.job, with_traceback=host.shows_tracebacks())


def _raw(result: Payload, fields: dict[str, str], status: int = 200) -> Response[bytes]:
    return Response(result.content, status_code=status, media_type=result.content_type, headers={**_SANDBOX, **fields})
