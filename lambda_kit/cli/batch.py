"""Batch mode as a process: from its start to its exit code (docs/batch.md)."""

import asyncio
import logging
import signal
import time

from uvicorn.config import STARTUP_FAILURE

from lambda_kit.adapters.ivcap.batch_loop import BatchEnd, BatchLoop
from lambda_kit.adapters.ivcap.environment import sidecar_url
from lambda_kit.adapters.ivcap.next_jobs import NextJobs, NoSidecarError
from lambda_kit.cli.loop_process import LoopProcess
from lambda_kit.cli.served import Served
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.core.errors import ConfigurationError, UnavailableError
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.version import VERSION

__all__ = ["run_batch"]

logger = logging.getLogger("lambda_kit.batch")

_LOST, _NO_SIDECAR = 1, 255

_DELIVERY_SECONDS = 3.0
"""What is kept of the grace time for telling the platform of a job that was cancelled when the rest of it was over."""

_LOOK_SECONDS = 0.2


def run_batch(server: Served, tool: BoundTool, *, bounds: StopBounds) -> None:
    """Run the jobs that the platform hands out, until there are no more or a signal comes.

    Args:
        server: Whose tool runs them.
        tool: The tool.
        bounds: How long the end may take.

    Raises:
        ConfigurationError: if the tool can't be used without HTTP, or ``$IVCAP_BASE_URL`` is wrong.
        SystemExit: 0 if all that was promised was delivered; 1 if not; 3 if the service can't start; 255 if nobody
            hands out jobs.
    """
    base_url = sidecar_url()
    if base_url is None:
        logger.warning("no jobs to run: $IVCAP_BASE_URL is not set; it is the URL of the sidecar that hands out jobs")
        raise SystemExit(0)
    raise SystemExit(BatchProcess(server, tool, base_url, bounds).run())


class BatchProcess(LoopProcess):
    """The process of a batch service: its grace time and its exit code.

    At the first SIGTERM or SIGINT it asks for no more jobs. The one that runs may go on for most of the grace time and
    is cancelled then; its end is delivered in any case.

    Args:
        server: Whose tool runs the jobs.
        tool: The tool.
        base_url: What ``$IVCAP_BASE_URL`` says.
        bounds: How long the end may take.
    """

    def __init__(self, server: Served, tool: BoundTool, base_url: str, bounds: StopBounds) -> None:
        super().__init__(bounds)
        self._server = server
        self._tool = tool
        self._next_jobs = NextJobs(
            base_url,
            wait_seconds=server.settings.sidecar_wait_seconds,
            max_bytes=server.http_settings.max_upload_bytes,
        )
        self._batch = BatchLoop(server.jobs, self._next_jobs, tool, why_not_ready=server.why_not_ready)
        self._start: asyncio.Task[None] | None = None
        self._stop_by: float | None = None

    async def main(self) -> int:
        """Run jobs and deliver their results; returns the exit code."""
        if not await self._has_started():
            return STARTUP_FAILURE if self.signalled is None else 0
        try:
            code = await self._work()
        finally:
            self._server.begin_stop()
            try:
                await self._server.drain()
            finally:
                await self._server.__aexit__(None, None, None)
        return code or self._loss()

    def on_signal(self, sig: int) -> None:
        """Ask for no more jobs, and let the grace time begin."""
        settings = self._server.settings
        logger.info("%s: stopping when the job that runs has ended and is delivered", signal.Signals(sig).name)
        if self._start is not None:
            self._start.cancel()
            self.last_resort.end_within(self.bounds.close_seconds, _LOST)
            return
        self._stop_by = time.monotonic() + settings.grace_seconds
        self.last_resort.end_within(settings.grace_seconds + self.bounds.close_seconds, _LOST)
        self._server.begin_stop()
        spare_seconds = settings.cancel_seconds + _DELIVERY_SECONDS
        self._batch.stop(max(settings.grace_seconds - spare_seconds, settings.grace_seconds / 2))

    # --- inside ---

    async def _has_started(self) -> bool:
        self._start = asyncio.create_task(_start(self._server))
        try:
            await self._start
        except asyncio.CancelledError:
            if self.signalled is None:
                raise
            return False
        except Exception as error:
            logger.error("the service can't start: %s", error, exc_info=not isinstance(error, ConfigurationError))
            return False
        finally:
            self._start = None
        return True

    async def _work(self) -> int:
        """Run the jobs, and wait until their results are delivered; returns the exit code, if all were."""
        if not self._server.jobs.accepts_jobs and self.signalled is None:
            logger.error("ToolServer(roles='run') takes no jobs: a batch service needs roles='both'")
            return STARTUP_FAILURE
        logger.info(
            "%s %s, lambda_kit %s: batch mode, tool '%s', asking %s for jobs",
            self._server.service.name, self._server.version, VERSION, self._tool.name, self._next_jobs.url,
        )  # fmt: skip
        code, longest_seconds = 0, self._server.settings.flush
        try:
            async with self._next_jobs:
                if await self._batch.run() is BatchEnd.DONE:  # the sidecar is there: it will take them
                    longest_seconds = self._server.settings.delivery_seconds
        except NoSidecarError as error:
            logger.error("giving up: %s", error)
            code = _NO_SIDECAR
        await self._deliver(longest_seconds)
        return code

    def _loss(self) -> int:
        """Say what was not delivered; returns the exit code."""
        jobs = self._server.jobs
        left, dropped = self._batch.undelivered(), jobs.dropped_ends
        if left:
            what = "left to the store, for the next start" if jobs.outlives_process else "lost"
            logger.error("%d results were not delivered and are %s: jobs %s", len(left), what, ", ".join(left))
        if dropped:
            logger.error("%d results were refused by the sidecar or given up, and are lost; see above", dropped)
        return _LOST if left or dropped else 0

    async def _deliver(self, longest_seconds: float) -> None:
        """Wait until all that was promised is delivered; at most so long, and not beyond the grace time of a signal."""
        give_up_at = time.monotonic() + longest_seconds
        while await self._is_undelivered():
            now = time.monotonic()
            if now >= (give_up_at if self._stop_by is None else min(give_up_at, self._stop_by)):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _is_undelivered(self) -> bool:
        try:
            return bool(await self._server.jobs.undelivered())
        except UnavailableError:
            return True


async def _start(server: Served) -> None:
    await server.__aenter__()
