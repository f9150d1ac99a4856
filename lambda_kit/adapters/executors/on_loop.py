"""`AsyncioExecutor`: runs ``async def run`` on the server's event loop."""

import asyncio

from lambda_kit.adapters.executors.local import LocalExecutor
from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.executor import Run
from lambda_kit.core.job import Outcome
from lambda_kit.core.tool import BoundTool

__all__ = ["AsyncioExecutor"]


class AsyncioExecutor(LocalExecutor):
    """Runs each job as a task on the server's event loop. For tools whose `run` is ``async def``.

    A tool that blocks (computes for long, or calls a library that waits) holds up the whole server: write a plain ``def
    run`` for it, which is run on a thread.

    Args:
        max_concurrency: How many jobs are run at once; the others wait in a queue. None: no bound, a waiting job costs
            only memory.
        stop_seconds: For how long a stop waits for cancelled jobs to clean up.
    """

    name = "asyncio"

    def __init__(self, *, max_concurrency: int | None = None, stop_seconds: float = 2.0) -> None:
        super().__init__(max_concurrency=max_concurrency, stop_seconds=stop_seconds)

    def check(self, tool: BoundTool) -> None:
        if not tool.signature.is_async:
            raise ToolDefinitionError(
                f"{type(tool.tool).__name__}.run is a plain 'def', which would block the event loop: leave out "
                "executor='asyncio', or make it 'async def run'"
            )

    async def _invoke(self, run: Run) -> Outcome:
        if not self._is_wanted(run):
            return None
        try:
            return await run.run_async()
        finally:  # from here on a cancel must not hit the book-keeping
            self._runs.pop(run.job_id, None)

    def _interrupt(self, run: Run, task: asyncio.Task[None]) -> None:
        run.cancel()
        if not task.cancelling():  # once: a second one would hit the tool's cleaning up
            task.cancel()
