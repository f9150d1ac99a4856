"""The events of a job as the platform sends them (docs/wire.md, The platform's job API)."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from litestar.types import Receive, Scope, Send

from lambda_kit.adapters.platform.job_documents import result_urn, status_word
from lambda_kit.core.errors import JobNotFoundError
from lambda_kit.core.jobs.event_reader import EventReader
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.event_envelope import as_one_line, envelope
from lambda_kit.core.model.events import EventKind
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.media_type import JSON

__all__ = ["HOLD_SECONDS", "PlatformEventStream", "PlatformEvents"]

HOLD_SECONDS = 20.0
"""For so long a request is held for which there is nothing to send."""

_RESULT_SCHEMA = "urn:ivcap:schema:job.result.1"
_HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 0.5
"""So often a request that is held looks whether the service stops."""
_GOODBYE_SECONDS = 1.0
"""A client that does not read can't hold up the end of the server for longer."""


class PlatformEvents:
    """Reads the events of one job in the platform's order: ``ivcap.job.result`` ahead of the final status.

    The log has no event for the result. It gets the number of the final status, the log's last, and that one the next:
    so each has a number of its own, they grow, and a client can go on behind any of them.

    Args:
        service: Knows the job.
        job: Whose events.
        after: Begin behind the event of this number, as it was sent.
    """

    def __init__(self, service: JobService, job: Job, after: int) -> None:
        self._service = service
        self._job = job
        self._after = after
        # one less: what was sent by this number may be the result, which is none of the log's
        self._reader: EventReader = service.event_reader(job, after=max(0, after - 1))
        self._waiting: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Hear of new events, until the block is left. The other methods are for within."""
        with self._reader.following():
            yield

    @property
    def is_over(self) -> bool:
        """Whether all has been returned, and nothing more will come."""
        return self._reader.is_over and not self._waiting

    @property
    def is_store_away(self) -> bool:
        """Whether the store can't be reached now."""
        return self._reader.is_store_away

    async def hold(self, seconds: float) -> bool:
        """Wait until there is something to send, at most so long, and not when the service stops.

        Returns:
            Whether there is.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._waiting:
            left = deadline - loop.time()
            if left <= 0 or not self._service.accepts_jobs:
                return False
            if self._reader.is_over:  # nothing will come: but a client that asks again at once is to wait
                await asyncio.sleep(min(left, _LOOK_SECONDS))
            else:
                self._waiting = await self._read(min(left, _LOOK_SECONDS))
        return True

    async def batch(self, seconds: float) -> list[dict[str, Any]]:
        """The next events, in order. Empty after so long without one."""
        if not self._waiting:
            return await self._read(seconds)
        events, self._waiting = self._waiting, []
        return events

    async def _read(self, seconds: float) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for event in await self._reader.next_batch(seconds):
            sent = envelope(event, self._job)
            if event.kind is EventKind.STATUS and event.status is not None:
                sent["data"]["status"] = status_word(event.status)
                if event.status.is_final:
                    events.append(await self._result(sent))
                    sent["SeqID"] = f"{event.seq + 1:08d}"
            events.append(sent)
        return [sent for sent in events if int(sent["SeqID"]) > self._after]

    async def _result(self, final: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(JobNotFoundError):  # it has expired while its events were read
            self._job = await self._service.get(self._job.id)
        job = self._job
        data = {"job-urn": job.urn, "content-type": job.result_content_type or JSON, "result-urn": result_urn(job)}
        event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{final['eventID']}#result"))
        return {**final, "eventID": event_id, "type": "ivcap.job.result", "schema": _RESULT_SCHEMA, "data": data}


class PlatformEventStream:
    """An ASGI response: the events that were read, then live, until the last one, a limit, or the client leaves.

    Args:
        events: Reads them.
        service: Knows the job.
        fields: Header fields of the answer besides its own.
        most_events: After so many it ends. None: there is no such limit.
        seconds: After so long it ends. None: there is no such limit.
    """

    def __init__(
        self,
        events: PlatformEvents,
        service: JobService,
        fields: list[tuple[bytes, bytes]],
        *,
        most_events: int | None,
        seconds: float | None,
    ) -> None:
        self._events = events
        self._service = service
        self._fields = fields
        self._left = most_events
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        fields = [
            *self._fields,
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would hold events back
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        if scope.get("method") == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        leaving = asyncio.ensure_future(_until_gone(receive))
        sending = asyncio.ensure_future(self._send_events(send))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED, timeout=self._seconds)
            if sending.done():
                sending.result()
            if not leaving.done():
                sending.cancel()
                await asyncio.wait((sending,))
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
        events = self._events
        with events.following():
            while not events.is_over:
                batch = await events.batch(_HEARTBEAT_SECONDS)
                for sent in batch[: self._left]:
                    if (turn := self._service.stream_turn()) is not None:
                        await turn
                    await send({"type": "http.response.body", "body": _rendered(sent), "more_body": True})
                if self._left is not None:
                    self._left -= min(self._left, len(batch))
                    if self._left == 0:
                        return
                if not batch and not events.is_over:
                    comment = b": the job store is away\n\n" if events.is_store_away else b": still here\n\n"
                    await send({"type": "http.response.body", "body": comment, "more_body": True})


def _rendered(sent: dict[str, Any]) -> bytes:
    # the plugin ends at capital Type and Data, others read what the platform's own envelope has
    both = sent | {"Type": sent["type"], "Data": sent["data"]}
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (sent["SeqID"].encode(), sent["type"].encode(), as_one_line(both))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
