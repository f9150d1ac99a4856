"""`OpenCalls`: the calls that are being answered by this process."""

import asyncio
import contextlib
from collections.abc import Hashable, Iterator

__all__ = ["OpenCall", "OpenCalls"]


class OpenCall:
    """A request that is being answered."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        """Set when the client has cancelled the request: it is not answered any more."""


class OpenCalls:
    """The open calls by what tells them apart (`call_record.request_key`). An id may come again while one is open."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, list[OpenCall]] = {}
        self._count = 0
        self._empty: asyncio.Event | None = None

    @contextlib.contextmanager
    def opened(self, key: Hashable) -> Iterator[OpenCall]:
        """A call is open until the block is left."""
        call = OpenCall()
        calls = self._by_key.setdefault(key, [])
        calls.append(call)
        self._count += 1
        try:
            yield call
        finally:
            calls.remove(call)
            if not calls:
                del self._by_key[key]
            self._count -= 1
            if self._count == 0 and self._empty is not None:
                self._empty.set()

    def newest(self, key: Hashable) -> OpenCall | None:
        """The last of those with that key that was opened, and is not cancelled. None: there is none here."""
        return next((call for call in reversed(self._by_key.get(key, ())) if not call.cancelled.is_set()), None)

    async def until_empty(self, seconds: float) -> None:
        """Wait until no call is open, at most so long."""
        if self._count == 0:
            return
        self._empty = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
