"""A worker process as the server sees it: how it is started, killed, and how it ended."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from lambda_kit.adapters.executors.process.worker_bonds import kill_group
from lambda_kit.adapters.executors.process.worker_links import Link

if TYPE_CHECKING:
    from pebble import ProcessPool

__all__ = ["LiveWorker", "OneWorkerPool", "ended_event", "first_of", "how_it_ended"]

_SECONDS_TO_END = 2.0


class OneWorkerPool:
    """A `pebble.ProcessPool` of one process, in which each worker is one task that lasts for the worker's life.

    pebble starts the process, notices its end, and starts the next one. A pool for each worker, since the processes of
    one pool share a pipe and its lock: one that is killed while it has the lock holds up the others for a minute, and
    then breaks the pool. Jobs do not go through that pipe at all, so that in the middle of a job nothing is shared.
    The start method is ``spawn``: a fork of a server with threads may hang, and with ``forkserver`` a worker would not
    be a child of the server, and not die with it.

    All methods block: call them on a thread, `schedule` on one that lasts (`worker_bonds.detach`: the kernel ends a
    worker with the thread that has started it).
    """

    def __init__(self) -> None:
        self._pool: ProcessPool | None = None
        self._is_over = False
        self._changing = threading.Lock()

    def schedule(self, function: Callable[..., None], *args: Any) -> "Future[None]":
        """Start a worker: the future is done when it has ended, except by exit code 0 in the midst of it.

        Raises:
            RuntimeError: if the pool is over.
        """
        with self._changing:
            try:
                return self._made().schedule(function, args=args)
            except RuntimeError:
                if self._is_over:
                    raise
                self._discard()  # the last worker broke it
                return self._made().schedule(function, args=args)

    def renew(self) -> None:
        """End its process and threads: the next worker gets new ones."""
        with self._changing:
            self._discard()

    def no_more(self) -> None:
        """Start no other process from now on. Does not block."""
        self._is_over = True
        pool = self._pool
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End its process and threads for good."""
        self.no_more()
        self.renew()

    def _discard(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None

    def _made(self) -> "ProcessPool":
        if self._is_over:
            raise RuntimeError("the executor is stopping")
        if self._pool is None:
            from pebble import ProcessPool  # noqa: PLC0415 - services without such tools need not wait for it

            self._pool = ProcessPool(max_workers=1, max_tasks=1, context=multiprocessing.get_context("spawn"))
        return self._pool


def _child_process(pid: int) -> BaseProcess | None:
    """The child of this process with that id, if it has not ended."""
    return next((child for child in multiprocessing.active_children() if child.pid == pid), None)


def _kill(process: BaseProcess) -> None:
    """End a process and what it has started, at once, unless it has ended."""
    # While the exit code is not asked for, an ended process keeps its id. pebble's thread may ask for it between the
    # two lines: then the id would have to be given to a new process group in the same instant to hit somebody else.
    # A handle of the process (pidfd) would exclude that, but can't signal a group before Linux 6.9.
    if process.exitcode is None and process.pid is not None:
        kill_group(process.pid)


def ended_event(task: "Future[None]") -> asyncio.Event:
    """An event on this loop that is set when the task of a pool is done."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(event.set)

    task.add_done_callback(tell)
    return event


async def first_of(future: "asyncio.Future[Any]", task: "asyncio.Future[Any]") -> None:
    """Wait until one of them is done; the second is ended."""
    try:
        await asyncio.wait({future, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.wait({task})


class LiveWorker:
    """A worker that has connected, until it has ended."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.process = _child_process(link.pid)
        self.up_since: float | None = None
        """When its tools were set up, as the event loop's clock said."""
        self.setup_error: str | None = None
        """Why it ends before it is up."""
        self.has_finished_job = False
        self.is_leaving = False
        """Whether it takes no more jobs: it retires, or is being ended."""
        self.has_said_bye = False
        """Whether its tools are torn down."""
        self.deadline: asyncio.TimerHandle | None = None
        """Ends it if it does not end by itself."""

    @property
    def has_set_up(self) -> bool:
        """Whether its tools are set up."""
        return self.up_since is not None

    def kill(self) -> None:
        """End it at once, with what its tools have started."""
        self.is_leaving = True
        if self.process is not None:
            _kill(self.process)

    def exit_code(self) -> int | None:
        """Wait until it has ended, as it is about to, or end it. None: it can't be known. Blocks."""
        if self.process is None:
            return None
        self.process.join(_SECONDS_TO_END)
        if self.process.exitcode is None:
            _kill(self.process)
            self.process.join(_SECONDS_TO_END)
        if hasattr(os, "killpg"):
            # what its tools have started and left: the number is theirs as long as they are
            kill_group(self.link.pid)
        return self.process.exitcode


def how_it_ended(exit_code: int | None) -> str:
    """The end of a process in words, to follow "the worker process"."""
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended by itself with exit code {exit_code}, as by os._exit({exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "a signal"
    if name == "SIGKILL":
        return "was killed by SIGKILL (signal 9), maybe by the system for want of memory"
    crashes = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
    return f"{'crashed with' if name in crashes else 'was ended by'} {name} (signal {-exit_code})"
