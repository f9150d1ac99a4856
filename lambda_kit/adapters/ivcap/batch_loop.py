"""Batch mode: runs the jobs that the platform hands out, one after another (docs/batch.md)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum

from lambda_kit.adapters.ivcap.envelope import UNKNOWN_JOB_ID, Envelope, read_envelope
from lambda_kit.adapters.ivcap.next_jobs import HandedOut, NextJobs, NoSidecarError, pauses, wait
from lambda_kit.core.errors import (
    JobConflictError,
    JobNotFoundError,
    LambdaKitError,
    NotServingError,
    QueueFullError,
    RequestValidationError,
    UnavailableError,
)
from lambda_kit.core.jobs.awaited_deliveries import AwaitedDelivery
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.model.job import Failure, FailureKind, Payload, bare_job_id, new_job_id
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["BatchEnd", "BatchLoop"]

logger = logging.getLogger("lambda_kit.batch")

_JSON = "application/json"
_NOT_READY_SECONDS = 1.0
_HOLD_SECONDS = 60.0
"""For how long the next job is not asked for, while the result of the one before is not delivered."""

_STOPPING = Failure(
    FailureKind.TOOL,  # not one after which the job would be run again
    "service-stopping",
    "the service was told to stop before the job was begun: its tool was not called, and it can be handed out again",
    status=503,
)


class BatchEnd(Enum):
    """Why the loop has ended, where it was not for an error."""

    DONE = "done"
    """The platform has no more jobs."""
    STOPPED = "stopped"
    """It was told to stop."""


class BatchLoop:
    """Asks for a job, has it run, waits until its result is delivered, and asks for the next one.

    Args:
        jobs: The door to the jobs.
        next_jobs: Where they come from.
        tool: Runs them.
        why_not_ready: Why no job can be run now, in words; None: one can.
    """

    def __init__(
        self,
        jobs: JobService,
        next_jobs: NextJobs,
        tool: BoundTool,
        *,
        why_not_ready: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._jobs = jobs
        self._next_jobs = next_jobs
        self._tool = tool
        self._why_not_ready = why_not_ready
        self._stopping = asyncio.Event()
        self._job_id: str | None = None
        self._nonsense: tuple[float, Iterator[float]] | None = None  # since when, in a row
        self._undelivered: dict[AwaitedDelivery, str] = {}
        self.count = 0
        """How many jobs have ended."""

    async def run(self) -> BatchEnd:
        """Run jobs until there are no more, or `stop` is called.

        Raises:
            NoSidecarError: if nobody hands out jobs.
        """
        while not self._stopping.is_set():
            await self._until_ready()
            handed_out = await self._next_jobs.ask(self._stopping)
            if handed_out is None:
                break
            with credentials_in_use(handed_out.authorization):
                envelope = read_envelope(handed_out.body)
                if envelope.is_done:
                    logger.info("no more jobs: %d were run", self.count)
                    return BatchEnd.DONE
                await self._run_job(envelope, handed_out)
            await self._pause_for_nonsense(
                is_nonsense=envelope.given_id == UNKNOWN_JOB_ID and envelope.fault is not None
            )
        return BatchEnd.STOPPED

    def stop(self, run_seconds: float) -> None:
        """Ask for no more jobs. The one that runs is cancelled after so many seconds, and reported as that."""
        self._stopping.set()
        asyncio.get_running_loop().call_later(run_seconds, self._cancel)

    def undelivered(self) -> list[str]:
        """The jobs whose results are not delivered, by the ids that the platform gave."""
        self._forget_delivered()
        return list(self._undelivered.values())

    # --- inside ---

    async def _until_ready(self) -> None:
        told: str | None = None
        while not self._stopping.is_set() and (reason := await self._why_not_ready()) is not None:
            if reason != told:
                logger.info("no job is asked for yet: %s", reason)
                told = reason
            await wait(self._stopping, _NOT_READY_SECONDS)

    async def _pause_for_nonsense(self, *, is_nonsense: bool) -> None:
        """Ask less often where the answers are no jobs: it may be another server than the sidecar.

        Raises:
            NoSidecarError: if there were no others, for as long as a sidecar is waited for.
        """
        if not is_nonsense:
            self._nonsense = None
            return
        now = time.monotonic()
        if self._nonsense is None:  # the first one may be an accident
            self._nonsense = (now, pauses())
            return
        since, more_pauses = self._nonsense
        if now - since >= self._next_jobs.wait_seconds:
            raise NoSidecarError(f"{self._next_jobs.url} has answered with no jobs, but with something else")
        await wait(self._stopping, next(more_pauses))

    async def _run_job(self, envelope: Envelope, handed_out: HandedOut) -> None:
        refusal = _STOPPING if self._stopping.is_set() else envelope.fault
        body = Payload(envelope.request, _JSON)
        if refusal is None:
            try:
                body = self._tool.json_payload(envelope.request)
            except RequestValidationError as error:
                refusal = _refused(error)
        job_id = await self._free_id(envelope.given_id)
        while True:
            delivery = self._jobs.expect_delivery(job_id)
            self._undelivered[delivery] = envelope.given_id
            self._job_id = job_id
            try:
                await self._submit_and_wait(job_id, envelope.given_id, body, handed_out, refusal)
                break
            except JobConflictError:  # the id is that of another request here; the platform's word counts
                job_id = new_job_id()
            except NotServingError:
                refusal = _STOPPING
            except RequestValidationError as error:
                refusal = _refused(error)
            except JobNotFoundError:  # it has ended, and was forgotten before it could be looked at
                break
            except (QueueFullError, UnavailableError) as error:
                logger.warning("job %s waits: %s", envelope.given_id, error)
                await asyncio.sleep(error.retry_after_seconds)
            except LambdaKitError as error:
                refusal = Failure(FailureKind.TOOL, type(error).__name__, str(error), status=400)
            finally:
                self._job_id = None
            del self._undelivered[delivery]
        self.count += 1
        await self._hold(delivery, envelope.given_id)

    async def _submit_and_wait(
        self, job_id: str, given_id: str, body: Payload, handed_out: HandedOut, refusal: Failure | None
    ) -> None:
        await self._jobs.submit_and_wait(
            self._tool.name,
            body,
            wait_seconds=float("inf"),
            job_id=job_id,
            given_id=None if given_id == job_id else given_id,
            authorization=handed_out.authorization,
            traceparent=handed_out.traceparent,
            tracestate=handed_out.tracestate,
            refusal=refusal,
        )

    async def _free_id(self, given_id: str) -> str:
        """The bare id for a job. Another one where that has ended here before: the platform asks for it again."""
        job_id = None if given_id == UNKNOWN_JOB_ID else bare_job_id(given_id)
        if job_id is None:
            return new_job_id()
        try:
            known = await self._jobs.get(job_id)
        except (JobNotFoundError, UnavailableError):
            return job_id
        return new_job_id() if known.status.is_final else job_id

    async def _hold(self, delivery: AwaitedDelivery, given_id: str) -> None:
        """Let the platform have a result before the next job is asked for, as long as that does not take too long."""
        stopped = asyncio.ensure_future(self._stopping.wait())
        delivered = asyncio.ensure_future(delivery.wait(_HOLD_SECONDS))
        await asyncio.wait({stopped, delivered}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, delivered):
            task.cancel()
        if not delivery.is_confirmed and not self._stopping.is_set():
            logger.warning("job %s: its result is still to be delivered: going on with the next job", given_id)
        self._forget_delivered()

    def _forget_delivered(self) -> None:
        self._undelivered = {it: job_id for it, job_id in self._undelivered.items() if not it.is_confirmed}

    def _cancel(self) -> None:
        if self._job_id is not None:
            logger.warning("job %s does not end in time and is cancelled", self._job_id)
            self._jobs.cancel_soon(self._job_id)


def _refused(error: RequestValidationError) -> Failure:
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors)
    message = str(error) if len(error.errors) == 1 else f"{error}: {faults}"
    return Failure(FailureKind.TOOL, "validation-error", message, status=422)
