"""`ThreadExecutor`: runs plain ``def run`` on a bounded pool of threads."""

import asyncio
import logging

from lambda_kit.adapters.executors.local import LocalExecutor
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import ExecutorStats, Run
from lambda_kit.core.runtime.threads import DaemonPool
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ThreadExecutor"]

logger = logging.getLogger("lambda_kit.executor")


class ThreadExecutor(LocalExecutor):
    """Runs each job on a thread of a bounded pool. The default for tools whose `run` is a plain ``def``.

    An ``async def run`` may be run here too, on an event loop of its own: for one that blocks.

    A thread can't be ended from outside. A cancelled tool stops at its next report or progress call. One that does not
    is abandoned: it goes on, on a thread that no longer counts and does not keep the process from exiting. Where that
    is not good enough, use a `ProcessExecutor`.

    Args:
        max_workers: How many threads, and so jobs at once; the others wait in the queue. None: a thread for each job,
            however many there are.
        stop_seconds: For how long a stop waits for cancelled jobs.
        name: What `ToolOptions.executor` calls it.
    """

    def __init__(self, max_workers: int | None = 32, *, stop_seconds: float = 2.0, name: str = "thread") -> None:
        super().__init__(max_concurrency=max_workers, stop_seconds=stop_seconds)
        self.name = name
        self._pool: DaemonPool[Outcome] = DaemonPool(f"lambda_kit-{name}")
        self._calls: dict[Run, asyncio.Future[Outcome]] = {}
        self._abandoned_total = 0

    def check(self, tool: BoundTool) -> None:
        if tool.signature.is_async and tool.signature.wants_transport_request:
            raise ToolDefinitionError(
                f"{type(tool.tool).__name__}.run is 'async def' and takes a litestar.Request, which belongs to the "
                "server's event loop: leave out executor='thread', or take a RequestInfo"
            )

    async def stop(self) -> None:
        await super().stop()
        self._pool.close()
        self._pool = DaemonPool(f"lambda_kit-{self.name}")

    def stats(self) -> ExecutorStats:
        return ExecutorStats(
            running=len(self._runs),
            capacity=self._max_concurrency,
            abandoned=self._pool.abandoned,
            abandoned_total=self._abandoned_total,
        )

    async def _invoke(self, run: Run) -> Outcome:
        call = self._calls[run] = self._pool.call(run.run_sync)
        try:
            return await call
        except asyncio.CancelledError:
            if call.cancelled():  # it was abandoned
                return None
            raise
        finally:
            self._calls.pop(run, None)

    def _interrupt(self, run: Run) -> None:
        run.cancel()

    def _end_by_force(self, run: Run) -> None:
        text = "job %s of tool '%s' did not stop when asked to: its thread is abandoned"
        logger.warning(text, run.job.id, run.job.tool)
        self._abandoned_total += 1
        del self._runs[run]  # at once, before its task ends: it is not to be counted again
        self._pool.abandon(self._calls[run])
