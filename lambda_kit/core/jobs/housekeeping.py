"""What is done for the jobs again and again: leases, lost workers, jobs past their time."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.runtime.worker_id import is_certainly_dead

__all__ = ["Housekeeping"]

logger = logging.getLogger("lambda_kit.service")

_BATCH = 500
_NEXT_BATCH_SECONDS = 0.2


class Housekeeping:
    """Three tasks: one keeps the leases of what is here, one cleans up what others have left, one takes up their jobs.

    They are three, so that a slow purge does not cost leases.

    Args:
        store: The store of the jobs.
        runner: The runs here.
        tools: The names of the tools whose jobs can be run here.
        every_seconds: How often.
        lease_seconds: For how long others leave to this process what it has.
        interrupt: Ends the run of a job.
        take_up: Has jobs run whose process is gone.
        is_stray: Whether a job that should wait here, as its record says, does not.
        may_take_up: How many more of them can be taken now.
        renew_others: Renews what else this process holds.
        settle_doubts: Clears up what an absence of the store has left in doubt.
    """

    def __init__(
        self,
        store: JobStore,
        runner: JobRunner,
        *,
        tools: Collection[str],
        every_seconds: float,
        lease_seconds: float,
        interrupt: Callable[[str], None],
        take_up: Callable[[Sequence[Job]], None],
        is_stray: Callable[[Job], bool],
        may_take_up: Callable[[], int],
        renew_others: Callable[[], Awaitable[None]],
        settle_doubts: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._runner = runner
        self._tools = tools
        self._every_seconds = every_seconds
        self._lease_seconds = lease_seconds
        self._interrupt = interrupt
        self._take_up = take_up
        self._is_stray = is_stray
        self._may_take_up = may_take_up
        self._may_have_strays = False
        self._renew_others = renew_others
        self._settle_doubts = settle_doubts
        self._has_orphans = asyncio.Event()
        self._is_in_doubt = asyncio.Event()
        self._failing: set[asyncio.Event] = set()
        self._has_named_homeless = False
        self._seen_at: float | None = None
        self._patient_until = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, is_store_back: bool = False) -> None:
        """Note that this process lives, and begin.

        Args:
            is_store_back: Whether the store has just been away: others are given time to say that they live.

        Raises:
            UnavailableError: if the store is away.
        """
        self._seen_at = None
        self._failing = set()
        self._has_named_homeless = False
        self._patient_until = time.monotonic() + 2 * self._every_seconds if is_store_back else 0.0
        await self._keep_alive()
        self._is_in_doubt, never, self._has_orphans = asyncio.Event(), asyncio.Event(), asyncio.Event()  # of this loop
        self._tasks = [
            asyncio.create_task(self._repeat(self._renew, self._is_in_doubt, at_once=False), name="lambda_kit leases"),
            asyncio.create_task(self._repeat(self._clean_up, never, at_once=True), name="lambda_kit housekeeping"),
            asyncio.create_task(self._repeat(self._adopt, self._has_orphans, at_once=True), name="lambda_kit recovery"),
        ]

    def look_again(self) -> None:
        """Changes may have been missed: ask at once whether the jobs here are to end."""
        self._is_in_doubt.set()

    async def stop(self) -> None:
        """End the tasks, and leave to others what this process has."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        try:
            await self._store.expire_worker(self._runner.worker_id)
        except UnavailableError as error:
            logger.warning("the store was not told of the end of this process: it is away (%s)", error)

    async def _repeat(self, work: Callable[[], Awaitable[None]], is_due: asyncio.Event, *, at_once: bool) -> None:
        if not at_once:
            await self._until_due(is_due)
        while True:
            try:
                await work()
                self._failing.discard(is_due)
            except UnavailableError as error:
                level = logging.DEBUG if self._failing else logging.WARNING  # once, though all three find out
                logger.log(level, "the jobs can't be looked after: the store is away (%s); trying again", error)
                self._failing.add(is_due)
            except Exception:
                logger.exception("the jobs could not be looked after; trying again")
            await self._until_due(is_due)

    async def _until_due(self, is_due: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._every_seconds):
                await is_due.wait()
        is_due.clear()

    async def _keep_alive(self) -> None:
        await self._store.heartbeat(self._runner.worker_id, lease_seconds=self._lease_seconds)
        now = time.monotonic()
        if self._seen_at is not None and now - self._seen_at >= self._lease_seconds:
            logger.warning("for %.1f s the store could not be told that this process lives", now - self._seen_at)
            # Maybe nobody could: so the others have time to say that they live, before anything is taken from them.
            self._patient_until = now + 2 * self._every_seconds
        self._seen_at = now

    def _is_patient(self) -> bool:
        return time.monotonic() < self._patient_until

    async def _renew(self) -> None:
        await self._keep_alive()
        for run in await self._runner.heartbeat():
            self._interrupt(run.job_id)
        await self._renew_others()

    async def _clean_up(self) -> None:
        await self._renew()  # after a hold-up of the loop own leases have run out, but their jobs are not lost
        for worker_id in await self._store.workers():
            if worker_id != self._runner.worker_id and is_certainly_dead(worker_id):
                logger.info("%s is gone: its jobs are taken from it", worker_id)
                await self._store.expire_worker(worker_id)
                self._has_orphans.set()
        if not self._is_patient():
            for job in await self._store.reap():
                logger.warning(
                    "job %s lost its worker%s and is now %s", job.id, _named(job.assigned_worker), job.status
                )
                if job.status is JobStatus.PENDING:
                    self._has_orphans.set()
        await self._settle_doubts()
        await self._store.purge()
        await self._name_homeless()

    async def _name_homeless(self) -> None:
        """Say once which jobs wait for tools that are not here."""
        if self._has_named_homeless:
            return
        for (tool, status), count in sorted((await self._store.counts()).items()):
            if status is JobStatus.PENDING and tool not in self._tools:
                logger.warning("%d jobs of tool '%s' wait in the store, and this service has no such tool", count, tool)
        self._has_named_homeless = True

    async def _find_strays(self) -> None:
        """Take up the jobs that this process has been given, and was not told of: the answer was lost."""
        cursor: str | None = None
        while True:
            page = await self._store.list_jobs(statuses=[JobStatus.PENDING], cursor=cursor)
            self._take_up([job for job in reversed(page.jobs) if job.tool in self._tools and self._is_stray(job)])
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _adopt(self) -> None:
        if self._may_have_strays:
            await self._find_strays()
            self._may_have_strays = False
        if self._is_patient():
            return
        while (room := min(_BATCH, self._may_take_up())) > 0:
            self._may_have_strays = True
            jobs = await self._store.adopt(self._runner.worker_id, tools=self._tools, limit=room)
            self._may_have_strays = False
            if jobs:
                logger.info("%d jobs are taken up that waited in a process that is gone", len(jobs))
                self._take_up(jobs)
            if len(jobs) < room:
                return
            await asyncio.sleep(_NEXT_BATCH_SECONDS)


def _named(worker_id: str | None) -> str:
    return "" if worker_id is None else f" ({worker_id})"
