"""`ServerPart`: what has the life of a server."""

from typing import Any, Protocol

__all__ = ["ServerPart"]


class ServerPart(Protocol):
    """What `ToolServer.add_part` takes."""

    async def __aenter__(self) -> Any:
        """Begin: jobs can be submitted."""
        ...

    async def __aexit__(self, *_: object) -> Any:
        """End: the jobs are still there."""
        ...

    async def drained(self) -> None:
        """The jobs of this process have ended; nothing is closed yet. Bounded by 5 s."""
        ...
