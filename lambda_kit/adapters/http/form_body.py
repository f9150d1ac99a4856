"""The body of a POST to a tool whose request has files: a form, or JSON."""

import logging
import tempfile
from typing import cast

from litestar.types import Empty, HTTPScope, Receive
from litestar.utils.scope.state import ScopeState

from lambda_kit.adapters.http.form_parser import FormParser, boundary_of
from lambda_kit.adapters.http.headers import media_type
from lambda_kit.adapters.http.request_body import JsonBody
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.errors import BadRequestError, NotServingError, PayloadTooLargeError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.form import FORM
from lambda_kit.core.model.job import Payload
from lambda_kit.core.runtime.temporary_files import TemporaryFiles
from lambda_kit.core.runtime.threads import read_off_loop
from lambda_kit.core.tools.form_reader import FormReader

__all__ = ["FormBody"]

logger = logging.getLogger("lambda_kit.http")

_BLOCK_BYTES = 256 * 1024
"""So much of a form is read at once, on a thread: however small the pieces are in which it comes."""
_ALLOWANCE_BYTES = 4 * 2**20
"""So much a form may be larger than its parts: boundaries and header fields."""
_NO_ROOM_SECONDS = 10.0


class FormBody(JsonBody):
    """Takes forms (``multipart/form-data``) and JSON.

    Args:
        settings: Of the HTTP side.
        form: What the tool takes.
        service: Says whether jobs are taken: an upload does not go on when the service stops.
    """

    remedy = "send a form as 'multipart/form-data', or JSON in UTF-8 as 'application/json'"

    def __init__(self, settings: HttpSettings, form: FormReader, service: JobService) -> None:
        super().__init__(settings)
        self._form = form
        self._service = service

    def media(self, fields: dict[bytes, bytes]) -> str:
        content_type = fields.get(b"content-type", b"").decode("latin-1")
        if content_type and media_type(content_type) == FORM:
            return FORM
        return super().media(fields)

    async def read(
        self, scope: HTTPScope, receive: Receive, fields: dict[bytes, bytes], media: str, *, is_alone: bool
    ) -> tuple[Payload, TemporaryFiles | None]:
        if media != FORM:
            return await super().read(scope, receive, fields, media, is_alone=is_alone)
        limit = self._settings.max_upload_bytes
        announced = fields.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit + _ALLOWANCE_BYTES:
            raise _too_large(limit)
        parser = FormParser(
            boundary_of(fields[b"content-type"].decode("latin-1")),
            file_names=self._form.file_names,
            max_upload_bytes=limit,
            max_text_bytes=self._settings.max_body_bytes,
        )
        try:
            body = None if is_alone else ScopeState.from_scope(scope).body  # a guard or middleware may have read it
            if body is None or body is Empty:
                await self._receive(parser, receive, limit)
            else:
                for start in range(0, len(body), _BLOCK_BYTES):
                    await read_off_loop(parser.feed, body[start : start + _BLOCK_BYTES])
            return Payload(await read_off_loop(parser.end), FORM), parser.files
        except OSError as error:
            parser.close()
            logger.error("an upload could not be written to %s: %s", tempfile.gettempdir(), error)
            raise NotServingError("the service has no room for an upload now", _NO_ROOM_SECONDS) from None
        except BaseException:
            parser.close()
            raise

    async def _receive(self, parser: FormParser, receive: Receive, limit: int) -> None:
        block: list[bytes] = []
        waiting = size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequestError("the client went away before the end of its request")
            chunk = cast("bytes", message.get("body", b""))
            is_last = not message.get("more_body", False)
            size += len(chunk)
            if size > limit + _ALLOWANCE_BYTES:
                raise _too_large(limit)
            block.append(chunk)
            waiting += len(chunk)
            if waiting >= _BLOCK_BYTES or (is_last and waiting):
                await read_off_loop(parser.feed, b"".join(block))
                block.clear()
                waiting = 0
            if is_last:
                return
            if not self._service.accepts_jobs:
                raise NotServingError("the service is starting or stopping")


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the form is over the limit of {limit} bytes for all its parts")
