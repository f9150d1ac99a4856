"""What the header of an HTTP request says to MCP (MCP, Transports, Streamable HTTP)."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

from litestar.types import HTTPScope
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from lambda_kit.core.model.media_type import JSON, charset_of, is_json

__all__ = ["DEFAULT_VERSION", "Accepted", "HttpHead"]

DEFAULT_VERSION = "2025-03-26"
"""That of a client which names none: the first with this transport, which had no field for it."""

_EVENTS = "text/event-stream"
_UTF8_NAMES = frozenset({"ascii", "us-ascii", "utf-8", "utf8"})
_SESSION = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWS = " \t"
_MOST_ACCEPT_BYTES = 1024  # that many are looked at: the values are remembered
_QUALITY = re.compile(r"[ \t]*q[ \t]*=[ \t]*([0-9.]+)[ \t]*", re.IGNORECASE)


class Accepted(NamedTuple):
    """The types that a client takes (RFC 9110, 12.5.1)."""

    json: bool
    events: bool


_ANYTHING = Accepted(json=True, events=True)


class HttpHead(NamedTuple):
    """What is read of the header before the body is."""

    version: str | None
    """The protocol version that is named, whatever it is. None: none is."""
    accepted: Accepted
    content_type: str | None
    content_length: bytes | None
    session: str | None
    """A session that looks like one of ours."""
    last_event_id: str | None
    mcp_fields: list[tuple[str, str]]
    """All fields that begin with ``mcp-``, without surrounding blanks."""

    @classmethod
    def of(cls, scope: HTTPScope) -> Self:
        """That of a request."""
        version = content_type = session = last_event_id = None
        accept: bytes | None = None
        content_length: bytes | None = None
        mcp_fields: list[tuple[str, str]] = []
        for name, value in scope["headers"]:
            if name.startswith(b"mcp-"):
                mcp_fields.append((name.decode("latin-1"), value.decode("latin-1").strip(_OWS)))
                if name == b"mcp-protocol-version":
                    version = mcp_fields[-1][1]
                elif name == b"mcp-session-id" and _SESSION.fullmatch(value):
                    session = value.decode("latin-1")
            elif name == b"accept":
                accept = value if accept is None else accept + b"," + value
            elif name == b"content-type":
                content_type = value.decode("latin-1")
            elif name == b"content-length":
                content_length = value
            elif name == b"last-event-id":
                last_event_id = value.decode("latin-1").strip(_OWS)
        accepted = _ANYTHING if accept is None else _accepted(accept[:_MOST_ACCEPT_BYTES])
        return cls(version, accepted, content_type, content_length, session, last_event_id, mcp_fields)

    @property
    def is_stateless(self) -> bool:
        """Whether the version is of the era without sessions, or of none that is known."""
        return self.version is not None and self.version not in HANDSHAKE_PROTOCOL_VERSIONS

    @property
    def handshake_version(self) -> str:
        """The version, if it is of the era with sessions."""
        return self.version or DEFAULT_VERSION

    @property
    def is_json(self) -> bool:
        """Whether the body is said to be JSON in UTF-8, or nothing is said of it."""
        content_type = self.content_type
        if content_type is None or content_type == JSON:
            return True
        return is_json(content_type) and (charset_of(content_type) or "utf-8") in _UTF8_NAMES


@lru_cache(maxsize=256)
def _accepted(value: bytes) -> Accepted:
    """What a value of ``Accept`` allows. One that is empty, or no such value at all, allows anything."""
    qualities: dict[str, float] = {}
    for media_range in value.decode("latin-1").lower().split(","):
        name, *parameters = media_range.split(";")
        if name.strip(_OWS):
            qualities[name.strip(_OWS)] = _quality(parameters)
    if not qualities:
        return _ANYTHING
    return Accepted(json=_allows(qualities, JSON), events=_allows(qualities, _EVENTS))


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if found := _QUALITY.fullmatch(parameter):
            try:
                return float(found[1])
            except ValueError:
                return 1.0
    return 1.0


def _allows(qualities: dict[str, float], media_type: str) -> bool:
    """Whether a type is allowed: the range that fits it most closely decides."""
    for name in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if name in qualities:
            return qualities[name] > 0
    return False
