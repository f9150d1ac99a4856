"""`BinaryRequest`: a request that is a file, of any media type (docs/wire.md, Uploads)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import OCTET_STREAM, is_media_type
from lambda_kit.core.tools.file_names import clean_filename

__all__ = [
    "BINARY_SCHEMA",
    "BinaryObject",
    "BinaryRequest",
    "binary_payload",
    "binary_reader",
    "is_binary_request",
]


@dataclass(frozen=True, slots=True, repr=False)
class BinaryRequest:
    """A request that is a file. A tool whose request is annotated with it takes every media type as it is.

    Over HTTP the body is the content, whatever it is: ``application/json`` is a file like any other. Callers that can
    send JSON only (MCP, batch, `ToolServer.run_tool` with a dict) send an object with ``content`` (base64),
    ``content_type`` and ``filename``.
    """

    content_type: str
    """The media type as it was sent, with its parameters. Absent: ``application/octet-stream``."""
    content: bytes
    """The body as it was sent."""
    filename: str | None = None
    """The last component of the name that the client gave in ``Content-Disposition``. None: it gave none."""

    def __repr__(self) -> str:
        size = len(self.content)
        return f"BinaryRequest(content_type={self.content_type!r}, filename={self.filename!r}, {size} bytes)"


class BinaryObject(msgspec.Struct, frozen=True):
    """A binary request in JSON, its content in base64."""

    content: bytes
    content_type: str = OCTET_STREAM
    filename: str | None = None

    def __post_init__(self) -> None:
        """See to it that a tool gets what it would get over HTTP."""
        if not is_media_type(self.content_type):
            msgspec.structs.force_setattr(self, "content_type", OCTET_STREAM)
        msgspec.structs.force_setattr(self, "filename", clean_filename(self.filename))


BINARY_SCHEMA: dict[str, Any] = {
    "title": "BinaryRequest",
    "description": (
        "A file. Over HTTP it is the body itself, of any media type: application/json is a file like any other there, "
        "and without a Content-Type it is application/octet-stream. Where only JSON can be sent, it is this object."
    ),
    "type": "object",
    "properties": {
        "content": {"type": "string", "contentEncoding": "base64", "description": "The bytes, in base64."},
        "content_type": {"type": "string", "default": OCTET_STREAM, "description": "The media type of the content."},
        "filename": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": None,
            "description": "The name of the file.",
        },
    },
    "required": ["content"],
}
"""The JSON Schema of a binary request in JSON."""


def is_binary_request(tp: Any) -> bool:
    """Whether a parameter annotated with `tp` takes the body as it is."""
    return tp is bytes or tp is BinaryRequest


def binary_payload(value: bytes | BinaryRequest | BinaryObject) -> Payload:
    """The body that a binary request is kept as: its bytes alone."""
    if isinstance(value, bytes):
        return Payload(value, OCTET_STREAM)
    return Payload(value.content, value.content_type, value.filename)


def binary_reader(tp: Any) -> Callable[[Payload], bytes | BinaryRequest]:
    """Make the function that turns a body into a `BinaryRequest`, or into bytes alone."""
    if tp is bytes:
        return _content
    return _request


def _content(body: Payload) -> bytes:
    return bytes(body.content)


def _request(body: Payload) -> BinaryRequest:
    return BinaryRequest(body.content_type, bytes(body.content), body.filename)
