"""The parameters of the routes, as the OpenAPI document has them (docs/wire.md)."""

from collections.abc import Mapping
from typing import Any

from lambda_kit.core.model.job import JobStatus
from lambda_kit.core.tools.tool import BoundTool

__all__ = [
    "IDEMPOTENCY_KEY",
    "JOB_ID",
    "JOB_ID_HEADER",
    "PREFER",
    "TIMEOUT",
    "TRACE",
    "list_parameters",
    "resume_parameters",
    "time_limit",
]

_STRING = {"type": "string"}

# "." and ".." can't be a part of a path (RFC 3986 section 5.2.4), and another URN is no job's name
_ID = {"type": "string", "pattern": r"^(urn:ivcap:job:)?(?!\.{1,2}$|[uU][rR][nN]:)[A-Za-z0-9._:-]{1,128}$"}

# a quoted string, which the standard wants, or what many send: the key alone
_KEY = {"type": "string", "maxLength": 255, "pattern": r'^("(?! *")([ !#-\[\]-~]|\\["\\])+"|[!#-+\--:<-\[\]-~]+)$'}

_EVENT_ID = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}


def _parameter(
    place: str, name: str, description: str, schema: Mapping[str, Any] = _STRING, **members: Any
) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": place == "path", "description": description, **members}
    return parameter | {"schema": dict(schema)}


JOB_ID = _parameter("path", "job_id", "The job's id, or its URN: `urn:ivcap:job:<id>`.", _ID)
"""Of the routes of a job."""

JOB_ID_HEADER = _parameter(
    "header",
    "job-id",
    "The job's id or URN, where you choose it. Known, with the same body: the request attaches to that job.",
    _ID,
)

IDEMPOTENCY_KEY = _parameter(
    "header", "Idempotency-Key", "A key of your own: a request that is sent again with it runs once.", _KEY
)

TIMEOUT = _parameter(
    "header", "Timeout", "Seconds to wait for the result, in digits.", {"type": "number", "minimum": 0}
)

PREFER = _parameter(
    "header",
    "Prefer",
    "`respond-async`: do not wait. `wait=SECONDS`: wait so long. `return=representation`: answer 202 with a body where "
    "the result is not there yet. Others are ignored (RFC 7240).",
    {"type": "string", "examples": ["respond-async", "wait=20", "respond-async, wait=20, return=representation"]},
)

TRACE = (
    _parameter("header", "traceparent", "The trace that the job is part of (W3C Trace Context)."),
    _parameter("header", "tracestate", "What belongs to it."),
)


def time_limit(tool: BoundTool) -> dict[str, Any]:
    """The header ``Job-Time-Limit``, within the tool's own limit."""
    limit = tool.options.time_limit_seconds
    schema: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0}
    if limit is not None:
        schema["maximum"] = schema["default"] = limit
    description = "Seconds for which the job may run, in digits, counted from its start."
    return _parameter("header", "Job-Time-Limit", description, schema)


def resume_parameters() -> list[dict[str, Any]]:
    """Those of an event stream."""
    return [
        _parameter("header", "Last-Event-ID", "Send only what comes after this event.", _EVENT_ID),
        _parameter("query", "after", "As Last-Event-ID.", _EVENT_ID),
    ]


def list_parameters() -> list[dict[str, Any]]:
    """Those of the list of jobs."""
    statuses = {
        "type": "array",
        "items": {"type": "string", "enum": [status.value for status in JobStatus]},
        "minItems": 1,
    }
    limit = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    return [
        _parameter("query", "tool", "Only this tool's jobs."),
        _parameter("query", "status", "Only jobs of these statuses.", statuses, explode=False),
        _parameter("query", "limit", "How many.", limit),
        _parameter("query", "cursor", "The `next-cursor` of the page before."),
    ]
