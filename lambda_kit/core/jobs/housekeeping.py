"""What is done for the jobs again and again: heartbeats, leases, dead workers, adoption, expired jobs."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.dropped_deliveries import DroppedDeliveries
from lambda_kit.core.jobs.job_table import JobTable, LocalJob, State
from lambda_kit.core.jobs.lease_keeper import LeaseKeeper
from lambda_kit.core.jobs.reconciler import Reconciler
from lambda_kit.core.jobs.runner import JobRunner
from lambda_kit.core.jobs.scheduler import Scheduler
from lambda_kit.core.jobs.semaphore import DistributedSemaphore
from lambda_kit.core.jobs.settings import JobSettings
from lambda_kit.core.model.job import Job, JobStatus
from lambda_kit.core.ports.store import Change, JobStore
from lambda_kit.core.runtime.retry import Outage
from lambda_kit.core.runtime.worker_id import is_certainly_dead, is_living_neighbour

__all__ = ["Housekeeping"]

logger = logging.getLogger("lambda_kit.service")

_BATCH = 500

_MOST_IN_ROUND = 1000
"""Principals whose jobs are adopted before a new round begins."""

_LOOK_SECONDS = 0.5
"""So often, at most, is looked for jobs of others while only one principal has any."""

_MOST_ADOPTED = 2000
"""A process that has so many jobs adopts no more: the others may have room."""


class _Turns:
    """Whose jobs of some tools were adopted in this round."""

    def __init__(self) -> None:
        self.had: set[str] = set()
        """The principals that had their turn."""
        self.look_at = 0.0
        """When to look again for jobs of others."""


class Housekeeping:
    """Three tasks: one keeps the leases of this process, one cleans up after dead workers, one adopts their jobs.

    They are three, so that a slow purge does not cost leases.

    Args:
        store: The store of the jobs.
        table: The jobs of this process.
        scheduler: Has adopted jobs run.
        runner: Renews the leases of the runs.
        semaphore: Has slots to renew.
        reconciler: Finds jobs in doubt.
        keeper: Renews in place of this while the event loop is blocked.
        dropped: Gives up what is not delivered any more.
        settings: Durations.
        tools: The names of the tools whose jobs can be run here. Empty: this process runs no jobs, and adopts none.
        is_worker: Whether this process takes no requests: it adopts as many jobs as it can run, as they come.
        accepts: Whether the process is neither starting nor stopping.
    """

    def __init__(
        self,
        store: JobStore,
        table: JobTable,
        scheduler: Scheduler,
        runner: JobRunner,
        semaphore: DistributedSemaphore,
        reconciler: Reconciler,
        keeper: LeaseKeeper,
        dropped: DroppedDeliveries,
        settings: JobSettings,
        *,
        tools: Sequence[str],
        is_worker: bool,
        accepts: Callable[[], bool],
    ) -> None:
        self._store = store
        self._table = table
        self._scheduler = scheduler
        self._runner = runner
        self._semaphore = semaphore
        self._reconciler = reconciler
        self._keeper = keeper
        self._dropped = dropped
        self._every_seconds = settings.heartbeat_seconds
        self._lease_seconds = settings.lease_seconds
        self._tools = tools
        self._is_worker = is_worker
        self._accepts = accepts
        self._outage = Outage("the jobs can't be looked after")
        self._failing: set[asyncio.Event] = set()
        self._may_have_orphans = asyncio.Event()
        self._may_have_missed_changes = asyncio.Event()
        self._has_more = False
        self._turns: defaultdict[tuple[str, ...], _Turns] = defaultdict(_Turns)
        self._has_named_unknown_tools = False
        self._seen_at: float | None = None
        self._patient_until = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    # --- its life ---

    async def start(self, *, is_store_back: bool = False) -> None:
        """Send the first heartbeat, and begin.

        Args:
            is_store_back: Whether the store has just been away: others are given time for their heartbeats.

        Raises:
            UnavailableError: if the store is away.
        """
        self._seen_at = None
        self._failing = set()
        self._has_named_unknown_tools = False
        self._patient_until = time.monotonic() + 2 * self._every_seconds if is_store_back else 0.0
        await self._send_heartbeat()
        self._keeper.start()
        # events of this loop
        self._may_have_missed_changes, self._may_have_orphans = asyncio.Event(), asyncio.Event()
        works = [
            (self._renew, self._may_have_missed_changes, False, "leases"),
            (self._clean_up, self._reconciler.is_due, True, "housekeeping"),
        ]
        if self._tools:
            works.append((self._adopt, self._may_have_orphans, True, "adoption"))
        self._tasks = [
            asyncio.create_task(self._repeat(work, is_due, at_once=at_once), name=f"lambda_kit {name}")
            for work, is_due, at_once, name in works
        ]

    async def stop(self) -> None:
        """End the tasks, and leave to others what this process has."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        await self._keeper.stop()
        try:
            await self._store.expire_worker(self._runner.worker_id)
        except UnavailableError as error:
            logger.warning("the store could not be told that this process ends: it is away (%s)", error)

    def changed(self, change: Change) -> None:
        """A change was heard of a job that is not here."""
        if change.job_id is None:
            self._may_have_missed_changes.set()
            self._may_have_orphans.set()
        elif self._is_worker and change.status is JobStatus.PENDING:
            self._may_have_orphans.set()

    def offered(self) -> None:
        """A queue hints that a job may be pending that no worker has: the hint may be wrong, late or doubled."""
        self._may_have_orphans.set()

    def on_permit_released(self) -> None:
        """A job has ended here: another one can be adopted."""
        if self._is_worker and self._has_more:
            self._may_have_orphans.set()

    # --- inside ---

    async def _repeat(self, work: Callable[[], Awaitable[None]], is_due: asyncio.Event, *, at_once: bool) -> None:
        if not at_once:
            await self._until_due(is_due)
        while True:
            try:
                await work()
                self._failing.discard(is_due)
                if not self._failing:
                    self._outage.over()
            except UnavailableError as error:
                self._outage.note("housekeeping", error)  # once, though all three find out
                self._failing.add(is_due)
            except Exception:
                logger.exception("the jobs could not be looked after; trying again")
            await self._until_due(is_due)

    async def _until_due(self, is_due: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._every_seconds):
                await is_due.wait()
        is_due.clear()

    async def _send_heartbeat(self) -> None:
        self._keeper.seen()
        await self._store.heartbeat(self._runner.worker_id, lease_seconds=self._lease_seconds)
        now = time.monotonic()
        seen_at = max((at for at in (self._seen_at, self._keeper.kept_at) if at is not None), default=now)
        if now - seen_at >= self._lease_seconds:
            logger.warning("no heartbeat of this process reached the store for %.1f s", now - seen_at)
            # Maybe nobody's did: so the others have time for theirs, before anything is taken from them.
            self._patient_until = now + 2 * self._every_seconds
        self._seen_at = now

    def _is_patient(self) -> bool:
        return time.monotonic() < self._patient_until

    async def _renew(self) -> None:
        await self._send_heartbeat()
        await self._runner.renew_leases()
        await self._semaphore.renew()

    async def _clean_up(self) -> None:
        await self._renew()  # after a hold-up of the loop own leases have run out, but their jobs are not lost
        workers = await self._store.workers()
        for worker_id in workers:
            if worker_id != self._runner.worker_id and is_certainly_dead(worker_id):
                logger.info("worker %s is dead: its jobs are taken from it", worker_id)
                await self._store.expire_worker(worker_id)
                self._may_have_orphans.set()
        if not self._is_patient():
            # a neighbour that is held up, or stopped for a while, still has its jobs
            for job in await self._store.reap(spares={other for other in workers if is_living_neighbour(other)}):
                logger.warning("job %s lost its worker%s and is now %s", job.id, _named(job), job.status)
                if job.status is JobStatus.PENDING:
                    self._may_have_orphans.set()
        await self._reconciler.reconcile()
        await self._store.purge()
        await self._dropped.drop(self._store.now())
        await self._name_unknown_tools()

    async def _name_unknown_tools(self) -> None:
        """Say once which jobs wait for tools that are not here."""
        if self._has_named_unknown_tools or not self._tools:
            return
        for (tool, status), count in sorted((await self._store.counts()).items()):
            if status is JobStatus.PENDING and tool not in self._tools:
                logger.warning("%d jobs of tool '%s' wait in the store, and this service has no such tool", count, tool)
        self._has_named_unknown_tools = True

    async def _adopt(self) -> None:
        self._has_more = False
        for tools, room in self._rooms():
            jobs = await self._adopt_some(tools, room)
            self._has_more = self._has_more or len(jobs) == room
        if self._has_more and not self._is_worker:
            self._may_have_orphans.set()  # the next batch

    async def _adopt_some(self, tools: Collection[str], room: int) -> list[Job]:
        try:
            jobs = await self._adopt_in_turn(tools, room)
        except BaseException:
            self._reconciler.need()  # some may be assigned to this process without an answer
            raise
        if jobs:
            level = logging.DEBUG if self._is_worker else logging.INFO
            logger.log(level, "%d jobs are adopted that no living worker had", len(jobs))
            self._take_up(jobs)
        return jobs

    async def _adopt_in_turn(self, tools: Collection[str], room: int) -> list[Job]:
        """Adopt jobs of principals that had no turn in this round first."""
        now, turns = time.monotonic(), self._turns[tuple(tools)]
        adopt = partial(self._store.adopt, self._runner.worker_id, tools=tools, spares_silent=self._is_patient())
        jobs: list[Job] = []
        if turns.had and now >= turns.look_at:
            jobs = await adopt(limit=room, but_of=sorted(turns.had))
            if not jobs and len(turns.had) == 1:  # to look for others among its thousands of jobs is work for the store
                turns.look_at = now + _LOOK_SECONDS
        if len(jobs) < room:
            turns.had.clear()
            jobs = [*jobs, *await adopt(limit=room - len(jobs))]
        turns.had.update(job.principal for job in jobs if job.principal is not None)
        if len(turns.had) > _MOST_IN_ROUND:
            turns.had.clear()
        return jobs

    def _rooms(self) -> list[tuple[Collection[str], int]]:
        """For which tools how many jobs can be adopted."""
        if not self._accepts():
            return []
        most = min(_BATCH, _MOST_ADOPTED - len(self._table))
        rooms = self._scheduler.rooms(most) if self._is_worker else [(self._tools, most)]
        return [(tools, room) for tools, room in rooms if room > 0]

    def _take_up(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            known = self._table.get(job.id)
            if known is not None and known.run is not None:  # it was taken from this process, which did not notice yet
                self._runner.lose(known)
            elif known is not None and known.state is not State.ELSEWHERE:
                continue
            local = LocalJob(job.id, self._scheduler.lane_of(job.tool), State.QUEUED, principal=job.principal)
            self._table.add(local)
            self._scheduler.enqueue(local)


def _named(job: Job) -> str:
    return "" if job.assigned_worker is None else f" ({job.assigned_worker})"
