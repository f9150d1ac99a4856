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
    """Runs each job on the server's event loop. For tools whose `run` is ``async def``.

    A tool that blocks (computes for long, or calls a library that waits) holds up the whole server, and a warning names
    it: write a plain ``def run`` for it, which is run on a thread.

    Args:
        max_concurrency: How many jobs are run at once; the others wait in the queue. None: no bound, a waiting job
            costs only memory.
        stop_seconds: For how long a stop waits for cancelled jobs to clean up.
    """

    name = "asyncio"

    def __init__(self, *, max_concurrency: int | None = None, stop_seconds: float = 2.0) -> None:
        super().__init__(max_concurrency=max_concurrency, stop_seconds=stop_seconds)
        self._abandoned: dict[Run, asyncio.Task[object]] = {}
        self._abandoned_total = 0

    def check(self, tool: BoundTool) -> None:
        if not tool.signature.is_async:
            raise ToolDefinitionError(
                f"{type(tool.tool).__name__}.run is a plain 'def', which would block the event loop: leave out "
                "executor='asyncio', or make it 'async def run'"
            )

    async def stop(self) -> None:
        await super().stop()
        tasks = set(self._abandoned.values())
        for task in tasks:  # without regard to what is being cleaned up
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._stop_seconds)
        if self._abandoned:
            logger.warning("%d jobs ignore that they are cancelled, and are abandoned", len(self._abandoned))

    def stats(self) -> ExecutorStats:
        return ExecutorStats(
            running=len(self._runs),
            capacity=self._max_concurrency,
            abandoned=len(self._abandoned),
            abandoned_total=self._abandoned_total,
        )

    async def _invoke(self, run: Run) -> Outcome:
        return await run.run_async()

    def _interrupt(self, run: Run) -> None:
        run.cancel()
        task = self._runs[run]
        if task is not None and not task.cancelling():  # once: a second one would hit the tool's cleaning up
            task.cancel()

    def _end_by_force(self, run: Run) -> None:
        text = "job %s of tool '%s' did not stop when asked to: its task is abandoned"
        logger.warning(text, run.job.id, run.job.tool)
        self._abandoned_total += 1
        task = self._runs.pop(run)
        if task is not None:
            self._abandoned[run] = task

    def _abandoned_run_has_ended(self, run: Run) -> None:
        self._abandoned.pop(run, None)
