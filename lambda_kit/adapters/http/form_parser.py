"""A form on its way in: its parts, the large ones on disk (docs/wire.md, Uploads).

`multipart` finds the parts. Everything here is done on threads, block by block, in a time that grows with the bytes.
"""

import hashlib
import re
import threading
from collections.abc import Callable
from typing import Any

from multipart import MultipartError, MultipartSegment, ParserError, ParserLimitReached, PushMultipartParser

from lambda_kit.adapters.http.content_disposition import form_names
from lambda_kit.core.errors import BadRequestError, PayloadTooLargeError
from lambda_kit.core.model.form import FormPart, encode_form
from lambda_kit.core.model.media_type import is_media_type
from lambda_kit.core.runtime.temporary_files import TemporaryFile, TemporaryFiles
from lambda_kit.core.tools.file_names import clean_filename, file_suffix

__all__ = ["FormParser", "boundary_of"]

MAX_PARTS = 1000
_SPOOL_BYTES = 2**20
"""Larger parts lie in a temporary file."""
_MEMORY_BYTES = 4 * 2**20
"""So much of one form is kept in memory; then the smaller parts lie in files too."""
_MAX_HEADER_BYTES = 16 * 1024
_MAX_HEADERS = 8

_BOUNDARY = re.compile(r';\s*+boundary\s*+=\s*+(?:"([^"\x00-\x1f\x7f]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """What divides the parts of a form, by its `Content-Type` (RFC 2046, 5.1.1).

    Raises:
        BadRequestError: if it is missing.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise BadRequestError(
            "Content-Type: multipart/form-data without a boundary: let your HTTP client set the field"
        )
    return (found[1] or found[2]).encode("latin-1", "replace")


class _Parser(PushMultipartParser):
    """Leaves the header fields of a part to us, and takes no folded ones, which cost more than they are worth."""

    def _on_segment_headerline(self, line: bytes) -> None:
        if line[:1] in (b" ", b"\t"):
            raise ParserError("a header field of a part is folded")
        super()._on_segment_headerline(line)

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        segment = MultipartSegment([])
        segment.headerlist = headerlist
        return segment


class _Part:
    """The part that is being read."""

    def __init__(self, segment: MultipartSegment) -> None:
        names = form_names(str(segment.header("Content-Disposition", "")))
        if names is None:
            raise BadRequestError('the form has a part without a name: Content-Disposition: form-data; name="…"')
        media = str(segment.header("Content-Type", "")).strip()
        self.name, filename = names
        self._filename = clean_filename(filename)
        self._is_absent_if_empty = filename == ""
        self._content_type = media if is_media_type(media) else None
        self._digest = hashlib.blake2b(digest_size=16)
        self.content = bytearray()
        self.file: TemporaryFile | None = None
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)
        if self.file is None:
            self.content += chunk
        else:
            self.file.write(chunk)

    def spool(self) -> TemporaryFile:
        """Go on in a file."""
        self.file = file = TemporaryFile(file_suffix(self._filename))
        file.write(self.content)
        self.content = bytearray()
        return file

    def done(self) -> FormPart | None:
        """The part. None: a form had an input for a file, and none was chosen."""
        if self.file is not None:
            self.file.finish()
        if self._is_absent_if_empty and self.size == 0:
            return None
        return FormPart(
            self.name,
            self._filename,
            self._content_type,
            self.size,
            self._digest.digest(),
            bytes(self.content),
            None if self.file is None else str(self.file.path),
        )


class FormParser:
    """Reads one form.

    Args:
        boundary: Divides its parts.
        file_names: The names of the parts that are files.
        max_upload_bytes: How large all parts may be together.
        max_text_bytes: How large those may be together that are no files.
    """

    def __init__(
        self, boundary: bytes, *, file_names: frozenset[str], max_upload_bytes: int, max_text_bytes: int
    ) -> None:
        self.files = TemporaryFiles()
        """The files that parts lie in."""
        self._parser = _Parser(
            boundary,
            max_header_size=_MAX_HEADER_BYTES,
            max_header_count=_MAX_HEADERS,
            max_segment_count=MAX_PARTS,
            header_charset="latin-1",
        )
        self._file_names = file_names
        self._max_upload_bytes = max_upload_bytes
        self._max_text_bytes = max_text_bytes
        self._parts: list[FormPart] = []
        self._part: _Part | None = None
        self._bytes = self._text_bytes = self._memory_bytes = 0
        self._busy = threading.Lock()
        self._is_unwanted = False

    def feed(self, block: bytes) -> None:
        """Read on. It writes to disk: not for an event loop.

        Raises:
            BadRequestError: if it is no form, or has too many parts.
            PayloadTooLargeError: if it is too large.
            OSError: if there is no room for it.
        """
        self._alone(lambda: self._read(block))

    def end(self) -> bytes:
        """The form, as it is kept with a job. It digests it: not for an event loop.

        Raises:
            BadRequestError: if its end is missing.
        """
        self._alone(self._parser.close)
        return encode_form(self._parts)

    def close(self) -> None:
        """Give it up, at any time, from any thread: its files are removed, at the latest when `feed` returns."""
        self._is_unwanted = True
        if self._busy.acquire(blocking=False):
            try:
                self.files.close()
            finally:
                self._busy.release()

    def _alone(self, work: Callable[[], Any]) -> None:
        try:
            with self._busy:
                if not self._is_unwanted:
                    work()
        except ParserLimitReached as error:
            if self._parser._segment_count > MAX_PARTS:
                raise BadRequestError(f"the form has more than {MAX_PARTS} parts") from None
            raise BadRequestError(f"the form is malformed: {error}") from None
        except MultipartError as error:
            raise BadRequestError(f"the form is malformed: {error}") from None
        finally:
            if self._is_unwanted:
                self.close()

    def _read(self, block: bytes) -> None:
        for event in self._parser.parse(block):
            if isinstance(event, MultipartSegment):
                self._part = _Part(event)
            elif self._part is None:
                continue
            elif event:
                self._write(self._part, bytes(event))
            else:
                part = self._part.done()
                self._part = None
                if part is not None:
                    self._parts.append(part)

    def _write(self, part: _Part, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._bytes > self._max_upload_bytes:
            raise PayloadTooLargeError(f"the parts of the form are over the limit of {self._max_upload_bytes} bytes")
        if part.name not in self._file_names:
            self._text_bytes += len(chunk)
            if self._text_bytes > self._max_text_bytes:
                raise PayloadTooLargeError(
                    f"the parts of the form that are no files are over the limit of {self._max_text_bytes} bytes"
                )
        if part.file is None:
            self._memory_bytes += len(chunk)
            if part.size + len(chunk) > _SPOOL_BYTES or self._memory_bytes > _MEMORY_BYTES:
                self._memory_bytes -= part.size + len(chunk)
                self.files.add(part.spool())
        part.write(chunk)
