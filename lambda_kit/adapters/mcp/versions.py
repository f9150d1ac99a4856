"""What the versions of the protocol have, where answers depend on it (MCP, Changelog of each version)."""

from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    MODERN_PROTOCOL_VERSIONS,
    is_version_at_least,
)

__all__ = [
    "agreed_version",
    "has_any_structure",
    "has_audio",
    "has_empty_events",
    "has_hints",
    "has_links",
    "has_progress_text",
    "has_structure",
    "has_titles",
    "is_stateless_version",
]


def is_stateless_version(version: str) -> bool:
    """Whether it is of the era without sessions."""
    return version in MODERN_PROTOCOL_VERSIONS


def agreed_version(asked: object) -> str:
    """What ``initialize`` agrees on: the version that the client asks for, else the newest that has this request."""
    return asked if isinstance(asked, str) and asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION


def has_audio(version: str) -> bool:
    """Whether a result can have audio content."""
    return is_version_at_least(version, "2025-03-26")


def has_hints(version: str) -> bool:
    """Whether tools have annotations."""
    return is_version_at_least(version, "2025-03-26")


def has_progress_text(version: str) -> bool:
    """Whether progress has a ``message``."""
    return is_version_at_least(version, "2025-03-26")


def has_titles(version: str) -> bool:
    """Whether tools have a ``title`` beside their annotations."""
    return is_version_at_least(version, "2025-06-18")


def has_structure(version: str) -> bool:
    """Whether tools have output schemas, and results structured content: an object."""
    return is_version_at_least(version, "2025-06-18")


def has_links(version: str) -> bool:
    """Whether a result can link to resources, and its blocks have ``_meta``."""
    return is_version_at_least(version, "2025-06-18")


def has_empty_events(version: str) -> bool:
    """Whether a stream may begin with an event without data; clients of older versions can't read one."""
    return is_version_at_least(version, "2025-11-25")


def has_any_structure(version: str) -> bool:
    """Whether structured content may be any JSON."""
    return is_stateless_version(version)
