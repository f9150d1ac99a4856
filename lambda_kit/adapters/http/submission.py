"""A POST, read: from an HTTP request to a `Submission`."""

import functools
import re
from typing import Any

from litestar import Request
from litestar.types import Empty
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
from lambda_kit.core.jobs.submission import Submission
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["read_submission"]

# Never stored with a job (docs/wire.md, Authorization).
_CREDENTIAL = re.compile(rb"authorization|cookie|credential|password|secret|token|api-?key|access-?key|private-?key")


async def read_submission(request: Request[Any, Any, Any], tool: BoundTool, *, max_body_bytes: int) -> Submission:
    """Read what is to be run, and for whom.

    Raises:
        HeaderError: if a header is malformed.
        UnsupportedMediaTypeError: if the body is not announced as JSON.
        PayloadTooLargeError: if the body is over the limit; it is not read to its end.
    """
    raw: list[tuple[bytes, bytes]] = request.scope["headers"]  # type: ignore[assignment]
    fields = dict(raw)
    content_type = fields.get(b"content-type")
    media = JSON_MEDIA_TYPE
    if content_type is not None and content_type != b"application/json":
        text = content_type.decode("latin-1")
        if not is_json_content_type(text):
            raise UnsupportedMediaTypeError(f"Content-Type {text[:80]!r}: send JSON in UTF-8 as 'application/json'")
        media = media_type(text)
    job_id = key = authorization = traceparent = time_limit = None
    if b"job-id" in fields:
        job_id = parse_job_id(_only(raw, b"job-id"))
    elif b"idempotency-key" in fields:
        key = parse_idempotency_key(_only(raw, b"idempotency-key"))
    if b"job-time-limit" in fields:
        time_limit = parse_time_limit(_only(raw, b"job-time-limit"))
    if b"authorization" in fields:
        authorization = fields[b"authorization"].decode("latin-1")
    if b"traceparent" in fields:
        traceparent = fields[b"traceparent"].decode("latin-1")
    return Submission(
        tool=tool,
        body=Payload(await _body(request, fields.get(b"content-length"), max_body_bytes), media),
        job_id=job_id,
        idempotency_key=key,
        request_info=_request_info(request, raw, fields.get(b"host", b"")),
        authorization=authorization,
        traceparent=traceparent,
        transport=request if tool.signature.wants_transport_request else None,
        time_limit_seconds=time_limit,
    )


def _only(raw: list[tuple[bytes, bytes]], name: bytes) -> str:
    """The value of a field that may stand once; several of it are joined, and so malformed (RFC 9110, 5.3)."""
    return ", ".join(header_values(raw, name))


@functools.lru_cache(maxsize=1024)  # clients send the same few names again and again
def _is_credential(name: bytes) -> bool:
    return _CREDENTIAL.search(name) is not None


async def _body(request: Request[Any, Any, Any], announced: bytes | None, limit: int) -> bytes:
    """The request's body, read once, and left where `litestar.Request.body` finds it.

    Litestar's own reading takes a tenth of the time of a short request, most of it for parsing headers again.
    """
    state = ScopeState.from_scope(request.scope)
    if state.body is not Empty:  # a guard or middleware has read it
        return state.body
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequestError("the client went away before the end of its request")
        chunk = message["body"]  # type: ignore[typeddict-item]
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    state.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return state.body


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body is over the limit of {limit} bytes")


def _request_info(request: Request[Any, Any, Any], raw: list[tuple[bytes, bytes]], host: bytes) -> RequestInfo:
    scope = request.scope
    url = f"{scope['scheme']}://{host.decode('latin-1')}{scope.get('root_path', '')}{scope['path']}"
    query = scope["query_string"]
    return RequestInfo(
        method=scope["method"],
        url=f"{url}?{query.decode('latin-1')}" if query else url,
        fields=tuple([field for field in raw if not _is_credential(field[0])]),
        client=scope.get("client"),
    )
