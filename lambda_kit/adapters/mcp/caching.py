"""How long clients of 2026-07-28 may keep a result, as it says itself (MCP 2026-07-28, `CacheableResult`)."""

from typing import Any, Literal

__all__ = ["FRESH_MILLISECONDS", "cacheable"]

FRESH_MILLISECONDS = 60_000
"""For what changes only when another version of the service is deployed."""


def cacheable(scope: Literal["public", "private"], *, milliseconds: int) -> dict[str, Any]:
    """The members of such a result.

    Args:
        scope: Whether it is the same for everybody.
        milliseconds: How long it may be kept.
    """
    return {"resultType": "complete", "ttlMs": milliseconds, "cacheScope": scope}
