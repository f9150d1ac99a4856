"""`AsyncioExecutor`: runs ``async def run`` on the server's event loop."""

import asyncio
import logging

from lambda_kit.adapters.executors.local import LocalExecutor
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.model.job import Outcome
from lambda_kit.core.ports.executor import ExecutorStats, Run
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["AsyncioExecutor"]

logger = logging.getLogger("lambda_kit.executor")


class AsyncioExecutor(LocalExecutor):
    """Runs each job as a task on the server's event loop. For tools whose `run` is ``async def``.

    A tool that blocks (computes for long, or calls a library that waits) holds up the whole server, and a warning names
    it: write a plain ``def run`` for it, which is run on a thread.

    Args:
        max_concurrency: How many jobs are run at once; the others wait in a queue. None: no bound, a waiting job costs
            only memory.
        stop_seconds: For how long a stop waits for cancelled jobs to clean up.
    """

    name = "asyncio"

    def __init__(self, *, max_concurrency: int | None = None, stop_seconds: float = 2.0) -> None:
        super().__init__(max_concurrency=max_concurrency, stop_seconds=stop_seconds)
        self._abandoned: set[asyncio.Task[None]] = set()
        self._abandoned_total = 0

    def check(self, tool: BoundTool) -> None:
        if not tool.signature.is_async:
            raise ToolDefinitionError(
                f"{type(tool.tool).__name__}.run is a plain 'def', which would block the event loop: leave out "
                "executor='asyncio', or make it 'async def run'"
            )

    async def stop(self) -> None:
        await super().stop()
        for task in self._abandoned:  # without regard to what is being cleaned up
            task.cancel()
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=self._stop_seconds)
        if self._abandoned:
            logger.warning("%d jobs ignore that they are cancelled, and are abandoned", len(self._abandoned))

    def stats(self) -> ExecutorStats:
        return ExecutorStats(
            running=len(self._tasks),
            capacity=self._max_concurrency,
            abandoned=len(self._abandoned),
            abandoned_total=self._abandoned_total,
        )

    async def _invoke(self, run: Run) -> Outcome:
        if not self._is_wanted(run):
            return None
        try:
            return await run.run_async()
        finally:  # from here on a cancel must not hit the book-keeping
            if self._runs.get(run.job_id) is run:
                del self._runs[run.job_id]

    def _interrupt(self, run: Run, task: asyncio.Task[None]) -> None:
        run.cancel()
        if not task.cancelling():  # once: a second one would hit the tool's cleaning up
            task.cancel()

    def _end_by_force(self, run: Run, task: asyncio.Task[None]) -> None:
        tool = run.spec().tool
        logger.warning("job %s of tool '%s' did not stop when asked to: its task is abandoned", run.job_id, tool)
        self._abandoned_total += 1
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        self._let_go(run.job_id)
