"""One job, being run: what is the same in the server and in a worker process."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

import msgspec

from lambda_kit.core.model.bounds import MAX_NAME_BYTES, bounded_text
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Failure, Job, Outcome, Payload, bare_job_id
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.model.trace import trace_headers
from lambda_kit.core.runtime.credentials import NO_CREDENTIALS, Credentials, credentials_in_use
from lambda_kit.core.runtime.harmless import harmless
from lambda_kit.core.runtime.running import running_job
from lambda_kit.core.runtime.threads import read_off_loop
from lambda_kit.core.tools.context import JobContext, JobControl
from lambda_kit.core.tools.failure import failure_of, is_cancel
from lambda_kit.core.tools.results import BinaryResult, encode_result
from lambda_kit.core.tools.signature import Injected
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["JobSpec", "ToolRun"]

logger = logging.getLogger("lambda_kit.job")

_REQUEST_MODEL = Injected.REQUEST_MODEL  # to read it there takes 0.1 µs on Python 3.11, and each job goes through here
_NOBODY: AbstractContextManager[object] = contextlib.nullcontext()


class Observer(Protocol):
    """The part of `JobObserver` that a run needs."""

    def around_run(self, job: Job) -> AbstractContextManager[object]:
        """A context around the call of the tool."""
        ...

    def around_step(self, job: Job) -> AbstractContextManager[object]:
        """A context around a step that the tool reports."""
        ...

    def for_worker(self, job: Job) -> Job:
        """The record as a worker process gets it."""
        ...


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claimed job with what is needed to run it. It can be sent to another process (msgpack), and is never stored."""

    job: Job
    request: bytes
    """The body, as it came."""
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"JobSpec(job={self.job.id!r}, tool={self.job.tool!r})"  # the rest may be secret


class ToolRun:
    """One job's run by its tool. Implements the run methods of the `Run` protocol.

    Args:
        tool: What is run.
        spec: The job.
        emit: Takes what the tool reports, from any thread.
        value: The decoded request. None: decode it from the spec.
        transport: The `litestar.Request`, for tools that want it.
        observers: Those with a `JobObserver.around_run`.
    """

    __slots__ = ("_context", "_credentials", "_observers", "_spec", "_task", "_transport", "_value", "control", "tool")

    def __init__(
        self,
        tool: BoundTool,
        spec: JobSpec,
        emit: Callable[[NewEvent], None],
        *,
        value: Any = None,
        transport: Any = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.tool = tool
        self._credentials = NO_CREDENTIALS if spec.authorization is None else Credentials(spec.authorization)
        self.control = JobControl(emit, self._credentials, around_step=self._around_step if observers else None)
        self._spec = spec
        self._value = value
        self._transport = transport
        self._observers = observers
        self._context: JobContext | None = None
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    @property
    def job(self) -> Job:
        """The record of the job, as it was claimed."""
        return self._spec.job

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self._spec.job.id

    def spec(self) -> JobSpec:
        """What another process needs to run the job."""
        job = self._spec.job
        for observer in self._observers:
            try:
                job = observer.for_worker(job)
            except Exception:
                logger.exception("job %s: %s.for_worker failed", job.id, type(observer).__name__)
        return self._spec if job is self._spec.job else msgspec.structs.replace(self._spec, job=job)

    def close(self) -> None:
        """Let go of all that belongs to the run: it has ended."""
        self._context = self._value = self._transport = self._task = None
        self.control.close()

    def cancel(self) -> None:
        """Ask the tool to stop at its next cancellation point. From any thread."""
        self.control.is_cancelled = True
        if self._task is not None:
            loop, task = self._task
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop is closed: it has just ended
                return

    def context(self) -> JobContext:
        """The job's context, made when it is first asked for."""
        if self._context is None:
            job = self._spec.job
            self._context = JobContext(
                # a job that the platform has handed out twice is kept here under an id of its own
                job_id=job.id if job.given_id is None else bare_job_id(job.given_id) or job.id,
                given_id=job.given_id,
                job_authorization=self._spec.authorization,
                tool=job.tool,
                attempt=job.attempt,
                deadline=job.deadline,
                principal=job.submitter,
                control=self.control,
                trace=partial(trace_headers, job),
            )
        return self._context

    def run_sync(self) -> Outcome:
        """Run the tool in this thread, an ``async def run`` on an event loop of its own."""
        token = running_job.set(self.context)
        try:
            with credentials_in_use(self._spec.authorization):
                args, kwargs = self._arguments()
                with self._observed():
                    value = self.tool.run(*args, **kwargs)
                    if inspect.iscoroutine(value):
                        value = asyncio.run(self._cancellable(value))
                return self._encoded(value)
        except BaseException as error:  # noqa: BLE001 - nothing that a tool does may stop the server
            return self._outcome_of(error)
        finally:
            running_job.reset(token)

    async def run_async(self) -> Outcome:
        """Run an ``async def run`` on the running loop. A cancel from outside ends it as cancelled."""
        token = running_job.set(self.context)
        try:
            with credentials_in_use(self._spec.authorization):
                args, kwargs = self._arguments()
                with self._observed():
                    value = self.tool.run(*args, **kwargs)
                    if inspect.isawaitable(value):  # a decorator may have returned something else
                        value = await value
                if isinstance(value, BinaryResult):  # it may be a file that has to be read
                    return await read_off_loop(self._encoded, value)
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

    def _observed(self) -> AbstractContextManager[object]:
        if not self._observers:
            return _NOBODY
        return _around(self._observers, self._spec.job)

    def _around_step(self) -> AbstractContextManager[object]:
        job, stack = self._spec.job, contextlib.ExitStack()
        for observer in self._observers:
            name = f"job {job.id}: {type(observer).__name__}.around_step"
            stack.enter_context(harmless(partial(observer.around_step, job), name))
        return stack

    async def _cancellable(self, run: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.ensure_future(run)
        self._task = (asyncio.get_running_loop(), task)
        if self.control.is_cancelled:  # before it could be told
            task.cancel()
        return await task

    def _encoded(self, value: object) -> Outcome:
        outcome = encode_result(value, allows_none=self.tool.signature.allows_none)
        if isinstance(outcome, Payload):
            self.tool.result_check.look_at(value)
        return self.kept(outcome)

    def kept(self, outcome: Outcome) -> Outcome:
        """An outcome as it may be kept: a failure without credentials, and with its texts cut where they are long."""
        if not isinstance(outcome, Failure):
            return outcome
        clean = self._credentials.text
        return msgspec.structs.replace(
            outcome,
            type=bounded_text(clean(outcome.type), MAX_NAME_BYTES),
            message=bounded_text(clean(outcome.message)),
            traceback=None if outcome.traceback is None else bounded_text(clean(outcome.traceback)),
        )

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        signature = self.tool.signature
        args = [self._supply(kind) for kind in signature.positional]
        if not signature.keywords:
            return args, {}
        return args, {name: self._supply(kind) for name, kind in signature.keywords}

    def _supply(self, kind: Injected) -> Any:
        if kind is _REQUEST_MODEL:
            return self._request() if self._value is None else self._value
        if kind is Injected.JOB_CONTEXT:
            return self.context()
        if kind is Injected.REQUEST_INFO:
            info = self._spec.job.request_info
            return RequestInfo(method="POST", url=self.tool.path) if info is None else info
        if self._transport is None and kind is Injected.TRANSPORT_REQUEST:
            raise RuntimeError(
                f"{type(self.tool.tool).__name__}.run wants a litestar.Request, and this job has none: it was not made "
                "by HTTP, or was taken up again; annotate the parameter with RequestInfo instead"
            )
        return self._transport

    def _request(self) -> Any:
        job = self._spec.job
        return self.tool.read(Payload(self._spec.request, job.request_content_type, job.request_filename))

    def _outcome_of(self, error: BaseException) -> Outcome:
        return None if self.control.is_cancelled and is_cancel(error) else self.kept(failure_of(error))


@contextlib.contextmanager
def _around(observers: Sequence[Observer], job: Job) -> Iterator[None]:
    """Enter the contexts of observers; what they raise is logged, what the tool raises passes through them."""
    with contextlib.ExitStack() as stack:
        for observer in observers:
            name = type(observer).__name__
            stack.enter_context(harmless(partial(observer.around_run, job), f"job {job.id}: {name}.around_run"))
        yield
