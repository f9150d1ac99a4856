"""What the executors that run jobs from this process have in common."""

import asyncio
from abc import abstractmethod

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import Executor, ExecutorHost, Run

__all__ = ["LocalExecutor"]


class LocalExecutor(Executor):
    """Knows the runs under way, and ends them at a stop.

    Args:
        max_concurrency: How many jobs are run at once. None: no bound.
        stop_seconds: For how long `stop` waits for the runs that it has cancelled.
    """

    def __init__(self, *, max_concurrency: int | None, stop_seconds: float) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ConfigurationError(f"{type(self).__name__}: {max_concurrency} jobs at once: must be at least 1")
        self._max_concurrency = max_concurrency
        self._stop_seconds = stop_seconds
        self._runs: dict[Run, asyncio.Task[object] | None] = {}
        self._idle: asyncio.Event | None = None
        self._host: ExecutorHost | None = None

    async def start(self, host: ExecutorHost) -> None:
        self._host = host

    @property
    def capacity(self) -> int | None:
        return self._max_concurrency

    async def run(self, run: Run) -> Outcome:
        if self._host is None:  # it has just stopped
            return None
        self._runs[run] = asyncio.current_task()
        try:
            return await self._invoke(run)
        finally:
            if self._runs.pop(run, None) is None:
                self._abandoned_run_has_ended(run)
            if self._idle is not None and not self._runs:
                self._idle.set()

    async def cancel(self, run: Run) -> None:
        if run in self._runs:
            self._interrupt(run)

    async def kill(self, run: Run) -> None:
        if run in self._runs:
            self._end_by_force(run)

    async def stop(self) -> None:
        self._host = None
        for run in list(self._runs):
            await self.cancel(run)
        await self._until_idle()
        for run in list(self._runs):
            await self.kill(run)
        await self._until_idle()
        self._runs.clear()

    @abstractmethod
    async def _invoke(self, run: Run) -> Outcome:
        """Run one job."""

    @abstractmethod
    def _interrupt(self, run: Run) -> None:
        """Ask a run to end."""

    @abstractmethod
    def _end_by_force(self, run: Run) -> None:
        """End a run: soon it has ended, or it is no longer among `_runs`."""

    def _abandoned_run_has_ended(self, run: Run) -> None:
        """A run has ended that was no longer among `_runs`."""

    async def _until_idle(self) -> None:
        if not self._runs:
            return
        self._idle = asyncio.Event()
        try:
            async with asyncio.timeout(self._stop_seconds):
                await self._idle.wait()
        except TimeoutError:
            return
        finally:
            self._idle = None
