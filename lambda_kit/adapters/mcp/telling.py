"""What a client is told while a job runs: its progress, that it still runs, or nothing but that the stream is alive."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

from lambda_kit.adapters.mcp.call_record import event_id
from lambda_kit.adapters.mcp.exchange import COMMENT_SECONDS, Exchange
from lambda_kit.adapters.mcp.progress import Pace, ProgressNote, ProgressNotes
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.event_reader import EventReader
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.core.model.job import Job, JobStatus

__all__ = ["LAST_NUMBER", "ProgressTeller", "send_comments"]

LAST_NUMBER = 2**31 - 1
"""Behind all events of a log, and a number that every store reads."""

_QUEUED_SECONDS = 1.0
"""A job that has not begun after so long is said to be queued."""

_FULL_BATCH = 64
"""After so many events there may be more at once."""


async def send_comments(exchange: Exchange, ended: asyncio.Event) -> None:
    """Keep the stream of a client alive that asked for no progress."""
    while not await _is_set_within(ended, COMMENT_SECONDS):
        await exchange.keep_alive()


class ProgressTeller:
    """Tells a client of the progress of a job.

    Args:
        job: The job, as it was read last.
        jobs: Has its events.
        exchange: Talks to the client.
        notes: Makes the notifications.
        heartbeat_seconds: After so long without one, the client is told that the job still runs.
        has_ids: Whether the notifications have ids, by which the stream can be resumed.
        after: They are of the events behind this number. None: only of those to come.
    """

    def __init__(
        self,
        job: Job,
        jobs: JobService,
        exchange: Exchange,
        notes: ProgressNotes,
        *,
        heartbeat_seconds: float,
        has_ids: bool,
        after: int | None,
    ) -> None:
        self._job = job
        self._jobs = jobs
        self._exchange = exchange
        self._notes = notes
        self._heartbeat_seconds = heartbeat_seconds
        self._has_ids = has_ids
        self._after = after
        self._status = job.status
        self._pace = Pace()
        self._held: ProgressNote | None = None
        self._told_at = self._written_at = time.monotonic()
        is_queued = job.status is JobStatus.PENDING
        self._silence_seconds = min(heartbeat_seconds, _QUEUED_SECONDS) if is_queued else heartbeat_seconds

    async def tell(self, ended: asyncio.Event) -> int:
        """Go on until the job's last event has been told of.

        Args:
            ended: Set when the job has ended.

        Returns:
            The number of that event.
        """
        if self._after is None and (known := self._notes.begin_with(self._job.progress)) is not None:
            await self._send(known)
        reader = self._jobs.event_reader(self._job, after=LAST_NUMBER if self._after is None else 0)
        with reader.following():
            while not (reader.is_over and ended.is_set()):
                events = await self._next_events(reader, ended)
                await self._send_notes(events)
                if self._seconds_left() <= 0:
                    await self._send_heartbeat()
                if self._held is not None and len(events) < _FULL_BATCH:
                    await _is_set_within(ended, self._pace.interval_seconds)
                    if self._pace.take():
                        await self._send_held()
        await self._send_held()
        return reader.after

    async def _next_events(self, reader: EventReader, ended: asyncio.Event) -> list[Event]:
        seconds = 0.0 if self._held is not None else max(0.0, self._seconds_left())
        if not reader.is_over:
            return await reader.next_batch(seconds)
        await _is_set_within(ended, seconds)  # the store stays away
        return []

    async def _send_notes(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.kind is EventKind.STATUS and event.status is not None:
                self._status = event.status
            note = self._notes.of(event)
            if note is None:
                continue
            if event.seq <= (self._after or 0):
                self._notes.skip(note)
            elif self._held is None and self._pace.take():
                await self._send(note)
            elif self._held is None or note.value > self._held.value:
                self._held = note

    async def _send_held(self) -> None:
        if self._held is not None:
            note, self._held = self._held, None
            await self._send(note)

    async def _send(self, note: ProgressNote) -> bool:
        frame = self._notes.frame(note)
        if frame is None:
            return False
        has_id = self._has_ids and note.event is not None
        await self._exchange.notify(frame, event_id(self._job.id, note.event or 0) if has_id else None)
        self._told_at = self._written_at = time.monotonic()
        return True

    def _seconds_left(self) -> float:
        """How long it is until the client has to hear something."""
        due_at = min(self._told_at + self._silence_seconds, self._written_at + COMMENT_SECONDS)
        return due_at - time.monotonic()

    async def _send_heartbeat(self) -> None:
        if time.monotonic() < self._told_at + self._silence_seconds:
            await self._keep_alive()
            return
        self._silence_seconds = self._heartbeat_seconds
        text = f"still running, {max(0.0, time.time() - self._job.requested_at):.0f} s"
        if self._status is JobStatus.PENDING:
            text = await self._place_in_queue()
        if not await self._send(self._notes.heartbeat(text)):
            self._told_at = time.monotonic()
            await self._keep_alive()

    async def _keep_alive(self) -> None:
        await self._exchange.keep_alive()
        self._written_at = time.monotonic()

    async def _place_in_queue(self) -> str:
        position = None
        with contextlib.suppress(UnavailableError):
            position = (await self._jobs.queue_positions([self._job])).get(self._job.id)
        return "queued" if position is None else f"queued, position {position}"


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
