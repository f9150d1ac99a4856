"""A form as it is kept with a job: its parts, whatever they were divided by on the wire (docs/wire.md, Uploads).

Each request divides its parts by another boundary (RFC 2046, 5.1.1). So what is kept, and compared, is the parts.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

__all__ = ["FORM", "FormPart", "decode_form", "encode_form", "form_digest", "packed_form"]

FORM = "multipart/form-data"
"""The media type of a body that `encode_form` made."""


class FormPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One part of a form."""

    name: str
    filename: str | None
    """The last component of the file's name. None: it has none."""
    content_type: str | None
    """The media type, as it was sent."""
    size: int
    """In bytes."""
    digest: bytes
    """Of the content."""
    content: bytes
    """The bytes. Empty where they are in a file."""
    path: str | None = None
    """Within this machine and the life of the job: the file that has the bytes."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: if the file is gone.
        """
        return self.content if self.path is None else Path(self.path).read_bytes()


_decoder = msgspec.msgpack.Decoder(list[FormPart])


def encode_form(parts: Sequence[FormPart]) -> bytes:
    """The parts as bytes."""
    return msgspec.msgpack.encode(parts)


def decode_form(body: bytes) -> list[FormPart]:
    """The parts that `encode_form` made bytes of.

    Raises:
        msgspec.MsgspecError: if it did not.
    """
    return _decoder.decode(body)


def form_digest(body: bytes) -> bytes:
    """Equal for forms of the same parts in the same order: names, names of files, media types and contents."""
    parts = [(part.name, part.filename, part.content_type, part.digest) for part in decode_form(body)]
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).digest()


def packed_form(body: bytes) -> bytes:
    """The same form with all contents in it, for a store that outlives the files. It reads them: not for an event loop.

    Raises:
        OSError: if a file is gone.
    """
    parts = decode_form(body)
    if all(part.path is None for part in parts):
        return body
    return encode_form([msgspec.structs.replace(part, content=part.read(), path=None) for part in parts])
