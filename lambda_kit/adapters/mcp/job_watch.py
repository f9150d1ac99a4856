"""`JobWatch`: waits for the end of a job, and meanwhile tells the client of it, and looks whether it is there."""

import asyncio
import logging

from lambda_kit.adapters.mcp.call_record import event_id
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.open_calls import OpenCall
from lambda_kit.adapters.mcp.progress import ProgressNotes
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.telling import LAST_NUMBER, ProgressTeller, send_comments
from lambda_kit.adapters.mcp.versions import has_empty_events, has_progress_text
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import Job

__all__ = ["CallCancelled", "ClientGone", "JobWatch", "quick_seconds"]

logger = logging.getLogger("lambda_kit.mcp")

_QUICK_SECONDS = 1.0
"""Shorter waits neither make a stream of the answer nor look whether the client is there: that would cost too much."""

_QUICK_SECONDS_WITH_PROGRESS = 0.05
"""The same where the client waits for progress."""

_LAST_NOTES_SECONDS = 1.0
"""A client that does not read can't keep its answer back for longer."""


class ClientGone(Exception):  # noqa: N818 - no error: it is what happened
    """The client has gone away: nobody waits for the answer."""


class CallCancelled(Exception):  # noqa: N818 - as above
    """The client has cancelled the request: it is not answered."""


def quick_seconds(request: McpRequest) -> float:
    """For how long a request first waits without a `JobWatch`."""
    return _QUICK_SECONDS if request.meta.progress_token is None else _QUICK_SECONDS_WITH_PROGRESS


class JobWatch:
    """Waits for the end of a job on behalf of one request, behind its first, quick wait.

    Args:
        request: The request that is answered.
        exchange: Talks to its client.
        heartbeat_seconds: `McpOptions.heartbeat_seconds`.
        is_resumable: Whether what is sent has ids, by which the stream can be resumed.
        after: The client is told of what follows the event of this number. None: of what is to come.
        is_resumed: Whether the client has heard of the job in a stream before this one.
    """

    def __init__(
        self,
        request: McpRequest,
        exchange: Exchange,
        *,
        heartbeat_seconds: float,
        is_resumable: bool,
        after: int | None,
        is_resumed: bool = False,
    ) -> None:
        self._request = request
        self._jobs = request.caller.jobs
        self._exchange = exchange
        self._heartbeat_seconds = heartbeat_seconds
        self._is_resumable = is_resumable
        self._after = after
        self._is_resumed = is_resumed
        self._last_number: int | None = None

    async def until_end(self, found: WaitResult, seconds: float, call: OpenCall) -> WaitResult:
        """Wait for a job's end, at most so many seconds; less where it is left to others, since this process stops.

        Args:
            found: What the quick wait found.
            seconds: How much longer.
            call: Tells of a cancel.

        Raises:
            ClientGone: if the client has gone away first.
            CallCancelled: if it has cancelled the request first.
            JobNotFoundError: if the job expires meanwhile.
        """
        if call.cancelled.is_set():
            raise CallCancelled
        if found.job.status.is_final:
            await self._tell_all(found.job)
        elif seconds > 0:
            await self._begin_stream(found.job)
            found = await self._watched(found.job, seconds, call)
        if self._is_resumable and found.job.status.is_final and self._exchange.is_stream:
            self._exchange.answer_id = await self._last_event_id(found.job)
        return found

    async def _watched(self, job: Job, seconds: float, call: OpenCall) -> WaitResult:
        self._exchange.watch()
        ended = asyncio.Event()
        waiting = asyncio.ensure_future(self._jobs.wait(job.id, wait_seconds=seconds, known=job))
        leaving = [asyncio.ensure_future(event.wait()) for event in (self._exchange.gone, call.cancelled)]
        telling = asyncio.ensure_future(self._tell(job, ended))
        try:
            await asyncio.wait((waiting, *leaving), return_when=asyncio.FIRST_COMPLETED)
            if call.cancelled.is_set():
                raise CallCancelled
            if not waiting.done():
                raise ClientGone
            found = waiting.result()
            ended.set()
            if found.job.status.is_final:
                await asyncio.wait((telling,), timeout=_LAST_NOTES_SECONDS)
            return found
        finally:
            for task in (waiting, *leaving, telling):
                task.cancel()
            if waiting.done() and not waiting.cancelled():
                waiting.exception()  # it may have failed at the moment of a cancel: nobody asks for it then
            await asyncio.wait((telling,))  # nothing is sent behind the answer

    async def _begin_stream(self, job: Job) -> None:
        """Begin the stream, with what a client needs to resume it."""
        if self._is_resumable and has_empty_events(self._request.version):
            await self._exchange.notify(b"", event_id(job.id, self._after or 0))
        else:
            await self._exchange.keep_alive()

    async def _tell(self, job: Job, ended: asyncio.Event) -> None:
        try:
            teller = self._teller(job)
            if teller is None:
                await send_comments(self._exchange, ended)
            else:
                self._last_number = await teller.tell(ended)
        except Exception:
            logger.exception("job %s: its client is told no more of its progress", job.id)

    async def _tell_all(self, job: Job) -> None:
        """Tell of the progress of a job that has ended, where the client wants to know."""
        if self._request.meta.progress_token is None:
            return
        ended = asyncio.Event()
        ended.set()
        self._exchange.hold()
        await self._tell(job, ended)

    def _teller(self, job: Job) -> ProgressTeller | None:
        token = self._request.meta.progress_token
        if token is None:
            return None
        return ProgressTeller(
            job,
            self._jobs,
            self._exchange,
            ProgressNotes(
                token,
                has_text=has_progress_text(self._request.version),
                began_at=job.requested_at,
                heartbeat_seconds=self._heartbeat_seconds,
                is_resumed=self._is_resumed,
            ),
            heartbeat_seconds=self._heartbeat_seconds,
            has_ids=self._is_resumable,
            after=self._after,
        )

    async def _last_event_id(self, job: Job) -> str | None:
        """The id of the event that is the answer: its number is that of the job's end."""
        number = self._last_number
        if number is None:
            reader = self._jobs.event_reader(job, after=LAST_NUMBER)
            with reader.following():
                await reader.next_batch(0.0)
            number = reader.after
        return event_id(job.id, number) if number < LAST_NUMBER else None
