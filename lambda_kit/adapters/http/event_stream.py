"""The events of a job as Server-Sent Events (docs/wire.md, GET /jobs/{id}/events)."""

import asyncio
import contextlib
from collections.abc import Iterator

from litestar.types import Receive, Scope, Send

from lambda_kit.adapters.http.answers import VERSION_FIELD
from lambda_kit.adapters.http.waiting import until_gone
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.event_envelope import as_one_line, envelope
from lambda_kit.core.model.events import Event
from lambda_kit.core.model.job import Job

__all__ = ["EventStream"]

_FIELDS = [
    VERSION_FIELD,
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]

# how many bytes are sent in one go, or little more, and how many events are made into text before others have a turn
_MOST_BYTES = 64 * 1024
_MOST_EVENTS = 16

# a client that does not read can't hold up the end of the server for longer
_GOODBYE_SECONDS = 1.0


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
        if scope.get("method") == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
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
        reader = self._service.event_reader(self._job, after=self._after)
        with reader.following():
            while not reader.is_over:
                events = await reader.next_batch(self._heartbeat_seconds)
                await self._send_batch(events, send)
                if not events and not reader.is_over:
                    comment = b": the job store is away\n\n" if reader.is_store_away else b": still here\n\n"
                    await send({"type": "http.response.body", "body": comment, "more_body": True})

    async def _send_batch(self, events: list[Event], send: Send) -> None:
        texts = self._texts(events)
        while True:
            if (turn := self._service.stream_turn()) is not None:
                await turn
            text = next(texts, None)  # made only now
            if text is None:
                return
            await send({"type": "http.response.body", "body": text, "more_body": True})

    def _texts(self, events: list[Event]) -> Iterator[bytes]:
        """The events as they are sent, several in one go: that is what a client which does not read holds in memory."""
        texts: list[bytes] = []
        size = 0
        for event in events:
            texts.append(self._rendered(event))
            size += len(texts[-1])
            if size >= _MOST_BYTES or len(texts) >= _MOST_EVENTS:
                yield b"".join(texts)
                texts, size = [], 0
        if texts:
            yield b"".join(texts)

    def _rendered(self, event: Event) -> bytes:
        sent = envelope(event, self._job)
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, sent["type"].encode(), as_one_line(sent))
