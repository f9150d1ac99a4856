"""Follows the events of a job: everything so far, then live, with gaps, over outages of the store."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.waiting import Followers
from lambda_kit.core.model.events import Event, EventPage, gap_event
from lambda_kit.core.ports.store import JobStore

__all__ = ["EventReader"]

logger = logging.getLogger("lambda_kit.service")

_PAGE_SIZE = 64  # of each follower that does not read, so many are in memory

# while the store is away it is asked again and again, for so long in a row
_AWAY_SECONDS = 60.0
_AWAY_PAUSE_SECONDS = 0.5


class EventReader:
    """Reads the log of one job in batches. It holds nothing but the number of the last event that it has returned.

    Args:
        store: Has the log.
        followers: Tell of changes.
        job_id: The job.
        after: Begin behind the event of this number.
    """

    def __init__(self, store: JobStore, followers: Followers, job_id: str, after: int) -> None:
        self._store = store
        self._followers = followers
        self._job_id = job_id
        self._changed: asyncio.Event | None = None
        self._give_up_at: float | None = None
        self.after = after
        """The number of the last event that was returned."""
        self.is_over = False
        """Whether no batch comes any more: the job's last event was returned, it has expired, or the store stays away.

        In the last case, reading on behind `after` loses nothing.
        """
        self.is_store_away = False

    async def is_at_end(self) -> bool:
        """Whether the job's last event has been returned already, and none will come.

        Raises:
            UnavailableError: if the store is away.
        """
        page = await self._store.read_events(self._job_id, after=self.after, limit=1)
        return page is not None and page.final and not page.events

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Hear of changes, until the block is left. `next_batch` is for within."""
        with self._followers.following(self._job_id) as changed:
            self._changed = changed
            yield

    async def next_batch(self, timeout_seconds: float) -> list[Event]:
        """The next events, in order; a gap in the log is an event of the kind `EventKind.GAP`.

        Empty after that time without an event, sooner while the store is away, and when `is_over`.
        """
        if self._changed is None:
            raise RuntimeError("next_batch() is for within the block of following()")
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not self.is_over:
            self._changed.clear()  # before reading: what comes in between is not missed
            page = await self._read()
            if page is None:
                return []
            self.after = min(self.after, page.last_seq)  # no event has that number (yet): return those that come
            if page.events:
                events = list(self._with_gaps(page.events))
                self.is_over = page.final and self.after >= page.last_seq
                return events
            if page.final:
                self.is_over = True
                return []
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return []
        return []

    def _with_gaps(self, events: list[Event]) -> Iterator[Event]:
        for event in events:
            dropped = event.seq - self.after - 1
            if dropped > 0:
                yield gap_event(event, dropped)
            self.after = event.seq
            yield event

    async def _read(self) -> EventPage | None:
        try:
            page = await self._store.read_events(self._job_id, after=self.after, limit=_PAGE_SIZE)
        except UnavailableError as error:
            now = time.monotonic()
            self._give_up_at = self._give_up_at or now + _AWAY_SECONDS
            if now >= self._give_up_at:
                logger.warning("the events of job %s are not read to their end: %s", self._job_id, error)
                self.is_over = True
            elif self.is_store_away:
                await asyncio.sleep(_AWAY_PAUSE_SECONDS)
            self.is_store_away = True
            return None
        self.is_store_away = False
        self._give_up_at = None
        if page is None:  # the job has expired
            self.is_over = True
        return page
