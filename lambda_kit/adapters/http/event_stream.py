"""The events of a job as Server-Sent Events (docs/wire.md, GET /jobs/{id}/events)."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from lambda_kit.adapters.http.answers import VERSION_FIELD, rfc3339
from lambda_kit.adapters.http.waiting import until_gone
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.events import Event, EventKind, EventPage
from lambda_kit.core.model.job import Job

__all__ = ["EventStream"]

logger = logging.getLogger("lambda_kit.http")

_FIELDS = [
    VERSION_FIELD,
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]

_GAP_SCHEMA = "urn:ivcap:schema:job.gap.1"

# how many events are read at once, and how many bytes are sent in one go, or little more
_PAGE = 200
_MOST_BYTES = 64 * 1024

# a client that does not read can't hold up the end of the server for longer
_GOODBYE_SECONDS = 1.0

# while the store is away it is asked again and again, for so long in a row
_AWAY_SECONDS = 60.0
_AWAY_PAUSE_SECONDS = 0.5


class EventStream:
    """An ASGI response: everything so far, then live, until the job's last event, or the client leaves.

    Args:
        service: Knows the job.
        job: Whose events.
        after: Send only events with a higher number.
        heartbeat_seconds: After so long without an event a comment is sent, to keep proxies awake.
    """

    def __init__(self, service: JobService, job: Job, after: int, *, heartbeat_seconds: float) -> None:
        self._service = service
        self._job = job
        self._after = after
        self._heartbeat_seconds = heartbeat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        fields = [(b"job-id", self._job.urn.encode()), *_FIELDS]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        leaving = asyncio.ensure_future(until_gone(receive))
        sending = asyncio.ensure_future(self._send_events(send))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if self._service.accepts_jobs:
                raise
            # the server has waited for this request as long as it may: a client that resumes loses nothing
            sending.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await send({"type": "http.response.body", "body": b": the service stops\n\n", "more_body": False})
        finally:
            for task in (sending, leaving):
                task.cancel()

    async def _send_events(self, send: Send) -> None:
        with self._service.followers.following(self._job.id) as changed:
            while True:
                changed.clear()  # before reading: what comes in between is not missed
                page = await self._next_page(send)
                if page is None:
                    return
                self._after = min(self._after, page.last_seq)  # no event has that id (yet): send those that come
                for text in self._texts(page.events):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
                if self._after < page.last_seq and page.events:
                    continue
                if page.final:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await changed.wait()
                        continue
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})

    async def _next_page(self, send: Send) -> EventPage | None:
        """What comes behind the last event that was sent. None: the job has expired, or the store stays away.

        A client whose stream ends comes again, with the number of that event, and has lost nothing.
        """
        give_up_at: float | None = None
        while True:
            try:
                return await self._service.store.read_events(self._job.id, after=self._after, limit=_PAGE)
            except UnavailableError as error:
                now = time.monotonic()
                give_up_at = give_up_at or now + _AWAY_SECONDS
                if now >= give_up_at:
                    logger.warning("the events of job %s are not sent to their end: %s", self._job.id, error)
                    return None
            await send({"type": "http.response.body", "body": b": the job store is away\n\n", "more_body": True})
            await asyncio.sleep(_AWAY_PAUSE_SECONDS)

    def _texts(self, events: list[Event]) -> Iterator[bytes]:
        """The events as they are sent, several in one go: that is what a client which does not read holds in memory."""
        texts: list[bytes] = []
        size = 0
        for event in events:
            texts.append(self._rendered(event))
            size += len(texts[-1])
            if size >= _MOST_BYTES:
                yield b"".join(texts)
                texts, size = [], 0
        if texts:
            yield b"".join(texts)

    def _rendered(self, event: Event) -> bytes:
        dropped = event.seq - self._after - 1
        self._after = event.seq
        gap = b""
        if dropped > 0:  # its number is that of the last event that is missing: a client resumes behind the gap
            lost = Event(event.seq - 1, EventKind.STATUS, _GAP_SCHEMA, event.timestamp)
            gap = self._frame(lost, "ivcap.job.gap", {"dropped": dropped}, f"{event.seq - dropped}-{lost.seq}")
        if event.kind is EventKind.STATUS:
            return gap + self._frame(event, "ivcap.job.status", {"status": event.status})
        return gap + self._frame(event, "ivcap.job.event", msgspec.json.decode(event.body, type=dict[str, Any]))

    def _frame(self, event: Event, kind: str, members: dict[str, Any], stretch: str | None = None) -> bytes:
        event_id = event.event_id(self._job)
        if stretch is not None:  # who has seen the dropped event must not take the gap for it
            event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._job.urn}#{stretch}"))
        envelope = {
            "SeqID": f"{event.seq:08d}",
            "eventID": event_id,
            "type": kind,
            "schema": event.schema,
            "source": self._job.tool,
            "timestamp": rfc3339(event.timestamp),
            "data": {"job-urn": self._job.urn} | members | {"job-urn": self._job.urn},
        }
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, kind.encode(), msgspec.json.encode(envelope))
