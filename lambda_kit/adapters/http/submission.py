"""A POST, read: what is to be run, and for whom."""

from typing import Any, cast

from litestar.types import Empty, HTTPScope, Receive
from litestar.utils.scope.state import ScopeState

from lambda_kit.adapters.http.headers import (
    JSON_MEDIA_TYPE,
    header_values,
    is_json_content_type,
    media_type,
    parse_idempotency_key,
    parse_job_id,
    parse_time_limit,
)
from lambda_kit.core.errors import BadRequestError, PayloadTooLargeError, UnsupportedMediaTypeError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.request_info import Fields, KeptFields, RequestInfo, redacted_query

__all__ = ["read_submission"]


async def read_submission(
    scope: HTTPScope,
    receive: Receive,
    fields: dict[bytes, bytes],
    *,
    kept_fields: KeptFields,
    max_body_bytes: int,
    is_alone: bool,
) -> tuple[Payload, dict[str, Any]]:
    """Read what is to be run, and for whom: the body, and the keywords of `JobService.submit`.

    Args:
        scope: The request's.
        receive: Gives the body.
        fields: The header fields; of several of one name the last.
        kept_fields: Chooses the header fields that are kept with the job.
        max_body_bytes: The limit.
        is_alone: Whether nobody else reads the body.

    Raises:
        HeaderError: if a header is malformed.
        UnsupportedMediaTypeError: if the body is not announced as JSON.
        PayloadTooLargeError: if the body is over the limit; it is not read to its end.
    """
    raw: list[tuple[bytes, bytes]] = scope["headers"]  # type: ignore[assignment]
    content_type = fields.get(b"content-type")
    media = JSON_MEDIA_TYPE
    if content_type is not None and content_type != b"application/json":
        text = content_type.decode("latin-1")
        if not is_json_content_type(text):
            raise UnsupportedMediaTypeError(f"Content-Type {text[:80]!r}: send JSON in UTF-8 as 'application/json'")
        media = media_type(text)
    more: dict[str, Any] = {}
    if b"job-id" in fields:
        more["job_id"] = parse_job_id(_only(raw, b"job-id"))
    elif b"idempotency-key" in fields:
        more["idempotency_key"] = parse_idempotency_key(_only(raw, b"idempotency-key"))
    if b"job-time-limit" in fields:
        more["time_limit_seconds"] = parse_time_limit(_only(raw, b"job-time-limit"))
    if b"authorization" in fields:
        more["authorization"] = fields[b"authorization"].decode("latin-1")
    if b"traceparent" in fields:
        more["traceparent"] = fields[b"traceparent"].decode("latin-1")
        if b"tracestate" in fields:
            more["tracestate"] = ", ".join(header_values(raw, b"tracestate"))
    more["request_info"] = _request_info(scope, kept_fields.of(raw), fields.get(b"host", b""))
    announced = fields.get(b"content-length")
    if is_alone:
        return Payload(await _body(receive, announced, max_body_bytes), media), more
    return Payload(await _shared_body(scope, receive, announced, max_body_bytes), media), more


def _only(raw: list[tuple[bytes, bytes]], name: bytes) -> str:
    """The value of a field that may stand once; several of it are joined, and so malformed (RFC 9110, 5.3)."""
    return ", ".join(header_values(raw, name))


async def _shared_body(scope: HTTPScope, receive: Receive, announced: bytes | None, limit: int) -> bytes:
    """The request's body, which a guard or middleware may have read, left where `litestar.Request.body` finds it."""
    state = ScopeState.from_scope(scope)
    if state.body is Empty:
        state.body = await _body(receive, announced, limit)
    return state.body


async def _body(receive: Receive, announced: bytes | None, limit: int) -> bytes:
    """The request's body.

    Litestar's own reading takes a tenth of the time of a short request, most of it for parsing headers again.
    """
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("the client went away before the end of its request")
        chunk = cast("bytes", message.get("body", b""))
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body is over the limit of {limit} bytes")


def _request_info(scope: HTTPScope, kept: Fields, host: bytes) -> RequestInfo:
    url = f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}{scope.get('root_path', '')}{scope['path']}"
    query = scope["query_string"]
    return RequestInfo(
        method=scope["method"],
        url=f"{url}?{redacted_query(query).decode('latin-1')}" if query else url,
        fields=kept,
        client=scope.get("client"),
    )
