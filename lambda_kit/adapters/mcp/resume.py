"""A client goes on with the stream of a call that was cut (MCP 2025, Transports, Resumability and Redelivery)."""

import asyncio

from lambda_kit.adapters.mcp.call_record import CallRecord, read_event_id, request_key
from lambda_kit.adapters.mcp.exchange import Exchange, NoAnswer
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.job_watch import CallCancelled, ClientGone, JobWatch
from lambda_kit.adapters.mcp.messages import Json, result_frame
from lambda_kit.adapters.mcp.open_calls import OpenCall, OpenCalls
from lambda_kit.adapters.mcp.request import McpRequest, McpResume, Meta
from lambda_kit.adapters.mcp.results import CallAnswers
from lambda_kit.core.errors import JobNotFoundError
from lambda_kit.core.jobs.waiting import WaitResult

__all__ = ["StreamResume"]

_RETRY_SECONDS = 1.0


class StreamResume:
    """Replays what follows an event of a call's stream, and its answer, from the job's log: at any replica.

    Args:
        host: The server.
        answers: What calls answer.
        open_calls: The calls that are being answered by this process.
    """

    def __init__(self, host: McpHost, answers: CallAnswers, open_calls: OpenCalls) -> None:
        self._host = host
        self._answers = answers
        self._open = open_calls

    async def resume(self, resume: McpResume, exchange: Exchange) -> Json:
        """Send what follows; returns the JSON-RPC message that ends the stream.

        Raises:
            JobNotFoundError: if there is no such stream for this caller. Nothing was sent then.
            NoAnswer: if the stream ends without an answer.
        """
        named = read_event_id(resume.last_event_id)
        if named is None:
            raise JobNotFoundError(resume.last_event_id)
        job_id, number = named
        found = await resume.caller.jobs.wait(job_id, wait_seconds=0.0)
        record = CallRecord.kept_with(found.job)
        if record is None or not record.is_of(resume.session):
            raise JobNotFoundError(job_id)
        if found.job.status.is_final and await resume.caller.jobs.event_reader(found.job, after=number).is_at_end():
            raise NoAnswer  # the client has it
        request = McpRequest(
            id=record.request_id,
            method="tools/call",
            params=b"{}",
            version=record.version,
            session=resume.session,
            meta=Meta(progress_token=record.progress_token),
            caller=resume.caller,
        )
        with self._open.opened(request_key(resume.caller.principal_id, resume.session, request.id)) as call:
            return result_frame(request.id, await self._answer(request, exchange, found, number, call))

    async def _answer(
        self, request: McpRequest, exchange: Exchange, found: WaitResult, number: int, call: OpenCall
    ) -> bytes:
        options, jobs = self._host.options, request.caller.jobs
        watch = JobWatch(
            request,
            exchange,
            heartbeat_seconds=options.heartbeat_seconds,
            is_resumable=True,
            after=number,
            is_resumed=True,
        )
        began_at = asyncio.get_running_loop().time()
        try:
            found = await watch.until_end(found, options.wait_seconds, call)
        except ClientGone:
            raise NoAnswer from None
        except CallCancelled:
            jobs.cancel_soon(found.job.id)
            raise NoAnswer from None
        except asyncio.CancelledError:
            if jobs.accepts_jobs:
                raise
            raise NoAnswer(_RETRY_SECONDS) from None
        waited = asyncio.get_running_loop().time() - began_at
        if not found.job.status.is_final and not jobs.accepts_jobs and waited < options.wait_seconds:
            raise NoAnswer(_RETRY_SECONDS)  # this process stops: another replica, or the next one, goes on
        return await self._answers.answer(request, found, in_stream=True)
