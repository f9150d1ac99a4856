"""A store that takes its time, as one in another process does: much can happen between a call and its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from lambda_kit import Job, MemoryJobStore
from lambda_kit.core.model.job import Outcome, Payload
from lambda_kit.core.ports.store import Claim, Created, Lease

__all__ = ["HeldStore", "LaggingStore"]

T = TypeVar("T")


class LaggingStore(MemoryJobStore):
    """Lets others have their turn before each change and after it.

    Args:
        lag: What is waited for, of a method's name and "before" or "after".
    """

    is_shared = True

    def __init__(self, lag: Callable[[str, str], Awaitable[None]]) -> None:
        super().__init__()
        self._lag = lag

    async def _late(self, method: str, change: Callable[[], Awaitable[T]]) -> T:
        await self._lag(method, "before")
        try:
            return await change()
        finally:
            await self._lag(method, "after")

    async def create(self, job: Job, request: Payload, **how: Any) -> Created:
        return await self._late("create", partial(super().create, job, request, **how))

    async def claim(self, job_id: str, **how: Any) -> Claim | None:
        return await self._late("claim", partial(super().claim, job_id, **how))

    async def append_events(self, lease: Lease, events: Any, **how: Any) -> int:
        return await self._late("append_events", partial(super().append_events, lease, events, **how))

    async def finish(self, lease: Lease, outcome: Outcome) -> Job:
        return await self._late("finish", partial(super().finish, lease, outcome))

    async def request_cancel(self, job_id: str) -> Job | None:
        return await self._late("request_cancel", partial(super().request_cancel, job_id))


class HeldStore(LaggingStore):
    """Stops at one place until it is let go on.

    Args:
        method: The method that stops.
        when: "before" or "after" its change.
    """

    def __init__(self, method: str, when: str) -> None:
        super().__init__(self._hold)
        self._place = (method, when)
        self.has_come = asyncio.Event()
        self.may_go = asyncio.Event()

    async def _hold(self, *place: str) -> None:
        if place == self._place:
            self.has_come.set()
            await self.may_go.wait()
