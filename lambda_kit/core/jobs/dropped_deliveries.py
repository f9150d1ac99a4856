"""Gives up what can't be delivered any more, counts it and logs it."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from lambda_kit.core.jobs.statistics import JobStatistics
from lambda_kit.core.ports.outbox import Dropped, DropReason, Outbox

__all__ = ["DroppedDeliveries"]

logger = logging.getLogger("lambda_kit.delivery")

_NAMED = 5
_REGISTER_SECONDS = 60.0
_LEAST_SILENT_SECONDS = 3600.0  # much longer than the time from one registration to the next
_WHY = {
    DropReason.OVERDUE: "not confirmed within delivery_seconds after the end",
    DropReason.NO_ROOM: "the memory store has no room for more",
    DropReason.SINK_GONE: "no process has served this sink for delivery_seconds",
}


class DroppedDeliveries:
    """Counts what was given up, and logs it: a line for each sink and reason, not one for each job.

    Args:
        store: Its outbox says what is given up.
        sinks: Gives the names of the sinks that are served here.
        statistics: Has the numbers.
        delivery_seconds: For how long a sink that nobody serves is waited for; at least an hour.
    """

    def __init__(
        self,
        store: Outbox,
        sinks: Callable[[], Sequence[str]],
        statistics: JobStatistics,
        *,
        delivery_seconds: float,
    ) -> None:
        self._store = store
        self._sinks = sinks
        self._statistics = statistics
        self._silent_seconds = max(delivery_seconds, _LEAST_SILENT_SECONDS)
        self._registered_at = float("-inf")

    async def drop(self, now: float) -> None:
        """Give up what can't be kept any longer.

        The sinks that are served here are registered again before that, from time to time: also after a night in which
        this process was suspended they are not taken for gone.

        Args:
            now: The time by the store's clock.

        Raises:
            UnavailableError: if the store is away.
        """
        if not 0.0 <= now - self._registered_at < _REGISTER_SECONDS:
            for sink in self._sinks():
                await self._store.register_sink(sink)
            self._registered_at = now
        while dropped := await self._store.drop_undelivered(silent_seconds=self._silent_seconds):
            self.note(dropped)

    def note(self, dropped: Sequence[Dropped]) -> None:
        """These were given up."""
        jobs: dict[tuple[str, DropReason], list[str]] = defaultdict(list)
        for one in dropped:
            jobs[one.sink, one.reason].append(one.job_id)
        for (sink, reason), ids in jobs.items():
            self._statistics.sink(sink).dropped["end", reason.value] += len(ids)
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            names = ", ".join(ids[:_NAMED]) + more
            logger.error("sink %s: %d jobs dropped, undelivered: %s (%s)", sink, len(ids), _WHY[reason], names)

    def note_one(self, dropped: Dropped) -> None:
        """This one was given up."""
        self.note([dropped])
