"""What runs in a worker process of a `ProcessExecutor`: a little server without HTTP, for one job at a time."""

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import sys
import threading
from collections.abc import Sequence
from typing import Any

from lambda_kit.adapters.executors.process.bonds import detach
from lambda_kit.adapters.executors.process.log_forwarding import LogForwarder
from lambda_kit.adapters.executors.process.main_thread import MainThread
from lambda_kit.adapters.executors.process.memory import limit_memory, memory_failure
from lambda_kit.adapters.executors.process.messages import (
    AskReady,
    Bye,
    Cancel,
    Hello,
    Plan,
    Readiness,
    Reported,
    RunJob,
    SetUp,
    done,
)
from lambda_kit.adapters.executors.process.server_link import Address, ServerLink
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.events import NewEvent
from lambda_kit.core.model.job import Failure, FailureKind, Outcome
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.runtime.credentials import guard_logs
from lambda_kit.core.runtime.harmless import harmless
from lambda_kit.core.runtime.threads import DaemonPool
from lambda_kit.core.tools.failure import single_error
from lambda_kit.core.tools.lifecycle import ToolLifecycle
from lambda_kit.core.tools.results import encodable
from lambda_kit.core.tools.run import JobSpec, ToolRun
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["serve"]

logger = logging.getLogger("lambda_kit.worker")


def serve(address: Address, token: str, server_pid: int) -> None:
    """The life of one worker process.

    Args:
        address: Where the server listens.
        token: By which the server knows this worker.
        server_pid: The server's process id.
    """
    detach(server_pid)
    link = ServerLink(address)
    link.send(Hello(token, os.getpid()))
    plan = link.receive()
    if isinstance(plan, Plan):
        with guard_logs():
            _live(link, plan)
        gc.freeze()  # to look for garbage in all that was imported takes the end of the interpreter up to a second


def _live(link: ServerLink, plan: Plan) -> None:
    if plan.is_async:
        asyncio.run(_work(link, plan, DaemonPool("lambda_kit-job"), None))
        return
    main = MainThread()
    threading.Thread(target=_live_beside, args=(link, plan, main), name="lambda_kit-loop", daemon=True).start()
    main.work()


async def _work(link: ServerLink, plan: Plan, threads: DaemonPool[Any], hooks: DaemonPool[Any] | None) -> None:
    await _Worker(link, plan, threads, hooks).live()


def _live_beside(link: ServerLink, plan: Plan, main: MainThread) -> None:
    try:
        asyncio.run(_work(link, plan, main, main))
    except BaseException:
        logger.exception("this worker process has failed")
        os._exit(1)
    finally:
        main.close()


class _WorkerRun(ToolRun):
    """A run that knows of the memory limit."""

    __slots__ = ("_memory_limit_bytes",)

    def __init__(
        self,
        tool: BoundTool,
        spec: JobSpec,
        link: ServerLink,
        memory_limit_bytes: int | None,
        observers: Sequence[JobObserver],
    ) -> None:
        def emit(event: NewEvent) -> None:
            link.send(Reported(spec.job.id, event))

        super().__init__(tool, spec, emit, observers=observers)
        self._memory_limit_bytes = memory_limit_bytes

    def _outcome_of(self, error: BaseException) -> Outcome:
        if isinstance(single_error(error), MemoryError) and self._memory_limit_bytes is not None:
            return memory_failure(self._memory_limit_bytes)
        return super()._outcome_of(error)


class _Worker:
    """Plain ``def run`` is called on the main thread, ``async def run`` on the event loop.

    The event loop has a thread of its own, but where all tools are async: then it has the main one. Messages are read
    on another thread, so that a cancel and the server's end are noticed whatever tools do.

    Args:
        link: Leads to the server.
        plan: What is to be done.
        threads: Calls plain ``def run``.
        hooks: Calls plain `setup` and `teardown`. None: a thread of their own.
    """

    def __init__(self, link: ServerLink, plan: Plan, threads: DaemonPool[Any], hooks: DaemonPool[Any] | None) -> None:
        self._link = link
        self._plan = plan
        self._tools: dict[str, BoundTool] = {}
        self._observers: list[JobObserver] = []
        self._around_run: list[JobObserver] = []
        self._lifecycle = ToolLifecycle(())
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._hooks = hooks
        self._run: _WorkerRun | None = None
        self._call: asyncio.Future[Outcome] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs_done = 0
        self._is_over = asyncio.Event()

    async def live(self) -> None:
        """Set the tools up, run jobs until it is told to end or has run as many as it may, tear the tools down."""
        self._redirect_logs()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_log_to_stderr)
        try:
            self._load()
            with contextlib.ExitStack() as observed:
                self._enter_observers(observed)
                await self._set_up()
                await self._serve()
        except ConfigurationError as error:
            logger.debug("this worker process can't be set up", exc_info=error)
            self._link.send(SetUp(encodable(str(error))))
            return
        _flush()
        self._link.send(Bye())

    async def _serve(self) -> None:
        self._redirect_logs()  # the tools' modules may have configured logging when they were imported
        threading.Thread(target=self._listen, name="lambda_kit-link", daemon=True).start()
        self._link.send(SetUp(None))
        await self._is_over.wait()
        await self._lifecycle.tear_down()

    def _redirect_logs(self) -> None:
        logging.root.handlers[:] = [LogForwarder(self._link.send)]
        logging.root.setLevel(self._plan.log_level)

    def _load(self) -> None:
        for name, pickled in self._plan.tools.items():
            try:
                self._tools[name] = BoundTool.bind(pickle.loads(pickled))  # noqa: S301 - it comes from our own server
            except Exception as error:
                raise ConfigurationError(
                    f"tool '{name}': it can't be loaded in a worker process: {type(error).__name__}: {error}"
                ) from error
        try:
            self._observers = [pickle.loads(pickled) for pickled in self._plan.observers]  # noqa: S301 - the same
        except Exception as error:
            raise ConfigurationError(
                f"an observer can't be loaded in a worker process: {type(error).__name__}: {error}"
            ) from error
        around_run = JobObserver.around_run
        self._around_run = [it for it in self._observers if type(it).around_run is not around_run]

    def _enter_observers(self, stack: contextlib.ExitStack) -> None:
        for observer in self._observers:
            stack.enter_context(harmless(observer.around_worker, f"{type(observer).__name__}.around_worker"))

    async def _set_up(self) -> None:
        limit_bytes = self._plan.memory_limit_bytes
        if limit_bytes is not None:
            await self._threads.call(lambda: None)  # a thread for the jobs, while it is sure that there is room for it
            limit_memory(limit_bytes)
        self._lifecycle = ToolLifecycle(self._tools.values(), thread=self._hooks)
        await self._lifecycle.set_up()

    # --- on the thread that listens ---

    def _listen(self) -> None:
        try:
            while True:
                self._take(self._link.receive())
        except MemoryError:  # it was a job's request that there was no room for
            if self._plan.memory_limit_bytes is None:
                os._exit(1)
            self._loop.call_soon_threadsafe(self._tell, "", memory_failure(self._plan.memory_limit_bytes))
        except Exception:
            logger.exception("this worker process can't understand its server")
            os._exit(1)
        self._link.outlive()

    def _take(self, message: object) -> None:
        if isinstance(message, RunJob):
            spec = message.spec
            tool, limit_bytes = self._tools[spec.job.tool], self._plan.memory_limit_bytes
            run = _WorkerRun(tool, spec, self._link, limit_bytes, self._around_run)
            self._run = run  # from here on it can be cancelled
            self._loop.call_soon_threadsafe(self._spawn, run)
        elif isinstance(message, Cancel):
            current = self._run
            if current is not None and current.job_id == message.job_id and not current.control.is_cancelled:
                current.cancel()
                self._loop.call_soon_threadsafe(self._interrupt, current)
        elif isinstance(message, AskReady):
            self._loop.call_soon_threadsafe(self._spawn, None)
        else:
            self._loop.call_soon_threadsafe(self._is_over.set)

    # --- on the event loop ---

    def _spawn(self, run: _WorkerRun | None) -> None:
        task = self._loop.create_task(self._say_whether_ready() if run is None else self._do(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_whether_ready(self) -> None:
        self._link.send(Readiness(await self._lifecycle.why_not_ready()))

    async def _do(self, run: _WorkerRun) -> None:
        if run.tool.signature.is_async:
            outcome = await self._awaited(run)
            self._end(run, outcome)
        else:
            # told by the thread that has run it: a tool may have closed all files, and the loop never wakes then
            await self._threads.call(lambda: self._end(run, self._called(run)))

    async def _awaited(self, run: _WorkerRun) -> Outcome:
        if run.control.is_cancelled:  # its cancel came just behind it
            return None
        try:
            self._call = asyncio.ensure_future(run.run_async())
            return await self._call
        except asyncio.CancelledError:  # before it had begun
            return None
        except Exception as error:  # noqa: BLE001 - it could not be begun
            return _not_run(error)

    def _called(self, run: _WorkerRun) -> Outcome:
        if run.control.is_cancelled:
            return None
        try:
            return run.run_sync()
        except BaseException as error:  # noqa: BLE001 - it could not be begun
            return _not_run(error)

    def _end(self, run: _WorkerRun, outcome: Outcome) -> None:
        self._run = self._call = None
        self._jobs_done += 1
        _flush()
        self._tell(run.job_id, outcome)

    def _interrupt(self, run: _WorkerRun) -> None:
        if self._run is run and run.tool.signature.is_async and self._call is not None:
            self._call.cancel()  # its task, once: a second time would hit the tool's cleaning up

    def _tell(self, job_id: str, outcome: Outcome) -> None:
        """Send how a job has ended. It must not fail: a job whose end is not told would last for ever."""
        max_jobs = self._plan.max_jobs
        is_unfit = isinstance(outcome, Failure) and outcome.kind in (FailureKind.MEMORY_LIMIT, FailureKind.WORKER_LOST)
        is_last = is_unfit or (max_jobs is not None and self._jobs_done >= max_jobs)
        try:
            self._link.send(done(job_id, outcome, is_last=is_last))
        except BaseException as error:  # noqa: BLE001 - a result of more than 4 GiB, no memory, what a tool has broken
            del outcome  # it may have left no room for what follows
            error.__traceback__ = None  # which holds it too
            is_last = True
            self._tell_instead(job_id, error)
        if is_last:
            self._loop.call_soon_threadsafe(self._is_over.set)

    def _tell_instead(self, job_id: str, error: BaseException) -> None:
        try:
            limit_bytes = self._plan.memory_limit_bytes
            if isinstance(error, MemoryError) and limit_bytes is not None:
                failure = memory_failure(limit_bytes)
            else:
                text = f"the job's end could not be sent by its worker process: {type(error).__name__}: {error}"
                failure = Failure(FailureKind.ENCODING, type(error).__name__, encodable(text))
            self._link.send(done(job_id, failure, is_last=True))
        except BaseException:  # noqa: BLE001 - then the end of this process has to tell it
            os._exit(1)


def _not_run(error: BaseException) -> Failure:
    text = f"worker lost: the process could not run the job: {type(error).__name__}: {error}"
    return Failure(FailureKind.WORKER_LOST, "worker-lost", encodable(text))


def _log_to_stderr() -> None:
    """In a child that a tool has forked, which has no link to the server."""
    logging.root.handlers[:] = [logging.StreamHandler()]


def _flush() -> None:
    """Write out what tools have printed: a worker may be killed at any time."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):  # a tool may have put anything there
            stream.flush()
