"""What the OpenAPI document says of each route: the members of its operation."""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import ivcap_service

from lambda_kit.adapters.http.components import JOB_RECORD, PROBLEM
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE
from lambda_kit.adapters.http.upload_operations import request_content
from lambda_kit.core.tools.schema import json_schema
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["collect", "describe_tool", "list_jobs", "liveness", "metrics", "readiness", "run_tool", "status"]

_JSON = "application/json"
_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}


def _header(description: str, schema: Mapping[str, Any] = _STRING) -> dict[str, Any]:
    return {"description": description, "schema": dict(schema)}


_JOB_ID_HEADER = {"job-id": _header("The job's URN, `urn:ivcap:job:<id>`.")}
_RETRY_AFTER = {"Retry-After": _header("Seconds after which to try again.", _INTEGER)}
_APPLIED = {"Preference-Applied": _header("The preferences that were honoured (RFC 7240).")}
_LATER_HEADERS = {
    **_JOB_ID_HEADER,
    **_RETRY_AFTER,
    **_APPLIED,
    "Location": _header("Where to collect the result."),
    "Retry-Later": _header("As Retry-After.", _INTEGER),
    "Ivcap-Self-Report-Result": _header("The service reports the result by itself."),
}
_VERSION = {"Ivcap-AI-Tool-Version": _header("The version of lambda_kit.")}


def _response(
    description: str,
    content: Mapping[str, Mapping[str, Any]] | None = None,
    headers: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": description, "headers": {**(headers or {}), **_VERSION}}
    if content is not None:
        response["content"] = {media: {"schema": schema} for media, schema in content.items()}
    return response


def _problem(description: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return _response(description, {PROBLEM_MEDIA_TYPE: PROBLEM}, headers)


def _request_header(name: str, description: str, schema: Mapping[str, Any] = _STRING) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": dict(schema)}


def _query(name: str, description: str, schema: Mapping[str, Any] = _STRING) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": dict(schema)}


_PREFER = _request_header("Prefer", "`respond-async`, `wait=SECONDS`, `return=representation` (RFC 7240).")


def _result_content(annotation: Any) -> dict[str, Any]:
    if annotation is str:
        return {"text/plain": _STRING}
    if annotation in (bytes, bytearray, memoryview):
        return {"application/octet-stream": {}}
    members = get_args(annotation) if get_origin(annotation) is not None else (annotation,)
    if any(isinstance(tp, type) and issubclass(tp, ivcap_service.BinaryResult) for tp in members):
        return {"*/*": {}}
    return {_JSON: json_schema(annotation)}


def _rebased(schema: Any, pointer: str) -> Any:
    """A self-contained schema, as part of a larger document: its references start at the document's root."""
    if isinstance(schema, Mapping):
        return {
            key: pointer + value[1:]
            if key == "$ref" and isinstance(value, str) and value.startswith("#/$defs/")
            else _rebased(value, pointer)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_rebased(item, pointer) for item in schema]
    return schema


def _pointer(*keys: str) -> str:
    return "#/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)


def _at(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {media: _rebased(schema, _pointer(*keys, media, "schema")) for media, schema in content.items()}


def run_tool(tool: BoundTool) -> dict[str, Any]:
    """``POST {path}``."""
    operation = ("paths", tool.path, "post")
    request = _at(request_content(tool), *operation, "requestBody", "content")
    result = _at(_result_content(tool.signature.result_type), *operation, "responses", "200", "content")
    return {
        "parameters": [
            _request_header("job-id", "The job's id or URN. Known, with the same body: attach to that job."),
            _request_header("Idempotency-Key", "As `job-id`, with a key of your own."),
            _request_header("Timeout", "Seconds to wait for the result.", {"type": "number", "minimum": 0}),
            _PREFER,
            _time_limit_header(tool),
            _request_header("traceparent", "The trace that the job is part of (W3C Trace Context)."),
        ],
        "requestBody": {
            "required": True,
            "content": {media: {"schema": schema} for media, schema in request.items()},
        },
        "responses": {
            "200": _response("The result.", result, {**_JOB_ID_HEADER, **_APPLIED}),
            **_later(),
            "400": _problem("The tool refused the request, or a header is malformed."),
            "409": _problem("The id or key belongs to another request."),
            "413": _problem("The body is too large."),
            "415": _problem("The body is of a type that the tool does not take."),
            "422": _problem("The body does not fit the request model."),
            "429": _problem("The queue is full.", _RETRY_AFTER),
            "500": _problem("The tool failed."),
            "503": _problem("No jobs are taken now.", _RETRY_AFTER),
            "504": _problem("The job ran over its time limit."),
        },
    }


def _time_limit_header(tool: BoundTool) -> dict[str, Any]:
    limit = tool.options.time_limit_seconds
    schema: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0}
    if limit is not None:
        schema["maximum"] = schema["default"] = limit
    return _request_header("Job-Time-Limit", "Seconds for which the job may run, counted from its start.", schema)


def describe_tool() -> dict[str, Any]:
    """``GET {path}``."""
    return {"responses": {"200": _response("The tool description.", {_JSON: {"type": "object"}})}}


def collect(tool: BoundTool | None) -> dict[str, Any]:
    """``GET …/jobs/{id}``."""
    content: dict[str, Any] = {"*/*": {}}
    if tool is not None:
        operation = ("paths", f"{tool.path}/jobs/{{job_id}}", "get")
        content = _at(_result_content(tool.signature.result_type), *operation, "responses", "200", "content")
    return {
        "parameters": [_PREFER],
        "responses": {
            "200": _response("The result.", content, {**_JOB_ID_HEADER, **_APPLIED}),
            **_later(),
            "400": _problem("The tool refused the request, or id or header is malformed."),
            "404": _problem("There is no such job, or it has expired."),
            "410": _problem("The job was cancelled."),
            "500": _problem("The tool failed."),
            "504": _problem("The job ran over its time limit."),
        },
    }


def status() -> dict[str, Any]:
    """``GET /jobs/{id}/status``."""
    return {
        "responses": {
            "200": _response("The job's record.", {_JSON: JOB_RECORD}, _JOB_ID_HEADER),
            "400": _problem("The id is malformed."),
            "404": _problem("There is no such job, or it has expired."),
        }
    }


def events() -> dict[str, Any]:
    """``GET /jobs/{id}/events``."""
    return {
        "parameters": [
            _request_header("Last-Event-ID", "Send only what comes after this event.", _INTEGER),
            _query("after", "As Last-Event-ID.", _INTEGER),
        ],
        "responses": {
            "200": _response("Server-Sent Events.", {"text/event-stream": _STRING}, _JOB_ID_HEADER),
            "400": _problem("The id or Last-Event-ID is malformed."),
            "404": _problem("There is no such job, or it has expired."),
        },
    }


def cancel() -> dict[str, Any]:
    """``DELETE /jobs/{id}``."""
    return {
        "responses": {
            "200": _response("The job is cancelled.", {_JSON: JOB_RECORD}, _JOB_ID_HEADER),
            "202": _response("The job winds down.", {_JSON: JOB_RECORD}, _JOB_ID_HEADER),
            "400": _problem("The id is malformed."),
            "404": _problem("There is no such job, or it has expired."),
            "409": _problem("The job has ended otherwise."),
        }
    }


def list_jobs() -> dict[str, Any]:
    """``GET /jobs``."""
    page = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": JOB_RECORD}, "next-cursor": _STRING},
    }
    return {
        "parameters": [
            _query("tool", "Only this tool's jobs."),
            _query("status", "Only jobs of these statuses, comma-separated."),
            _query("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            _query("cursor", "The `next-cursor` of the page before."),
        ],
        "responses": {
            "200": _response("A page of records.", {_JSON: page}),
            "400": _problem("Limit, status or cursor is malformed."),
        },
    }


def readiness() -> dict[str, Any]:
    """``GET /_healtz``."""
    body = {"type": "object", "properties": {"version": _STRING}}
    return {
        "responses": {
            "200": _response("Jobs are taken.", {_JSON: body}),
            "503": _problem("Starting, draining, or a tool is not ready.", _RETRY_AFTER),
        }
    }


def liveness() -> dict[str, Any]:
    """``GET /_livez``."""
    body = {"type": "object", "properties": {"status": _STRING}}
    return {"responses": {"200": _response("The event loop turns.", {_JSON: body})}}


def metrics() -> dict[str, Any]:
    """``GET /metrics``."""
    content = {"text/plain": _STRING, "application/openmetrics-text": _STRING}
    return {
        "responses": {
            "200": _response("The numbers, in the format that `Accept` prefers.", content),
            "404": _problem("The service was installed without the extra `metrics`."),
        }
    }


def _later() -> dict[str, Any]:
    later = {
        "type": "object",
        "required": ["job-id", "status", "location", "retry-later"],
        "properties": {"job-id": _STRING, "status": _STRING, "location": _STRING, "retry-later": _INTEGER},
    }
    return {
        "202": _response("Try later, where a body is preferred.", {_JSON: later}, _LATER_HEADERS),
        "204": _response("Try later.", None, _LATER_HEADERS),
    }
