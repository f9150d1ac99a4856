"""A POST, read: what is to be run, and for whom."""

from typing import Any

from litestar.types import HTTPScope, Receive

from lambda_kit.adapters.http.headers import (
    header_values,
    parse_idempotency_key,
    parse_job_id,
    parse_time_limit,
)
from lambda_kit.adapters.http.request_body import RequestBody
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.request_info import Fields, KeptFields, RequestInfo, redacted_query

__all__ = ["read_submission", "request_info_of"]


async def read_submission(
    scope: HTTPScope,
    receive: Receive,
    fields: dict[bytes, bytes],
    *,
    kept_fields: KeptFields,
    body: RequestBody,
    is_alone: bool,
) -> tuple[Payload, dict[str, Any]]:
    """Read what is to be run, and for whom: the body, and the keywords of `JobService.submit`.

    Args:
        scope: The request's.
        receive: Gives the body.
        fields: The header fields; of several of one name the last.
        kept_fields: Chooses the header fields that are kept with the job.
        body: Reads the body, as the tool takes it.
        is_alone: Whether nobody else reads the body.

    Raises:
        HeaderError: if a header is malformed.
        UnsupportedMediaTypeError: if the tool does not take bodies of this type.
        PayloadTooLargeError: if the body is over the limit; it is not read to its end.
    """
    raw: list[tuple[bytes, bytes]] = scope["headers"]  # type: ignore[assignment]
    media = body.media(fields)
    more: dict[str, Any] = {}
    if b"job-id" in fields:
        more["job_id"] = parse_job_id(_only(raw, b"job-id"))
    if b"idempotency-key" in fields:
        key = parse_idempotency_key(_only(raw, b"idempotency-key"))
        if "job_id" not in more:
            more["idempotency_key"] = key
    if b"job-time-limit" in fields:
        more["time_limit_seconds"] = parse_time_limit(_only(raw, b"job-time-limit"))
    if b"authorization" in fields:
        more["authorization"] = fields[b"authorization"].decode("latin-1")
    if b"traceparent" in fields:
        more["traceparent"] = fields[b"traceparent"].decode("latin-1")
        if b"tracestate" in fields:
            more["tracestate"] = ", ".join(header_values(raw, b"tracestate"))
    more["request_info"] = request_info_of(scope, kept_fields.of(raw), fields.get(b"host", b""))
    payload, files = await body.read(scope, receive, fields, media, is_alone=is_alone)
    if files is not None:
        more["files"] = files
    return payload, more


def _only(raw: list[tuple[bytes, bytes]], name: bytes) -> str:
    """The value of a field that may stand once; several of it are joined, and so malformed (RFC 9110, 5.3)."""
    return ", ".join(header_values(raw, name))


def request_info_of(scope: HTTPScope, kept: Fields, host: bytes) -> RequestInfo:
    """What is kept of a request with its job.

    Args:
        scope: The request's.
        kept: The header fields that are kept.
        host: The value of ``Host``.
    """
    url = f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}{scope.get('root_path', '')}{scope['path']}"
    query = scope["query_string"]
    return RequestInfo(
        method=scope["method"],
        url=f"{url}?{redacted_query(query).decode('latin-1')}" if query else url,
        fields=kept,
        client=scope.get("client"),
    )
