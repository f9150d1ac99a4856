"""Times as text (RFC 3339)."""

from datetime import UTC, datetime

__all__ = ["rfc3339"]

_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""What a record of an earlier version holds can be later than RFC 3339 can say."""


def rfc3339(seconds: float) -> str:
    """A time in seconds since the epoch, as text in UTC with milliseconds: ``2026-05-01T12:00:00.250Z``."""
    return datetime.fromtimestamp(min(seconds, _LATEST), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
