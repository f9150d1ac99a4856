"""`JobContext`: what a running tool knows of its job and can do in it."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import ivcap_service
import ivcap_service.events
import msgspec
from ivcap_client.ivcap import IVCAP
from ivcap_service.events import BaseEvent, EventContext, EventReporter, GenericEvent, StepErrorEvent, StepFinishEvent
from ivcap_service.ivcap import SidecarReporter

from lambda_kit.core.errors import JobCancelledError
from lambda_kit.core.model.bounds import MAX_NAME_BYTES, bounded_json, bounded_text
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import JOB_URN_PREFIX, Progress
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.runtime.credentials import NO_CREDENTIALS, Credentials
from lambda_kit.core.runtime.running import running_job
from lambda_kit.core.tools.platform_client import ivcap_client_for

__all__ = ["JobContext", "JobControl", "current_job", "platform_headers"]


class JobControl:
    """What connects a job's context with the run behind it: where events go, and whether to stop."""

    __slots__ = ("_credentials", "_emit", "around_step", "is_cancelled")

    def __init__(
        self,
        emit: Callable[[NewEvent], None],
        credentials: Credentials = NO_CREDENTIALS,
        *,
        around_step: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> None:
        self._emit = emit
        self._credentials = credentials
        self.around_step = around_step
        """Makes what is around each step. None: nothing is."""
        self.is_cancelled = False

    def check(self, job_id: str) -> None:
        """Raise `JobCancelledError` if the job's end was asked for."""
        if self.is_cancelled:
            raise JobCancelledError(f"job '{job_id}' was cancelled")

    def emit(self, schema: str, body: bytes, progress: Progress | None = None) -> None:
        """Put one event into the job's log, without credentials, and with its texts cut where they are too long."""
        body = bounded_json(self._credentials.json(body))
        schema = bounded_text(self._credentials.text(schema), MAX_NAME_BYTES)
        self._emit(NewEvent(schema, body, time.time(), progress))

    def text(self, text: str) -> str:
        """A text of the tool as it may be kept."""
        return bounded_text(self._credentials.text(text))

    def close(self) -> None:
        """Drop what is emitted from now on, and let go of the run: it has ended."""
        self._emit = _ignore
        self.around_step = None


def _ignore(_event: NewEvent) -> None:
    """The run has ended."""


def _as_json(event: BaseEvent) -> bytes:
    text: str = event.model_dump_json()
    if "\\ud" in text:  # maybe a lone surrogate, of a file name for example, which is no character: others refuse it
        text = json.dumps(json.loads(text), ensure_ascii=False)
    return text.encode(errors="replace")


class _Reporter(EventReporter):
    """The reporter of a job: what is emitted goes into the job's log."""

    def __init__(self, job_id: str, job_authorization: str | None, control: JobControl) -> None:
        super().__init__(job_id, job_authorization)
        self._control = control

    def emit(self, event: BaseEvent) -> None:
        given: object = event
        if not isinstance(given, BaseEvent):
            what = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
            raise TypeError(
                f"report.emit takes an event, such as GenericEvent(name='loaded', options={{'rows': 3}}), not {what}"
            )
        super().emit(event)

    def step(self, step_name: str, message: Any = None, **kwargs: Any) -> Any:
        # it has no annotation
        step: AbstractContextManager[EventContext] = super().step(step_name, message, **kwargs)  # type: ignore[no-untyped-call]
        around = self._control.around_step
        return step if around is None else _within(around, step)

    def step_started(self, step_name: str, message: Any = None, **kwargs: Any) -> None:
        _check_step_name(step_name)
        super().step_started(step_name, message, **kwargs)

    def step_finished(self, step_name: str, message: Any = None, **kwargs: Any) -> None:
        _check_step_name(step_name)
        super().step_finished(step_name, message, **kwargs)

    def _send(self, event: BaseEvent) -> None:
        # the events that end a step are exempt, so that a cancelled tool can still close what it opened
        if not isinstance(event, (StepFinishEvent, StepErrorEvent)):
            self._control.check(self.job_id)
        self._control.emit(event.SCHEMA, _as_json(event))


@contextlib.contextmanager
def _within(
    around: Callable[[], AbstractContextManager[object]], step: AbstractContextManager[EventContext]
) -> Iterator[EventContext]:
    with around(), step as events:
        yield events


def _reporter(job_id: str, job_authorization: str | None, control: JobControl) -> EventReporter:
    """The reporter of a job: ours, or that of `ivcap_service.set_event_reporter_factory`, which gets the events too.

    Whatever the factory makes, each event goes into the job's log, from which the sidecar is told: so a reporter of
    ivcap-service's that would send it there itself, and have the tool wait for that, is kept from it.
    """
    own = _Reporter(job_id, job_authorization, control)
    factory: Any = ivcap_service.events.event_reporter_factory
    if factory is None or factory in _PLAIN_REPORTERS:
        return own
    given: object = factory(job_id, job_authorization)
    if not isinstance(given, EventReporter):
        raise TypeError(
            f"the factory of set_event_reporter_factory has to return an EventReporter, not a {type(given).__name__}"
        )
    if type(given) in _PLAIN_REPORTERS:
        return own
    if isinstance(given, SidecarReporter):
        given._ivcap_url = None
    emit = given.emit

    def emit_to_both(event: BaseEvent) -> None:
        own.emit(event)
        emit(event)

    given.emit = emit_to_both  # type: ignore[method-assign]
    return given


_PLAIN_REPORTERS: tuple[object, ...] = (EventReporter, SidecarReporter)


def _check_step_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(
            f"report.step takes the name of the step, and a message: report.step('load', 'Loading ...'), not a "
            f"{type(name).__name__} as the name"
        )


class JobContext(ivcap_service.JobContext):
    """What a tool can ask of and do in its job. `run` gets it by annotating a parameter with this class.

    `job_id` is the bare id, `report` emits events (``report.step(...)``, ``report.emit(...)``), `job_authorization` is
    the ``Authorization`` that came with the request, and `ivcap` is a client of the IVCAP platform.

    Every report and progress call is a cancellation point: it raises `JobCancelledError` once the job was cancelled.
    """

    tool: str = ""
    """The tool's name."""
    given_id: str | None = None
    """The id as the platform gave it, where that is not `job_id`: in batch mode it may be a URN."""
    attempt: int = 1
    """Which run of the job this is, from 1."""
    deadline: float | None = None
    """When the job's time is over, in seconds since the epoch. None: it has no time limit."""
    principal: Principal | None = None
    """Who submitted the job, as known then. None: the service has no authenticator."""

    if TYPE_CHECKING:  # no private attributes of pydantic: to read one takes 2 µs, and to make them as long
        _control: JobControl
        _trace: Callable[[], Mapping[str, str]]

    def __init__(
        self, *, control: JobControl | None = None, trace: Callable[[], Mapping[str, str]] = dict, **data: Any
    ) -> None:
        control = control if control is not None else JobControl(lambda _event: None)
        if "report" not in data:
            data["report"] = _reporter(data["job_id"], data.get("job_authorization"), control)
        super().__init__(**data)
        vars(self).update(_control=control, _trace=trace)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # no credentials: what is shown of a context may end in a log
        return [("job_id", self.job_id), ("tool", self.tool), ("attempt", self.attempt)]

    @property
    def ivcap(self) -> IVCAP:
        """A client of the IVCAP platform that acts with the job's authorization; without a platform, a local folder.

        The platform is at ``$IVCAP_URL`` or ``$IVCAP_BASE_URL``, the folder is ``$IVCAP_LOCAL_DIR``, by default
        ``ivcap-artifacts``. It is made when it is first asked for. Its calls block: an async tool makes them by
        `asyncio.to_thread`.

        Raises:
            ValueError: if ``$IVCAP_URL`` is set, and neither the job nor ``$IVCAP_JWT`` has a token.
        """
        if self._ivcap is None:
            headers = platform_headers(self)
            self._ivcap = ivcap_client_for({k: v for k, v in headers.items() if not k.startswith("trace")})
        return self._ivcap

    @property
    def job_urn(self) -> str:
        """``urn:ivcap:job:<job_id>``."""
        return JOB_URN_PREFIX + self.job_id.removeprefix(JOB_URN_PREFIX)

    @property
    def cancelled(self) -> bool:
        """Whether the job's end was asked for: stop soon, and clean up."""
        return self._control.is_cancelled

    def raise_if_cancelled(self) -> None:
        """Stop here if the job was cancelled.

        Raises:
            JobCancelledError: if so. It is a `BaseException`: let it pass.
        """
        self._control.check(self.job_id)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the job is. It is shown in the job's record and is an event named ``progress``.

        Args:
            done: How much is done, in any unit.
            total: How much there is to do, in the same unit, where that is known.
            message: A line for people.

        Raises:
            JobCancelledError: if the job was cancelled.
            TypeError: if a number is none, or not finite, or the message is no text.
        """
        self._control.check(self.job_id)
        for name, value in (("done", done), ("total", 0 if total is None else total)):
            if not _is_finite(value):
                raise TypeError(f"ctx.progress({name}={value!r}): must be a finite number: ctx.progress(3, 10, 'text')")
        if message is not None:
            if not isinstance(message, str):
                raise TypeError(f"ctx.progress(message=...): must be a str, not a {type(message).__name__}")
            message = self._control.text(message.encode(errors="backslashreplace").decode())
        progress = Progress(_number(done), None if total is None else _number(total), message)
        # as a `GenericEvent` of that name is written, but without making a model of it, which takes ten times as long
        event = {"name": "progress", "options": progress, "$schema": GenericEvent.SCHEMA}
        self._control.emit(GenericEvent.SCHEMA, msgspec.json.encode(event), progress)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _number(value: float) -> int | float:
    """A number that every store, and every reader of JSON, keeps as it is."""
    return int(value) if isinstance(value, int) and abs(value) < 2**53 else float(value)


def current_job() -> JobContext | None:
    """The context of the job that the calling code runs in, in any task or thread. None outside of a job."""
    make: Callable[[], JobContext] | None = running_job.get()
    return None if make is None else make()


def platform_headers(ctx: JobContext) -> dict[str, str]:
    """What a call to the platform on behalf of a job carries: its id, its authorization and its trace.

    It must not be sent to any other host: who knows the id of a job may read its result.
    """
    headers = {"Ivcap-Job-Id": ctx.job_id if ctx.given_id is None else ctx.given_id, **ctx._trace()}
    if ctx.job_authorization:
        headers["Authorization"] = ctx.job_authorization
    return headers
