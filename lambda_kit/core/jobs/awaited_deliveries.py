"""Who waits until the sinks have confirmed the end of a job."""

import asyncio
from collections.abc import Sized

__all__ = ["AwaitedDeliveries", "AwaitedDelivery"]


class AwaitedDelivery:
    """The delivery of one job's end to all sinks.

    Args:
        sinks: How many have to confirm it.
    """

    __slots__ = ("_is_settled", "_sinks")

    def __init__(self, sinks: int) -> None:
        self._sinks = sinks
        self._is_settled = asyncio.Event()
        if not sinks:
            self._is_settled.set()

    @property
    def is_confirmed(self) -> bool:
        """Whether all sinks have confirmed it, or dropped it for good."""
        return self._sinks <= 0

    async def wait(self, wait_seconds: float) -> None:
        """Wait until all sinks have confirmed it, or one lets nobody wait for it; at most so many seconds."""
        try:
            async with asyncio.timeout(wait_seconds):
                await self._is_settled.wait()
        except TimeoutError:
            return

    def confirm(self) -> None:
        """One more sink has confirmed it."""
        self._sinks -= 1
        if self._sinks <= 0:
            self._is_settled.set()

    def excuse(self) -> None:
        """A sink does not accept the job's credentials: it goes on trying, and nobody should wait for that."""
        self._is_settled.set()


class AwaitedDeliveries:
    """The deliveries that somebody waits for, by job id.

    Args:
        relays: Deliver to one sink each.
    """

    def __init__(self, relays: Sized) -> None:
        self._relays = relays
        self._by_job: dict[str, AwaitedDelivery] = {}

    def expect(self, job_id: str) -> AwaitedDelivery:
        """From now on take note of a job's delivery. To be called before the job is submitted."""
        delivery = AwaitedDelivery(len(self._relays))
        if self._relays:
            self._by_job[job_id] = delivery
        return delivery

    def excused(self, job_id: str) -> None:
        """Nobody should wait for a job's delivery any more. No effect if nobody does."""
        delivery = self._by_job.get(job_id)
        if delivery is not None:
            delivery.excuse()

    def confirmed(self, job_id: str) -> None:
        """A sink has confirmed the end of a job. No effect if nobody waits for it."""
        delivery = self._by_job.get(job_id)
        if delivery is not None:
            delivery.confirm()
            if delivery.is_confirmed:
                del self._by_job[job_id]
