"""One place for a worker process, and the worker that fills it now."""

import asyncio
import logging
from collections.abc import Callable
from os import getpid
from typing import Any

from lambda_kit.adapters.executors.process.backoff import Backoff
from lambda_kit.adapters.executors.process.call import Call
from lambda_kit.adapters.executors.process.links import WorkerLinks
from lambda_kit.adapters.executors.process.log_forwarding import handle_logged
from lambda_kit.adapters.executors.process.messages import (
    AskReady,
    Bye,
    Cancel,
    Done,
    Exit,
    Logged,
    Plan,
    Readiness,
    Reported,
    RunJob,
    SetUp,
    ToServer,
)
from lambda_kit.adapters.executors.process.serve import serve
from lambda_kit.adapters.executors.process.worker import LiveWorker, WorkerProcess, how_it_ended
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.temporary_files import remove_left_behind
from lambda_kit.core.runtime.threads import DaemonPool, read_off_loop
from lambda_kit.core.runtime.worker_id import is_stopped

__all__ = ["WorkerSlot"]

logger = logging.getLogger("lambda_kit.executor")

_NOT_STARTED = "a worker process ended while it started; what it wrote to stderr may say why"
_FREQUENT_REASON = ", for example that the file which starts the server does so without 'if __name__ == \"__main__\":'"
_SECONDS_FOR_LAST_WORDS = 2.0
"""For how long the link of a worker that has ended is read on: a process that it has left may keep it open."""
_LOOK_SECONDS = 2.0
_LOOKS_UNTIL_KILLED = 5
"""How often in a row a worker process must be found stopped before it is killed."""
_SECONDS_TO_EXIT = 3.0
"""For how long a worker may take to end after it has torn its tools down."""
_SECONDS_TO_TEAR_DOWN = 15.0
"""For how long a stop waits for a worker: `teardown` of a tool has 10 s."""


class WorkerSlot:
    """Keeps one worker process alive: when it ends, another one takes its place.

    Args:
        name: The executor's, for the log.
        plan: What the workers have to do.
        links: Where the workers connect to.
        threads: For what blocks; they must last longer than the workers.
        on_free: Called when a worker is up, or has finished a job: it can take one, unless it is to end.
        on_lost: Called when a worker has ended that should not have.
        on_no_start: Called when a worker could not be started, which is tried again after a pause.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        links: WorkerLinks,
        threads: DaemonPool[Any],
        *,
        on_free: Callable[["WorkerSlot"], None],
        on_lost: Callable[[], None],
        on_no_start: Callable[[], None],
    ) -> None:
        self.is_renewing = False
        """Whether a worker is being replaced that has run as many jobs as it may."""
        self.trouble: str | None = None
        """Why there is no worker, where its start has failed."""
        self._name = name
        self._plan = plan
        self._links = links
        self._threads = threads
        self._on_free = on_free
        self._on_lost = on_lost
        self._on_no_start = on_no_start
        self._backoff = Backoff()
        self._worker: LiveWorker | None = None
        self._call: Call | None = None
        self._readiness: asyncio.Future[str | None] | None = None
        self._is_stopping = False
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # --- for the executor ---

    @property
    def is_up(self) -> bool:
        """Whether there is a worker that takes jobs, though it may be busy."""
        return self._worker is not None and self._worker.has_set_up and not self._worker.is_leaving

    @property
    def is_free(self) -> bool:
        """Whether a job can be run now."""
        return self.is_up and self._call is None

    @property
    def has_place(self) -> bool:
        """Whether its worker is free, or busy with a job that is still waited for."""
        return self.is_up and (self._call is None or not self._call.outcome.done())

    async def start(self) -> None:
        """Start a worker and wait until it is up.

        Raises:
            ConfigurationError: if it can't be set up.
        """
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_up())
        await self._first

    def run(self, call: Call) -> None:
        """Have the worker run a job. One that can't be sent there ends at once."""
        assert self._worker is not None  # noqa: S101 - for the type checker: it is free
        try:
            self._worker.link.send(RunJob(call.run.spec()))
        except Exception as error:  # noqa: BLE001 - no memory, for example; the slot is as free as before
            call.lose(f"the job could not be sent to it: {type(error).__name__}: {error}")
            return
        self._call = call

    def has(self, call: Call) -> bool:
        """Whether the worker runs that job."""
        return self._call is call

    def interrupt(self, call: Call) -> None:
        """Ask a job to stop."""
        if self._worker is not None and self._call is call:
            self._worker.link.send(Cancel(call.run.job.id))

    def kill(self, call: Call) -> None:
        """End a job with its worker."""
        if self._worker is not None and self._call is call:
            self._worker.kill()

    async def why_not_ready(self) -> str | None:
        """Which tool is not ready, as the worker, which is free, says."""
        assert self._worker is not None  # noqa: S101 - for the type checker: it is free
        if self._readiness is None:
            self._readiness = asyncio.get_running_loop().create_future()
            self._worker.link.send(AskReady())
        return await asyncio.shield(self._readiness)

    def retire(self) -> None:
        """Start no other worker after this one."""
        self._is_stopping = True

    async def stop(self) -> None:
        """End the worker, its tools torn down, and what belongs to it."""
        self._is_stopping = True
        if self._task is not None:
            if self._worker is not None and self._worker.has_set_up:
                self._worker.is_leaving = True
                self._worker.link.send(Exit())
                await asyncio.wait({self._task}, timeout=_SECONDS_TO_TEAR_DOWN)
            if self._worker is not None:
                self._worker.kill()
                await asyncio.wait({self._task}, timeout=_SECONDS_TO_EXIT)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._first is not None:
            self._first.cancel()
        self._task = self._first = None

    # --- the life of the workers ---

    async def _keep_up(self) -> None:
        while not self._is_stopping:
            try:
                await asyncio.sleep(await self._live())
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and tried again
                self.is_renewing = False
                self.trouble = str(error) if isinstance(error, ConfigurationError) else repr(error)
            if self._first is not None and not self._first.done():
                self._first.set_exception(ConfigurationError(self.trouble))
                return
            pause_seconds = self._backoff.after_failed_start()
            text = "executor '%s': no worker process can be started: %s; trying again in %g s"
            logger.error(text, self._name, self.trouble, pause_seconds)
            self._on_no_start()
            await asyncio.sleep(pause_seconds)

    async def _live(self) -> float:
        """The life of one worker. Returns for how many seconds to wait before the next one is started."""
        token, linked = self._links.expect()
        process: WorkerProcess | None = None
        try:
            process = WorkerProcess(self._threads, serve, self._links.address, token, getpid())
            await process.ended_or(linked)
            if not linked.done():
                process.ended.result()  # raises what the start has raised
                is_first = self._first is not None and not self._first.done()
                raise ConfigurationError(_NOT_STARTED + (_FREQUENT_REASON if is_first else ""))
            self._worker = worker = LiveWorker(linked.result(), process)
        finally:
            self._links.forget(token)
            if self._worker is None:  # there is none, or its start was given up
                if linked.done() and not linked.cancelled():
                    linked.result().close()
                if process is not None:
                    process.kill()
                    await process.exit_code()
        try:
            worker.link.send(self._plan)
            await self._accompany(worker)
        finally:
            self._worker = None
            try:
                pause_seconds = await self._bury(worker)
            finally:  # not before: it would cut its end short
                worker.link.close()
        if worker.setup_error is not None:
            raise ConfigurationError(f"{worker.setup_error} (in a worker process)")
        return pause_seconds

    async def _accompany(self, worker: LiveWorker) -> None:
        listening = asyncio.ensure_future(self._listen(worker))
        watching = asyncio.ensure_future(self._end_if_stopped(worker))
        try:
            await worker.process.ended_or(listening)
            await asyncio.wait({listening}, timeout=_SECONDS_FOR_LAST_WORDS)  # what it has sent is on its way
        finally:
            for task in (listening, watching):
                task.cancel()
            await asyncio.wait({listening, watching})

    async def _end_if_stopped(self, worker: LiveWorker) -> None:
        """Kill a worker that is stopped, as by SIGSTOP, and stays so: nothing else would notice it.

        Time in which this process was stopped too does not count: who stops both will have both go on.
        """
        looks = 0
        while looks < _LOOKS_UNTIL_KILLED:
            await asyncio.sleep(_LOOK_SECONDS)
            looks = looks + 1 if is_stopped(worker.link.pid) else 0
        text = "executor '%s': its worker process %d is stopped, for %g s now: it is killed"
        logger.warning(text, self._name, worker.link.pid, _LOOKS_UNTIL_KILLED * _LOOK_SECONDS)
        worker.process.kill()

    async def _listen(self, worker: LiveWorker) -> None:
        try:
            while (message := await worker.link.receive()) is not None:
                self._take(worker, message)
        except Exception:
            logger.exception("executor '%s': worker process %d can't be understood", self._name, worker.link.pid)

    def _take(self, worker: LiveWorker, message: ToServer) -> None:
        call = self._call
        if isinstance(message, Reported):
            if call is not None and call.run.job.id == message.job_id:
                call.run.emit(message.event)
        elif isinstance(message, Logged):
            handle_logged(message)
        elif isinstance(message, Done):
            worker.is_leaving = worker.is_leaving or message.is_last
            self.is_renewing = message.is_last
            self._call = None
            worker.has_finished_job = True
            self._backoff.reset()
            if call is not None:
                call.end(message.outcome)
            self._on_free(self)
        elif isinstance(message, SetUp):
            self._has_set_up(worker, message.error)
        elif isinstance(message, Readiness):
            self._answer(message.reason)
        elif isinstance(message, Bye):
            worker.is_leaving = worker.has_said_bye = True
            worker.deadline = asyncio.get_running_loop().call_later(_SECONDS_TO_EXIT, worker.kill)

    def _has_set_up(self, worker: LiveWorker, error: str | None) -> None:
        worker.setup_error = error
        if error is None:
            worker.up_since = asyncio.get_running_loop().time()
            self.trouble = None
            self.is_renewing = False
            if self._first is not None and not self._first.done():
                self._first.set_result(None)
            self._on_free(self)

    def _answer(self, reason: str | None) -> None:
        if self._readiness is not None and not self._readiness.done():
            self._readiness.set_result(reason)
        self._readiness = None

    async def _bury(self, worker: LiveWorker) -> float:
        """Make sure that a worker has ended, and say what became of its job. Returns the pause, in seconds."""
        was_wanted = worker.has_set_up and not worker.is_leaving
        pause_seconds = self._backoff.after_death(worker) if was_wanted else 0.0
        if worker.deadline is not None:
            worker.deadline.cancel()
        how = how_it_ended(await worker.process.exit_code())
        await read_off_loop(remove_left_behind)
        if was_wanted:
            self._on_lost()
            text = "executor '%s': its worker process %d %s; starting another in %.2g s"
            logger.warning(text, self._name, worker.link.pid, how, pause_seconds)
        elif not worker.has_set_up and worker.setup_error is None:
            worker.setup_error = f"it {how} while its tools were being set up"
        self._answer("a worker process has just ended" if was_wanted else None)
        call, self._call = self._call, None
        if call is not None:
            call.lose(f"the process that ran the job {how}")
        return pause_seconds
