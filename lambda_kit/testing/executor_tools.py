"""The tools of the executors' contract suite. They can be run in any process that can reach the test's gate."""

import asyncio
import contextlib
import contextvars
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import msgspec

from lambda_kit.core.model.job import Job
from lambda_kit.core.model.request_info import RequestInfo
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.tools.context import JobContext
from lambda_kit.core.tools.tool import LambdaTool

__all__ = [
    "AsyncVisitor",
    "BrokenObserver",
    "BrokenVisitor",
    "Hello",
    "NotingObserver",
    "Order",
    "Visitor",
    "caller",
    "result_of",
]

_HOST = "127.0.0.1"
_LOOK_SECONDS = 0.02  # how often a plain tool looks whether it is cancelled

caller: contextvars.ContextVar[str] = contextvars.ContextVar("lambda_kit_caller", default="nobody")
"""A context variable of the submitter."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The request of each job: what its run does."""

    port: int
    """Of the gate, where it waits until it is let go on."""
    is_deaf: bool = False
    """Whether it goes on waiting when it is cancelled."""
    events: int = 0
    """So many it reports before it waits, and as many afterwards."""
    raises: str | None = None
    """Which exception ends it, after the wait."""
    exits: bool = False
    """Whether it ends its whole process, after the wait."""
    padding: str = ""
    """Is returned, with the job's id in front."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a run tells the gate when it comes there: how things look where it is."""

    job_id: str
    tool: str
    authorization: str | None
    attempt: int
    deadline: float | None
    url: str
    caller: str
    process_id: int
    setups: int


class _Strange(Exception):  # noqa: N818
    """Can't be pickled, like many exceptions of many libraries."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def result_of(job_id: str, order: Order) -> str:
    """What the run of a job returns, if nothing comes between."""
    return job_id + order.padding


class _Base(LambdaTool):
    _is_refused: ClassVar[bool] = True  # no tool for a server that serves all that are defined

    def __init__(self) -> None:
        self.setups = 0

    def _hello(self, ctx: JobContext, info: RequestInfo) -> bytes:
        hello = Hello(
            job_id=ctx.job_id,
            tool=ctx.tool,
            authorization=ctx.job_authorization,
            attempt=ctx.attempt,
            deadline=ctx.deadline,
            url=info.url,
            caller=caller.get(),
            process_id=os.getpid(),
            setups=self.setups,
        )
        return msgspec.json.encode(hello) + b"\n"

    def _report(self, req: Order, ctx: JobContext, *, first: int) -> None:
        for number in range(first, first + req.events):
            ctx.progress(number)

    def _end(self, req: Order, ctx: JobContext) -> str:
        self._report(req, ctx, first=req.events)
        if req.exits:
            os._exit(3)
        if req.raises is not None:
            raise {
                "ValueError": ValueError("a bad value"),
                "RuntimeError": RuntimeError("a bad day"),
                "SystemExit": SystemExit("a bad end"),
                "_Strange": _Strange("a bad", " surprise"),
            }[req.raises]
        return result_of(ctx.job_id, req)


class Visitor(_Base):
    """Waits at the gate."""

    name = "visitor"
    path = "/visitor"
    _is_refused: ClassVar[bool] = True

    def setup(self) -> None:
        """Count it."""
        self.setups += 1

    def run(self, req: Order, ctx: JobContext, info: RequestInfo) -> str:
        """Go to the gate, and wait there until the test says go, or closes the gate."""
        self._report(req, ctx, first=0)
        with socket.create_connection((_HOST, req.port)) as sock:
            sock.sendall(self._hello(ctx, info))
            sock.settimeout(_LOOK_SECONDS)
            is_waiting = True
            while is_waiting:
                if not req.is_deaf:
                    ctx.raise_if_cancelled()
                with contextlib.suppress(TimeoutError):
                    sock.recv(1)
                    is_waiting = False
            return self._end(req, ctx)


class AsyncVisitor(_Base):
    """Waits at the gate, as a coroutine."""

    name = "async_visitor"
    path = "/async-visitor"
    _is_refused: ClassVar[bool] = True

    async def setup(self) -> None:
        """Count it."""
        self.setups += 1

    async def run(self, req: Order, ctx: JobContext, info: RequestInfo) -> str:
        """Go to the gate, and wait there until the test says go, or closes the gate."""
        self._report(req, ctx, first=0)
        reader, writer = await asyncio.open_connection(_HOST, req.port)
        try:
            writer.write(self._hello(ctx, info))
            is_waiting = True
            while is_waiting:
                try:
                    await reader.read(1)
                    is_waiting = False
                except asyncio.CancelledError:
                    if not req.is_deaf:
                        raise
            return self._end(req, ctx)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class BrokenVisitor(_Base):
    """Can't be set up."""

    name = "broken_visitor"
    path = "/broken-visitor"
    _is_refused: ClassVar[bool] = True

    def setup(self) -> None:
        """Fail."""
        raise RuntimeError("there is no model to load")

    def run(self, req: Order) -> str:
        """Do nothing."""
        return ""


class NotingObserver(JobObserver):
    """Writes down, in a file, when it is entered and left, and sets `caller` meanwhile.

    Args:
        file: Each line of it is what happened, the job's id, the process id, and the exception, if there is one.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextlib.contextmanager
    def around_run(self, job: Job) -> Iterator[None]:
        """Note that the tool is called, and that its call has ended."""
        self._note("entered", job)
        token = caller.set(f"observed-{job.id}")
        try:
            yield
        except BaseException as error:
            self._note("left", job, type(error).__name__)
            raise
        else:
            self._note("left", job)
        finally:
            caller.reset(token)

    def _note(self, what: str, job: Job, *more: str) -> None:
        with self._file.open("a") as file:
            file.write(" ".join([what, job.id, str(os.getpid()), *more]) + "\n")


class BrokenObserver(JobObserver):
    """Raises.

    Args:
        where: ``"call"``, ``"enter"`` or ``"exit"`` of its `around_run`, else in all other methods.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def around_run(self, job: Job) -> AbstractContextManager[object]:
        """Fail now, or later."""
        self._fail("call")
        return self._around()

    @contextlib.contextmanager
    def _around(self) -> Iterator[None]:
        self._fail("enter")
        yield
        self._fail("exit")

    def submitted(self, job: Job) -> None:
        """Fail."""
        self._fail("loop")

    def started(self, job: Job) -> None:
        """Fail."""
        self._fail("loop")

    def ended(self, job: Job) -> None:
        """Fail."""
        self._fail("loop")

    def _fail(self, where: str) -> None:
        if where == self._where:
            raise LookupError(f"an observer has failed at {where}")
