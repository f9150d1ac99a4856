"""What the platform says of jobs: the record, an element of a list, "try later" (docs/wire.md)."""

import base64
from typing import Any

import msgspec

from lambda_kit.adapters.platform.query import path_part
from lambda_kit.adapters.platform.services import ACCOUNT, POLICY
from lambda_kit.core.jobs.failures import CANCELLED_TYPE, cancelled_text
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.model.media_type import JSON, charset_of, essence_of, is_json
from lambda_kit.core.model.rfc3339 import rfc3339

__all__ = [
    "content_member",
    "error_result",
    "job_list_item",
    "job_path",
    "job_record",
    "result_urn",
    "status_word",
    "try_later",
]

_ERROR_SCHEMA = "urn:ivcap:schema.service.error.1"


def status_word(status: JobStatus) -> str:
    """A job's status in the words that ivcap-client knows. It can't read ``cancelled``: that is ``failed`` here."""
    return "failed" if status is JobStatus.CANCELLED else status.value


def job_path(service_id: str, job: Job) -> str:
    """The path of a job's record."""
    return f"/1/services2/{path_part(service_id)}/jobs/{path_part(job.urn)}"


def error_result(job: Job, *, with_traceback: bool) -> Payload:
    """What stands for the result of a job that ended without one, as the platform is told of it."""
    failure = job.failure
    error: dict[str, Any] = {"$schema": _ERROR_SCHEMA}
    if failure is None:
        error |= {"error": cancelled_text(job), "type": CANCELLED_TYPE}
    else:
        error |= {"error": failure.message, "type": failure.type}
        if with_traceback and failure.traceback is not None:
            error["traceback"] = failure.traceback
    return Payload(msgspec.json.encode(error), JSON)


def job_record(
    job: Job, service_id: str, base_url: str, *, request: Payload | None = None, result: Payload | None = None
) -> dict[str, Any]:
    """A job as the platform shows it. What is not known is left out.

    Args:
        job: The job.
        service_id: The id of its service.
        base_url: The public URL of this service.
        request: What is to be shown of the request's content. None: nothing.
        result: What is to be shown as its result. None: nothing.
    """
    href = base_url + job_path(service_id, job)
    record: dict[str, Any] = {
        "id": job.urn,
        "status": status_word(job.status),
        "service": service_id,
        "account": ACCOUNT,
        "policy": POLICY,
        "order": f"urn:ivcap:order:{job.id}",
        "requested-at": rfc3339(job.requested_at),
        "request-content-type": job.request_content_type,
        "links": [
            {"rel": "self", "href": href, "type": JSON},
            {"rel": "output", "href": f"{href}/output", "type": job.result_content_type or JSON},
            {"rel": "events", "href": f"{href}/events", "type": "text/event-stream"},
        ],
    }
    if job.started_at is not None:
        record["started-at"] = rfc3339(job.started_at)
    if job.finished_at is not None:
        record["finished-at"] = rfc3339(job.finished_at)
    if request is not None:
        record["request-content"] = content_member(request)
    if job.status.is_final:
        record["result-content-type"] = job.result_content_type or JSON
        record["result-content-urn"] = result_urn(job)
        if job.status is not JobStatus.SUCCEEDED:
            record["error-message"] = cancelled_text(job) if job.failure is None else job.failure.message
        if result is not None:
            record["result-content"] = content_member(result)
    return record


def result_urn(job: Job) -> str:
    """What the platform would call the result of a job."""
    return f"{job.urn}:result"


def job_list_item(job: Job, service_id: str, base_url: str) -> dict[str, Any]:
    """What a list of jobs says of one."""
    item = {
        "id": job.urn,
        "href": base_url + job_path(service_id, job),
        "service": service_id,
        "status": status_word(job.status),
    }
    if job.started_at is not None:
        item["started-at"] = rfc3339(job.started_at)
    if job.finished_at is not None:
        item["finished-at"] = rfc3339(job.finished_at)
    return item


def try_later(job: Job, service_id: str, base_url: str, refresh_seconds: int) -> dict[str, Any]:
    """What is said of a job whose result is to be asked for later."""
    return {
        "job-id": job.urn,
        "service-id": service_id,
        "location": base_url + job_path(service_id, job),
        "retry-later": refresh_seconds,
    }


def content_member(content: Payload) -> Any:
    """Content as a member of a record: JSON as it is, text as text, bytes in base64."""
    if is_json(content.content_type):
        return msgspec.Raw(content.content)
    if essence_of(content.content_type).startswith("text/"):
        try:
            return content.content.decode(charset_of(content.content_type) or "utf-8")
        except (LookupError, UnicodeDecodeError):
            pass
    return base64.b64encode(content.content).decode()
