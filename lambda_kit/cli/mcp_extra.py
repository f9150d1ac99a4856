"""The extra `mcp`, where its packages are imported late."""

import contextlib
from collections.abc import Iterator

from lambda_kit.core.errors import MissingExtraError

__all__ = ["needs_mcp"]

_PACKAGES = frozenset(["mcp", "mcp_types"])


@contextlib.contextmanager
def needs_mcp(what: str) -> Iterator[None]:
    """Import what needs the packages of MCP in the block.

    Args:
        what: Is used by that, for the text of the error.

    Raises:
        MissingExtraError: if they are not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise MissingExtraError(what, "mcp") from None
