"""What is answered about a job: its result, "try later", or its record (docs/wire.md)."""

import functools
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Receive, Scope, Send

from lambda_kit.adapters.http.prefer import WaitPreference
from lambda_kit.adapters.http.problems import (
    PROBLEM_MEDIA_TYPE,
    VERSION_HEADER,
    problem_body,
    problem_of_job,
    retry_after,
)
from lambda_kit.adapters.http.public_place import VARIES_WITH_PREFIX, base_path
from lambda_kit.adapters.http.short_way import send_whole
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.media_type import JSON, essence_of
from lambda_kit.core.model.rfc3339 import rfc3339
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.version import VERSION

__all__ = [
    "VERSION_FIELD",
    "Answer",
    "job_answer",
    "job_record",
    "json_answer",
    "result_path",
]

VERSION_FIELD = (VERSION_HEADER.lower().encode(), VERSION.encode())
"""The header field that every response has, as ASGI wants it."""


_SANDBOX = (b"content-security-policy", b"sandbox")
_RUN_BY_BROWSERS = frozenset(["text/html", "application/xml", "text/xml", "text/xsl", "multipart/x-mixed-replace"])
"""And all that end in ``+xml``, XHTML and SVG among them: a style sheet makes a page of any of it."""


class Answer:
    """A finished response, sent as it is: the quickest way out of a Litestar handler.

    Args:
        status: The HTTP status.
        body: The whole body.
        content_type: None where there is no body.
        fields: Further header fields, names in lower case.
    """

    __slots__ = ("body", "fields", "status_code")

    def __init__(
        self, status: int, body: bytes, content_type: str | None, fields: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        self.status_code = status
        self.body = body
        self.fields = [VERSION_FIELD, *fields]
        if content_type is not None:
            self.fields.append((b"content-type", content_type.encode("latin-1")))
            self.fields.append((b"content-length", b"%d" % len(body)))

    @property
    def headers(self) -> MutableScopeHeaders:
        """The header fields, to be changed by an ``after_request`` hook."""
        return MutableScopeHeaders({"headers": self.fields})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if send_whole(send, self.status_code, self.fields, self.body):
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.fields})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_answer(content: Any, status: int = 200, fields: Iterable[tuple[bytes, bytes]] = ()) -> Answer:
    """Plain data as JSON."""
    return Answer(status, msgspec.json.encode(content), JSON, fields)


def job_answer(
    found: WaitResult,
    tool: BoundTool | None,
    wants: WaitPreference,
    scope: Scope,
    *,
    debug: bool,
    try_later_body: bool,
) -> Answer:
    """What a POST, and a poll, answer: the same for a finished job, whenever it is asked for.

    Args:
        found: The job as it is now, with its result.
        tool: The job's tool. None: it is not served here (any more).
        wants: What the client prefers.
        scope: The request's.
        debug: Whether a traceback may be shown.
        try_later_body: Whether "try later" is a 202 with a body, even where the client did not ask for that.
    """
    job, result = found.job, found.result
    fields = [(b"job-id", job.urn.encode())]
    if wants.applied is not None:
        fields.append((b"preference-applied", wants.applied.encode()))
    if not job.status.is_final:
        location = result_path(job, tool, base_path(scope))
        return _try_later(job, tool, location, fields, with_body=try_later_body or wants.representation)
    if result is not None:
        fields += _fields_of_result(result.content_type)
        return Answer(200, result.content, result.content_type, fields)
    if job.failure is not None and job.failure.retry_after_seconds is not None:
        fields.append((b"retry-after", retry_after(job.failure.retry_after_seconds).encode()))
    problem = problem_of_job(job, debug=debug)
    return Answer(problem.status, problem_body(problem), PROBLEM_MEDIA_TYPE, fields)


@functools.lru_cache(maxsize=256)
def _fields_of_result(content_type: str) -> tuple[tuple[bytes, bytes], ...]:
    """What a browser has to know of a result: what would be run there has none of the rights of a page of ours."""
    essence = essence_of(content_type)
    return (_SANDBOX,) if essence in _RUN_BY_BROWSERS or essence.endswith("+xml") else ()


def _try_later(
    job: Job, tool: BoundTool | None, location: str, fields: list[tuple[bytes, bytes]], *, with_body: bool
) -> Answer:
    seconds = 3 if tool is None else tool.options.refresh_seconds
    fields += [
        VARIES_WITH_PREFIX,
        (b"location", location.encode()),
        (b"retry-later", b"%d" % seconds),
        (b"retry-after", b"%d" % seconds),
        (b"ivcap-self-report-result", b"true"),
    ]
    if not with_body:
        return Answer(204, b"", None, fields)
    body = {"job-id": job.urn, "status": job.status, "location": location, "retry-later": seconds}
    return json_answer(body, 202, fields)


def result_path(job: Job, tool: BoundTool | None, base: str) -> str:
    """The path of the job's result: under its tool, or at ``/jobs`` for a tool at ``/``."""
    prefix = "" if tool is None or tool.path == "/" else tool.path
    return f"{base}{prefix}/jobs/{job.id}"


def job_record(job: Job, tool: BoundTool | None, base: str, queue_position: int | None = None) -> dict[str, Any]:
    """The job's record in the platform's words. What is not known is left out."""
    links = {
        "self": f"{base}/jobs/{job.id}/status",
        "result": result_path(job, tool, base),
        "events": f"{base}/jobs/{job.id}/events",
    }
    record = {
        "id": job.urn,
        "tool": job.tool,
        "status": job.status,
        "requested-at": _time(job.requested_at),
        "started-at": _time(job.started_at),
        "finished-at": _time(job.finished_at),
        "expires-at": _time(job.expires_at),
        "request-content-type": job.request_content_type,
        "result-content-type": job.result_content_type,
        "error-message": None if job.failure is None else job.failure.message,
        "attempt": job.attempt or None,
        "queue-position": queue_position,
        "progress": job.progress,
        "links": links,
    }
    return {name: value for name, value in record.items() if value is not None}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
