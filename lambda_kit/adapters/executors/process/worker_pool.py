"""A worker process as the server sees it: how it is started, killed, and how it ended."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from lambda_kit.adapters.executors.process.worker_bonds import kill, kill_group
from lambda_kit.adapters.executors.process.worker_links import Link
from lambda_kit.core.runtime.threads import DaemonPool

__all__ = ["LiveWorker", "WorkerProcess", "how_it_ended"]

_SECONDS_TO_END = 2.0


class WorkerProcess:
    """A process of its own, from its start to its end.

    One thread starts it and then waits for its end. A wait is all that notices the death of a process on every system:
    what it inherits to its children, such as a pipe, stays open when it dies. And the thread must last as long as the
    process, since the kernel ends a worker with the thread that has started it (`worker_bonds.detach`).

    The start method is ``spawn``: a fork of a server with threads may hang, and with ``forkserver`` a worker would not
    be a child of the server, and not die with it.

    Args:
        threads: Has that thread.
        target: What runs in the process.
        args: Its arguments.
    """

    def __init__(self, threads: DaemonPool[Any], target: Callable[..., None], *args: Any) -> None:
        self._process = multiprocessing.get_context("spawn").Process(target=target, args=args, name="lambda_kit-worker")
        self._pid: int | None = None
        self._is_unwanted = False
        self._has_ended = False
        self.ended: asyncio.Future[int | None] = threads.call(self._live)
        """Done when it has ended: the exit code, None if it can't be known, or why it could not be started."""

    def kill(self) -> None:
        """End it at once, with what it has started. No effect if it has ended."""
        self._is_unwanted = True  # first: the thread looks at this after it has the id
        # An ended process keeps its id until its exit code is asked for, which is on the thread, just before
        # `_has_ended`: the id would have to be given to a new process in that instant to hit somebody else.
        if self._pid is not None and not self._has_ended:
            kill(self._pid)

    async def ended_or(self, other: "asyncio.Future[Any]") -> None:
        """Wait until it has ended, or the other is done."""
        either: set[asyncio.Future[Any]] = {self.ended, other}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    async def exit_code(self) -> int | None:
        """Wait until it has ended, as it is about to, or end it; then end what it has left. None: it can't be known."""
        for _ in range(2):
            await asyncio.wait({self.ended}, timeout=_SECONDS_TO_END)
            if self.ended.done():
                break
            self.kill()
        if self._pid is not None and hasattr(os, "killpg"):
            kill_group(self._pid)  # of what its tools have started; the number is theirs as long as they are
        return self.ended.result() if self.ended.done() and self.ended.exception() is None else None

    def _live(self) -> int | None:
        self._process.start()
        self._pid = self._process.pid
        if self._is_unwanted:
            self.kill()
        self._process.join()
        self._has_ended = True
        for _ in range(1000):
            exit_code = self._process.exitcode
            if exit_code is not None:
                self._process.close()
                return exit_code
            time.sleep(0.001)  # the start of another process asked for it just now, on another thread
        return None


class LiveWorker:
    """A worker that has connected, until it has ended."""

    def __init__(self, link: Link, process: WorkerProcess) -> None:
        self.link = link
        self.process = process
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
        self.process.kill()


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
