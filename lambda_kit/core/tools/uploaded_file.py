"""`UploadedFile`: a file in a request, the same by form, by JSON, in process and in worker processes."""

import base64
import binascii
import contextlib
import contextvars
import copy
import io
import mimetypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from lambda_kit.core.model.media_type import OCTET_STREAM, is_media_type
from lambda_kit.core.runtime.temporary_files import TemporaryFile
from lambda_kit.core.tools.file_names import clean_filename, file_suffix

__all__ = ["FILE_SCHEMA", "UploadedFile", "file_from_json", "file_reference", "referring_to"]

# the older of the two words is the one that most generators know
_BASE64 = {"type": "string", "format": "byte", "contentEncoding": "base64"}

FILE_SCHEMA: dict[str, Any] = {
    "title": "UploadedFile",
    "description": "A file: in JSON its content in base64, alone or with its name and media type.",
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "filename": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                "content_type": {"type": "string", "default": OCTET_STREAM},
                "content": _BASE64,
            },
            "required": ["content"],
            "additionalProperties": False,
        },
        _BASE64,
    ],
}
"""The JSON Schema of a file."""

_REFERENCE = "$lambda_kit.file"
_referred: contextvars.ContextVar[Sequence["UploadedFile"]] = contextvars.ContextVar("lambda_kit_files", default=())


class UploadedFile:
    """A file in a request: a field of a model, as ``file: UploadedFile``.

    Clients send it by ``multipart/form-data``, or in JSON in base64. It is there until the job has ended.

    In a test make one of bytes or of a file: `UploadedFile.from_bytes`, `UploadedFile.from_path`.
    """

    __slots__ = ("__weakref__", "_content", "_copy", "_path", "_reader", "content_type", "filename", "size")

    filename: str | None
    """The last component of the name that the client gave, without control characters. None: it gave none."""
    content_type: str
    """The media type that the client said; ``application/octet-stream`` where it said none."""
    size: int
    """In bytes."""

    def __init__(self, content: bytes | Path, *, filename: str | None = None, content_type: str = OCTET_STREAM) -> None:
        self.filename = clean_filename(filename)
        self.content_type = content_type
        self.size = content.stat().st_size if isinstance(content, Path) else len(content)
        self._content = None if isinstance(content, Path) else content
        self._path = content if isinstance(content, Path) else None
        self._copy: TemporaryFile | None = None
        self._reader: BinaryIO | None = None

    @classmethod
    def from_bytes(cls, content: bytes, filename: str | None = None, content_type: str = OCTET_STREAM) -> Self:
        """A file of these bytes.

        Args:
            content: What is in it.
            filename: What it is called. None: it has no name.
            content_type: Its media type.
        """
        return cls(bytes(content), filename=filename, content_type=content_type)

    @classmethod
    def from_path(cls, path: str | Path, filename: str | None = None, content_type: str | None = None) -> Self:
        """A file that lies on disk, which is not copied.

        Args:
            path: Where it lies.
            filename: What it is called. None: the name that it has.
            content_type: Its media type. None: guessed by its name.

        Raises:
            OSError: if it can't be found.
        """
        path = Path(path)
        guessed = content_type or mimetypes.guess_type(path.name)[0] or OCTET_STREAM
        return cls(path, filename=filename or path.name, content_type=guessed)

    def read(self, n: int = -1) -> bytes:
        """Read on, as a file does: at most so many bytes, or all that follow. At the end: none."""
        if self._reader is None:
            self._reader = self.open()
        return self._reader.read(n)

    def open(self) -> BinaryIO:
        """Open it for reading, from its beginning, apart from `read`. Close what you have opened."""
        return io.BytesIO(self._content) if self._content is not None else self._on_disk().open("rb")

    @property
    def path(self) -> Path:
        """Where it lies on disk, until the job has ended. A small one is written there when this is first asked for.

        Raises:
            OSError: if there is no room for it.
        """
        if self._path is None:
            file = TemporaryFile(file_suffix(self.filename))
            file.write(self._content or b"")
            file.finish()
            self._copy, self._path = file, file.path
        return self._path

    def _on_disk(self) -> Path:
        if self._path is None:
            raise ValueError("the file is closed")
        return self._path

    def __repr__(self) -> str:
        return f"UploadedFile({self.filename!r}, content_type={self.content_type!r}, size={self.size})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing in it changes, and it may be large

    def __del__(self) -> None:
        if getattr(self, "_reader", None) is not None and self._reader is not None:
            self._reader.close()

    def to_json(self) -> dict[str, Any]:
        """As it is sent in JSON."""
        with self.open() as file:
            content = base64.b64encode(file.read()).decode()
        return {"filename": self.filename, "content_type": self.content_type, "content": content}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            file_from_json,
            ref="lambda_kit.UploadedFile",
            serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return copy.deepcopy(FILE_SCHEMA)


def file_from_json(value: Any) -> UploadedFile:
    """The file that a value of JSON stands for, or the file itself.

    Raises:
        ValueError: says what such a value must be, and never what it is.
    """
    if isinstance(value, UploadedFile):
        return value
    if isinstance(value, str):
        return UploadedFile(_from_base64(value))
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        files, index = _referred.get(), value.get(_REFERENCE) if isinstance(value, dict) else None
        if isinstance(index, int) and 0 <= index < len(files):
            return files[index]
        raise ValueError("a file is its content in base64, or an object with 'content', 'filename' and 'content_type'")
    unknown = value.keys() - {"content", "filename", "content_type"}
    filename, content_type = value.get("filename"), value.get("content_type", OCTET_STREAM)
    if unknown:
        raise ValueError("a file has no other members than 'content', 'filename' and 'content_type'")
    if not (filename is None or isinstance(filename, str)) or not isinstance(content_type, str):
        raise ValueError("'filename' and 'content_type' of a file are strings")
    if not is_media_type(content_type):  # as of a part of a form
        content_type = OCTET_STREAM
    return UploadedFile(_from_base64(value["content"]), filename=filename, content_type=content_type)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the content of a file must be base64 (RFC 4648, 4)") from None


def file_reference(index: int) -> dict[str, int]:
    """What stands in JSON for one of the files that `referring_to` is given."""
    return {_REFERENCE: index}


@contextlib.contextmanager
def referring_to(files: Sequence[UploadedFile]) -> Iterator[None]:
    """Have the references in JSON that is decoded meanwhile stand for these files."""
    token = _referred.set(files)
    try:
        yield
    finally:
        _referred.reset(token)
