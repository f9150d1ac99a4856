"""What the OpenAPI document says of each route: the members of its operation."""

from collections.abc import Collection, Mapping
from typing import Any

from lambda_kit.adapters.http.bodies import result_content
from lambda_kit.adapters.http.components import JOB_RECORD, PROBLEM, TOOL_DESCRIPTION, TRY_LATER, Models
from lambda_kit.adapters.http.parameters import (
    IDEMPOTENCY_KEY,
    JOB_ID,
    JOB_ID_HEADER,
    PREFER,
    TIMEOUT,
    TRACE,
    list_parameters,
    resume_parameters,
    time_limit,
)
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE
from lambda_kit.adapters.http.upload_operations import request_content
from lambda_kit.core.model.media_type import JSON
from lambda_kit.core.tools.tool import BoundTool

__all__ = [
    "cancel",
    "collect",
    "describe_tool",
    "events",
    "list_jobs",
    "liveness",
    "metrics",
    "readiness",
    "refusing",
    "run_tool",
    "status",
]

_STRING = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1}


def _header(description: str, schema: Mapping[str, Any] = _STRING, *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": dict(schema)}


_VERSION = {"Ivcap-AI-Tool-Version": _header("The version of lambda_kit.")}
_JOB = {"job-id": _header("The job's URN, `urn:ivcap:job:<id>`.")}
_JOB_IF_ANY = {"job-id": _header("The URN of the job that failed, if there is one.", required=False)}
_RETRY_AFTER = {"Retry-After": _header("Seconds after which to try again.", _COUNT)}
_APPLIED = {"Preference-Applied": _header("The preferences that were honoured (RFC 7240).", required=False)}
_LATER_HEADERS = {
    **_JOB,
    **_RETRY_AFTER,
    **_APPLIED,
    "Location": _header("Where to collect the result.", {"type": "string", "format": "uri-reference"}),
    "Retry-Later": _header("As Retry-After.", _COUNT),
    "Ivcap-Self-Report-Result": _header("The service reports the result.", {"type": "string", "const": "true"}),
}


def _response(
    description: str,
    content: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    links: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": description, "headers": {**(headers or {}), **_VERSION}}
    if content is not None:
        response["content"] = dict(content)
    if links is not None:
        response["links"] = dict(links)
    return response


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": dict(schema)}}


def _problem(description: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return _response(description, {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM}}, headers)


def _later(links: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "202": _response("Try later, where a body is preferred.", _json(TRY_LATER), _LATER_HEADERS, links),
        "204": _response("Try later.", None, _LATER_HEADERS, links),
    }


def _links(tool: BoundTool) -> dict[str, Any]:
    """Where the job that an answer is about can be asked for."""
    result = "collect" if tool.path == "/" else f"collect_{tool.name}"
    operation_ids = {"result": result, "record": "job_status", "events": "job_events", "cancel": "cancel_job"}
    job_id = {"job_id": "$response.header.job-id"}
    return {name: {"operationId": to, "parameters": job_id} for name, to in operation_ids.items()}


_FORBIDDEN = {"403": _problem("Sent by a page of another origin, or to a `Host` that is not the service's.")}
_NO_JOB = {"404": _problem("There is no such job, or it has expired.")}
_UNAVAILABLE = {"503": _problem("The service can't answer now.", _RETRY_AFTER)}
_OF_JOB = {**_FORBIDDEN, **_NO_JOB, **_UNAVAILABLE}
_TOO_MANY = _problem(
    "The queue is full, or the caller's share is used up.",
    {
        **_RETRY_AFTER,
        "RateLimit-Policy": _header("What one caller may ask for.", required=False),
        "RateLimit": _header("Which of these limits was hit, and when there is room again.", required=False),
    },
)
_FAILED = {
    "500": _problem("The tool failed.", _JOB_IF_ANY),
    "504": _problem("The job ran over its time limit.", _JOB_IF_ANY),
    # a ToolError chooses its status
    "4XX": _problem("The tool refused the request.", _JOB_IF_ANY),
    "5XX": _problem("The tool failed, in a way that it tells by the status.", _JOB_IF_ANY),
}


def run_tool(tool: BoundTool, models: Models, *, limits_callers: bool = False) -> dict[str, Any]:
    """``POST {path}``.

    Args:
        tool: The tool.
        models: Those of all tools.
        limits_callers: Whether one caller may ask for so much only.
    """
    links = _links(tool)
    return {
        "parameters": [JOB_ID_HEADER, IDEMPOTENCY_KEY, TIMEOUT, PREFER, time_limit(tool), *TRACE],
        "requestBody": {"required": True, "content": request_content(tool, models)},
        "responses": {
            "200": _response("The result.", result_content(tool, models), {**_JOB, **_APPLIED}, links),
            **_later(links),
            "400": _problem("The tool refused the request, or a header is malformed.", _JOB_IF_ANY),
            **_FORBIDDEN,
            "409": _problem("The id or key belongs to another request."),
            "413": _problem("The body is too large."),
            "415": _problem("The body is of a media type, or in a content coding, that the tool does not take."),
            "422": _problem("The body does not fit its schema."),
            "429": _TOO_MANY if limits_callers else _problem("The queue is full.", _RETRY_AFTER),
            **_UNAVAILABLE,
            **_FAILED,
        },
    }


def describe_tool() -> dict[str, Any]:
    """``GET {path}``."""
    return {"responses": {"200": _response("The tool description.", _json(TOOL_DESCRIPTION)), **_FORBIDDEN}}


def collect(tool: BoundTool | None, models: Models) -> dict[str, Any]:
    """``GET …/jobs/{id}``."""
    content = {JSON: {}, "*/*": {}} if tool is None else result_content(tool, models)
    return {
        "parameters": [JOB_ID, PREFER, TIMEOUT],
        "responses": {
            "200": _response("The result.", content, {**_JOB, **_APPLIED}),
            **_later(),
            "400": _problem("The tool refused the request, or id or header is malformed.", _JOB_IF_ANY),
            **_OF_JOB,
            "410": _problem("The job was cancelled.", _JOB_IF_ANY),
            **_FAILED,
        },
    }


def status() -> dict[str, Any]:
    """``GET /jobs/{id}/status``."""
    return {
        "parameters": [JOB_ID],
        "responses": {
            "200": _response("The job's record.", _json(JOB_RECORD), _JOB),
            "400": _problem("The id is malformed."),
            **_OF_JOB,
        },
    }


def events() -> dict[str, Any]:
    """``GET /jobs/{id}/events``."""
    return {
        "parameters": [JOB_ID, *resume_parameters()],
        "responses": {
            "200": _response("Server-Sent Events.", {"text/event-stream": {"schema": _STRING}}, _JOB),
            "204": _response("That was the job's last event.", None, _JOB_IF_ANY),
            "400": _problem("The id or Last-Event-ID is malformed."),
            **_OF_JOB,
        },
    }


def cancel() -> dict[str, Any]:
    """``DELETE /jobs/{id}``."""
    return {
        "parameters": [JOB_ID],
        "responses": {
            "200": _response("The job is cancelled.", _json(JOB_RECORD), _JOB),
            "202": _response("The job winds down.", _json(JOB_RECORD), _JOB),
            "400": _problem("The id is malformed."),
            **_OF_JOB,
            "409": _problem("The job has ended otherwise."),
        },
    }


def list_jobs() -> dict[str, Any]:
    """``GET /jobs``."""
    page = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": JOB_RECORD}, "next-cursor": _STRING},
    }
    return {
        "parameters": list_parameters(),
        "responses": {
            "200": _response("A page of records.", _json(page)),
            "400": _problem("Limit, status or cursor is malformed."),
            **_FORBIDDEN,
            **_UNAVAILABLE,
        },
    }


def refusing(responses: Mapping[str, Any], *, has_challenge: bool, scopes: Collection[str]) -> dict[str, Any]:
    """The same responses, of a route that needs credentials.

    Args:
        responses: By status.
        has_challenge: Whether those without credentials are told what to send.
        scopes: Without these, a caller is refused.
    """
    challenge = {"WWW-Authenticate": _header("What to send (RFC 9110, 11.6.1).")}
    ours = {"401": _problem("There are no credentials, or wrong ones.", challenge if has_challenge else None)}
    if scopes:
        words = (
            f"{responses['403']['description']} Or the credentials lack one of the scopes {', '.join(sorted(scopes))}."
        )
        ours["403"] = _problem(words, {name: {**field, "required": False} for name, field in challenge.items()})
    # 503: who has to say whether they are right may be away
    return dict(sorted({**_UNAVAILABLE, **responses, **ours}.items()))


def readiness() -> dict[str, Any]:
    """``GET /_healtz``."""
    body = {"type": "object", "required": ["version"], "properties": {"version": _STRING}}
    return {
        "responses": {
            "200": _response("Jobs are taken.", _json(body)),
            **_FORBIDDEN,
            "503": _problem("Starting, draining, or a tool is not ready.", _RETRY_AFTER),
        }
    }


def liveness() -> dict[str, Any]:
    """``GET /_livez``."""
    body = {"type": "object", "required": ["status"], "properties": {"status": _STRING}}
    return {"responses": {"200": _response("The event loop turns.", _json(body)), **_FORBIDDEN}}


def metrics() -> dict[str, Any]:
    """``GET /metrics``."""
    content = {media: {"schema": _STRING} for media in ("text/plain", "application/openmetrics-text")}
    return {
        "responses": {
            "200": _response("The numbers, in the format that `Accept` prefers.", content),
            **_FORBIDDEN,
            "404": _problem("The service was installed without the extra `metrics`."),
        }
    }
