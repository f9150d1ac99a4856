"""`SharedLife`: what several use at once is started by the first, and stopped by the last."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from lambda_kit.core.errors import ConfigurationError

__all__ = ["SharedLife"]


class SharedLife:
    """The life of a server, which a lifespan and calls in process may share. On one event loop at a time.

    Args:
        start: Starts it: enters on the stack what is to be left at its end. If it fails, what was entered is left.
    """

    def __init__(self, start: Callable[[AsyncExitStack], Awaitable[None]]) -> None:
        self._start = start
        self._users = 0
        self._opened = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = asyncio.Lock()

    @property
    def is_used(self) -> bool:
        """Whether anybody uses it now."""
        return self._users > 0

    async def enter(self) -> None:
        """Use it; it is started if nobody else does.

        Raises:
            ConfigurationError: if it is used on another event loop, or was when that was closed.
        """
        self._take_loop()
        async with self._changing:
            if self._users == 0:
                async with AsyncExitStack() as opened:
                    await self._start(opened)
                    self._opened = opened.pop_all()
            self._users += 1

    async def leave(self) -> None:
        """Use it no more; it is stopped if nobody else does."""
        async with self._changing:
            self._users -= 1
            if self._users == 0:
                await self._opened.aclose()

    def _take_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._users and self._loop is not None:
            if self._loop.is_closed():
                raise ConfigurationError(
                    "this server was not stopped before its event loop was closed, and what it ran there is lost: "
                    "make a new ToolServer"
                )
            raise ConfigurationError(
                "this server is running on another event loop, maybe in another thread: call it from there, or "
                "make a ToolServer for each"
            )
        # a lock belongs to the event loop on which it is waited for
        self._loop, self._changing, self._users = loop, asyncio.Lock(), 0
