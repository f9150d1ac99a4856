"""The blocks of a result's ``content``, as JSON (MCP, Tools, Tool Result). They hold the bytes of results as they are.

Which block a media type becomes is decided by what clients do with it: see docs/mcp.md, Results.
"""

import codecs
import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Any

import msgspec

from lambda_kit.adapters.mcp.versions import has_audio
from lambda_kit.core.model.job import Payload
from lambda_kit.core.model.media_type import charset_of, essence_of, is_json

__all__ = [
    "ARTIFACT_URN_PREFIX",
    "artifact_links",
    "base64_bytes",
    "beginning_of",
    "file_block",
    "is_text",
    "link_block",
    "resource_pieces",
    "text_block",
    "text_of",
]

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_SHOWN_IMAGES = frozenset(kind for _, kind in _SIGNATURES)
"""What model providers take. A chat into which a client puts any other image, or one with a wrong type, can't go on
[claude-code#28279, #58330, #12009]."""

_TEXTS = frozenset(
    f"application/{name}"
    for name in ("xml", "yaml", "x-yaml", "toml", "javascript", "sql", "x-ndjson", "jsonl", "x-jsonlines", "csv")
)
_UNKNOWN = "unknown"
_CHARSETS = frozenset(
    ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "utf-16"]
)

ARTIFACT_URN_PREFIX = "urn:ivcap:artifact:"
_ARTIFACT = re.compile(ARTIFACT_URN_PREFIX.encode() + rb"[0-9A-Za-z]+(?:[-_.:][0-9A-Za-z]+)*")
_MOST_LINKS = 20

_PIECE = 3 * 2**18
"""Bytes: of three bytes become four characters of base64."""


def text_block(text: str) -> bytes:
    """A text. A blank one is said to be empty: providers refuse a chat with a blank block [claude-code#23440]."""
    shown = text if text and not text.isspace() else "(the result is an empty text)"
    return b'{"type":"text","text":%b}' % msgspec.json.encode(shown)


def base64_bytes(content: bytes) -> int:
    """How long they are in base64."""
    return (len(content) + 2) // 3 * 4


def is_text(payload: Payload) -> bool:
    """Whether it is a text by its media type."""
    essence = essence_of(payload.content_type)
    return essence.startswith("text/") or essence.endswith("+xml") or essence in _TEXTS or is_json(essence)


def file_block(payload: Payload, uri: str, version: str) -> bytes:
    """A file as its media type says: an image, audio, or an embedded resource.

    Args:
        payload: The file.
        uri: What it is as a resource.
        version: Of the protocol.
    """
    essence = essence_of(payload.content_type)
    if not payload.content:
        return text_block(f"(the result is an empty file of the type {essence})")
    if essence.startswith("image/"):
        essence = next((kind for pattern, kind in _SIGNATURES if pattern.match(payload.content)), essence)
        if essence in _SHOWN_IMAGES:
            return _media_block(b"image", payload.content, essence)
    if essence.startswith("audio/") and has_audio(version):
        return _media_block(b"audio", payload.content, essence)
    return b'{"type":"resource","resource":%b}' % b"".join(resource_pieces(payload, uri))


def _media_block(kind: bytes, content: bytes, essence: str) -> bytes:
    data = b2a_base64(content, newline=False)
    return b'{"type":"%b","data":"%b","mimeType":%b}' % (kind, data, msgspec.json.encode(essence))


def resource_pieces(payload: Payload, uri: str) -> Iterator[bytes]:
    """What a resource holds (MCP, Resources, Text Content and Binary Content), in pieces of a few ms each.

    Args:
        payload: It.
        uri: The resource's.
    """
    can_be_text = is_text(payload)
    try:
        for _ in _texts(payload) if can_be_text else ():
            yield b""  # to know what it is takes time too
    except (UnicodeDecodeError, LookupError):
        can_be_text = False
    mime_type = essence_of(payload.content_type) if can_be_text else payload.content_type
    kind = b"text" if can_be_text else b"blob"
    yield b'{"uri":%b,"mimeType":%b,"%b":"' % (msgspec.json.encode(uri), msgspec.json.encode(mime_type), kind)
    if can_be_text:
        for text in _texts(payload):
            yield msgspec.json.encode(text)[1:-1]
    else:
        for piece in _chunks(payload):
            yield b2a_base64(piece, newline=False)
    yield b'"}'


def _chunks(payload: Payload) -> Iterator[memoryview]:
    content = memoryview(payload.content)
    return (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))


def _texts(payload: Payload) -> Iterator[str]:
    """The text, in pieces. It fails as `text_of` finds that it is none."""
    decoder = codecs.getincrementaldecoder(_charset_of(payload))()
    for piece in _chunks(payload):
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def text_of(payload: Payload) -> str | None:
    """Its text. None: by its media type it is none, or it is not in the charset that this says, or in one unknown."""
    if not is_text(payload):
        return None
    try:
        return payload.content.decode(_charset_of(payload))
    except (UnicodeDecodeError, LookupError):
        return None


def beginning_of(payload: Payload, count: int) -> str | None:
    """The text of its first so many bytes. None: as `text_of`."""
    if not is_text(payload) or _charset_of(payload) == _UNKNOWN:
        return None
    return payload.content[:count].decode(_charset_of(payload), errors="ignore")


def _charset_of(payload: Payload) -> str:
    charset = charset_of(payload.content_type) or "utf-8"
    return charset if charset in _CHARSETS else _UNKNOWN


def link_block(uri: str, name: str, description: str, mime_type: str | None = None, size: int | None = None) -> bytes:
    """A link to a resource (MCP, Tools, Resource Links)."""
    link: dict[str, Any] = {"type": "resource_link", "uri": uri, "name": name, "description": description}
    if mime_type is not None:
        link["mimeType"] = mime_type
    if size is not None:
        link["size"] = size
    return msgspec.json.encode(link)


def artifact_links(content: bytes) -> list[bytes]:
    """Links to the first 20 artifacts of the IVCAP platform that a text or JSON names."""
    found: dict[str, None] = {}
    for match in _ARTIFACT.finditer(content):
        found.setdefault(match[0].decode())
        if len(found) == _MOST_LINKS:
            break
    text = "An artifact of the IVCAP platform, which gives its content."
    return [link_block(uri, uri.rpartition(":")[2], text) for uri in found]
