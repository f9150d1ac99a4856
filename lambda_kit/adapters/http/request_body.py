"""The body of a tool's POST, as the tool takes it: JSON, or a file of any media type."""

from typing import Protocol, cast

from litestar.types import Empty, HTTPScope, Receive
from litestar.utils.scope.state import ScopeState

from lambda_kit.adapters.http.content_disposition import body_filename
from lambda_kit.adapters.http.headers import is_json_content_type, media_type, shown
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.short_way import take_body
from lambda_kit.core.errors import BadRequestError, PayloadTooLargeError, UnsupportedMediaTypeError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import JSON, OCTET_STREAM, is_media_type
from lambda_kit.core.runtime.temporary_files import TemporaryFiles

__all__ = ["BinaryBody", "JsonBody", "RequestBody", "read_content"]


class RequestBody(Protocol):
    """Reads the bodies of one tool's POSTs."""

    def media(self, fields: dict[bytes, bytes]) -> str:
        """The media type of a body, as it is kept.

        Args:
            fields: The header fields; of several of one name the last.

        Raises:
            UnsupportedMediaTypeError: if the tool does not take bodies of this type.
        """
        ...

    async def read(
        self, scope: HTTPScope, receive: Receive, fields: dict[bytes, bytes], media: str, *, is_alone: bool
    ) -> tuple[Payload, TemporaryFiles | None]:
        """Read a body.

        Args:
            scope: The request's.
            receive: Gives the body.
            fields: The header fields.
            media: What `media` has returned.
            is_alone: Whether nobody else reads the body.

        Returns:
            The body, and the temporary files that it refers to, if any.

        Raises:
            PayloadTooLargeError: if it is over the limit; it is not read to its end.
        """
        ...


class JsonBody:
    """Takes JSON."""

    remedy = "send JSON in UTF-8 as 'application/json'"
    """What a client is told that sends something else."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings

    def media(self, fields: dict[bytes, bytes]) -> str:
        content_type = fields.get(b"content-type")
        if content_type is None or content_type == b"application/json":
            return JSON
        text = content_type.decode("latin-1")
        if not is_json_content_type(text):
            raise UnsupportedMediaTypeError(f"Content-Type {shown(text)}: {self.remedy}")
        return media_type(text)

    async def read(
        self, scope: HTTPScope, receive: Receive, fields: dict[bytes, bytes], media: str, *, is_alone: bool
    ) -> tuple[Payload, TemporaryFiles | None]:
        limit, announced = self._settings.max_body_bytes, fields.get(b"content-length")
        return Payload(await read_content(scope, receive, announced, limit, is_alone=is_alone), media), None


class BinaryBody:
    """Takes any media type as it is."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings

    def media(self, fields: dict[bytes, bytes]) -> str:
        media = fields.get(b"content-type", b"").decode("latin-1").strip() or OCTET_STREAM
        if not is_media_type(media):
            raise UnsupportedMediaTypeError(f"Content-Type {shown(media)} is no media type such as 'image/png'")
        return media

    async def read(
        self, scope: HTTPScope, receive: Receive, fields: dict[bytes, bytes], media: str, *, is_alone: bool
    ) -> tuple[Payload, TemporaryFiles | None]:
        disposition = fields.get(b"content-disposition")
        filename = None if disposition is None else body_filename(disposition.decode("latin-1"))
        limit, announced = self._settings.max_body_bytes, fields.get(b"content-length")
        content = await read_content(scope, receive, announced, limit, is_alone=is_alone)
        return Payload(content, media, filename), None


async def read_content(
    scope: HTTPScope, receive: Receive, announced: bytes | None, limit: int, *, is_alone: bool
) -> bytes:
    """All of a body.

    Args:
        scope: The request's.
        receive: Gives the body.
        announced: The value of ``Content-Length``.
        limit: How many bytes it may have.
        is_alone: Whether nobody else reads the body.

    Raises:
        PayloadTooLargeError: if it is over the limit; it is not read to its end.
        BadRequestError: if the client leaves before its end.
    """
    if is_alone:
        return await _received(receive, announced, limit)
    # a guard or middleware may have read it; it is left where `litestar.Request.body` finds it
    state = ScopeState.from_scope(scope)
    if state.body is Empty:
        state.body = await _received(receive, announced, limit)
    return state.body


async def _received(receive: Receive, announced: bytes | None, limit: int) -> bytes:
    """The request's body.

    Litestar's own reading takes a tenth of the time of a short request, most of it for parsing headers again.
    """
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    whole = take_body(receive)
    if whole is not None:
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
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
