"""One claimed job, being run."""

import asyncio
import inspect
import threading
import traceback
from typing import Any

import pydantic

from lambda_kit.core.context import JobContext, JobControl, running_job
from lambda_kit.core.errors import JobCancelledError
from lambda_kit.core.events import NewEvent
from lambda_kit.core.job import Failure, FailureKind, Job, Outcome, Payload, RequestInfo
from lambda_kit.core.pump import EventPump
from lambda_kit.core.results import BinaryResult, encode_result
from lambda_kit.core.signature import Injected
from lambda_kit.core.store import Claim, JobStore, Lease
from lambda_kit.core.tool import BoundTool

__all__ = ["ActiveRun", "LiveRequest"]

_making_pump = threading.Lock()


class LiveRequest:
    """What is known of a job's request in the process that took it, and is never stored."""

    __slots__ = ("authorization", "transport", "value")

    def __init__(self, value: Any = None, authorization: str | None = None, transport: Any = None) -> None:
        self.value = value
        """The decoded request. None: decode it from the stored bytes."""
        self.authorization = authorization
        self.transport = transport
        """The `litestar.Request`, for tools that want it."""


class ActiveRun:
    """One claimed job with all that its run needs. Implements the `Run` protocol."""

    __slots__ = ("_claim", "_context", "_live", "_loop", "_store", "control", "lease", "pump", "tool")

    def __init__(self, tool: BoundTool, claim: Claim, live: LiveRequest, store: JobStore) -> None:
        self.tool = tool
        self.lease = Lease(claim.job.id, claim.job.lease_token)
        self.control = JobControl(self._emit)
        self.pump: EventPump | None = None
        self._claim = claim
        self._live = live
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._context: JobContext | None = None

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.lease.job_id

    @property
    def job(self) -> Job:
        """The job as it was claimed."""
        return self._claim.job

    @property
    def authorization(self) -> str | None:
        """The ``Authorization`` of the job's request."""
        return self._live.authorization

    def cancel(self) -> None:
        """Ask the tool to stop at its next cancellation point."""
        self.control.is_cancelled = True

    def context(self) -> JobContext:
        """The job's context, made when it is first asked for."""
        if self._context is None:
            self._context = JobContext(
                job_id=self.job.id,
                job_authorization=self._live.authorization,
                tool=self.job.tool,
                attempt=self.job.attempt,
                control=self.control,
            )
        return self._context

    def run_sync(self) -> Outcome:
        """Run the tool in this thread, an ``async def run`` on an event loop of its own."""
        token = running_job.set(self.context)
        try:
            args, kwargs = self._arguments()
            value = self.tool.run(*args, **kwargs)
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
            return self._encoded(value)
        except BaseException as error:  # noqa: BLE001 - nothing that a tool does may stop the server
            return self._outcome_of(error)
        finally:
            running_job.reset(token)

    async def run_async(self) -> Outcome:
        """Run an ``async def run`` on the running loop. A cancel from outside ends it as cancelled."""
        token = running_job.set(self.context)
        try:
            args, kwargs = self._arguments()
            value = await self.tool.run(*args, **kwargs)
            if isinstance(value, BinaryResult):  # it may be a file that has to be read
                return await asyncio.to_thread(self._encoded, value)
            return self._encoded(value)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                task.uncancel()
                return None
            return self._outcome_of(error)  # the tool raised it by itself
        except BaseException as error:  # noqa: BLE001 - nothing that a tool does may stop the server
            return self._outcome_of(error)
        finally:
            running_job.reset(token)

    def _encoded(self, value: object) -> Outcome:
        outcome = encode_result(value, allows_none=self.tool.signature.allows_none)
        if isinstance(outcome, Payload):
            self.tool.result_check.look_at(value)
        return outcome

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        signature = self.tool.signature
        args = [self._supply(kind) for kind in signature.positional]
        if not signature.keywords:
            return args, {}
        return args, {name: self._supply(kind) for name, kind in signature.keywords}

    def _supply(self, kind: Injected) -> Any:
        if kind is Injected.REQUEST_MODEL:
            if self._live.value is None:
                return self.tool.decode(self._claim.request.content)
            return self._live.value
        if kind is Injected.JOB_CONTEXT:
            return self.context()
        if kind is Injected.REQUEST_INFO:
            made_up = RequestInfo(method="POST", url=self.tool.path)
            return self.job.request_info if self.job.request_info is not None else made_up
        if self._live.transport is None:
            raise RuntimeError(
                f"{type(self.tool.tool).__name__}.run wants a litestar.Request, and this job has none: it was not made "
                "by HTTP, or was taken up again; annotate the parameter with RequestInfo instead"
            )
        return self._live.transport

    def _emit(self, event: NewEvent) -> None:
        with _making_pump:  # a tool may have threads of its own
            if self.pump is None:
                self.pump = EventPump(self._store, self.lease, self._loop)
        self.pump.put(event)

    def _outcome_of(self, error: BaseException) -> Outcome:
        if isinstance(error, JobCancelledError) and self.control.is_cancelled:
            return None
        # A tool's own models that don't validate are the tool's fault, not the caller's, though a ValueError.
        is_callers = isinstance(error, ValueError) and not isinstance(error, pydantic.ValidationError)
        return Failure(
            FailureKind.INVALID_VALUE if is_callers else FailureKind.TOOL,
            type(error).__name__,
            _text_of(error),
            _traceback_of(error),
        )


def _text_of(error: BaseException) -> str:
    try:
        return _encodable(str(error)) or type(error).__name__
    except BaseException:  # noqa: BLE001 - a tool's exception can have a broken __str__
        return type(error).__name__


def _traceback_of(error: BaseException) -> str | None:
    try:
        return _encodable("".join(traceback.format_exception(error)))
    except BaseException:  # noqa: BLE001 - it can have other broken members, such as those of a SyntaxError
        return None


def _encodable(text: str) -> str:
    # a lone surrogate, from a file name for example, can't be stored or sent
    return text.encode(errors="backslashreplace").decode()
