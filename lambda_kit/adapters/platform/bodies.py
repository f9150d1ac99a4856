"""Reads and sends bodies of the platform's routes."""

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
from litestar import Request
from litestar.response import Response

from lambda_kit.core.errors import BadRequestError, PayloadTooLargeError

__all__ = ["chunks", "json_response", "read_body"]

_CHUNK_BYTES = 1024 * 1024


async def chunks(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body of a request as it comes, in pieces of about 1 MiB; it ends early where the client goes away."""
    pieces: list[bytes] = []
    size = 0
    is_more = True
    while is_more:
        message = await request.receive()
        is_more = message["type"] == "http.request" and bool(message.get("more_body", False))
        piece = cast("bytes", message.get("body", b""))
        pieces.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES or not is_more:
            yield b"".join(pieces)
            pieces, size = [], 0


async def read_body(request: Request[Any, Any, Any], limit_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        PayloadTooLargeError: if it is over the limit; it is not read to its end.
        BadRequestError: if the client goes away before its end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and len(announced) < 20 and int(announced) > limit_bytes:
        raise PayloadTooLargeError(f"the body is over the limit of {limit_bytes} bytes")
    pieces: list[bytes] = []
    size = 0
    is_more = True
    while is_more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise BadRequestError("the client went away before the end of its request")
        is_more = message.get("more_body", False)
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit_bytes:
            raise PayloadTooLargeError(f"the body is over the limit of {limit_bytes} bytes")
    return b"".join(pieces)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Plain data as JSON."""
    return Response(
        msgspec.json.encode(content), status_code=status, media_type="application/json", headers=headers or {}
    )
