"""Issues permits to run, and starts queued jobs when there is room, tools and principals in turn.

Starts and stops executors.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.jobs.fair_queue import FairQueue, Lane, Pool
from lambda_kit.core.jobs.job_table import LocalJob, State
from lambda_kit.core.jobs.permits import Load, Permit
from lambda_kit.core.jobs.semaphore import DistributedSemaphore
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.tools.tool import BoundTool

if TYPE_CHECKING:
    from lambda_kit.core.jobs.runner import JobRunner

__all__ = ["Scheduler"]

logger = logging.getLogger("lambda_kit.scheduler")


class _Host:
    """What one executor is given at its start. Implements `ExecutorHost`."""

    def __init__(
        self, tools: Mapping[str, BoundTool], observers: Sequence[JobObserver], capacity_changed: Callable[[], None]
    ) -> None:
        self.tools = tools
        self.observers = observers
        self.capacity_changed = capacity_changed


class Scheduler:
    """The queue of the pending jobs of this process, and the permits to run them.

    A job gets a permit when its tool (`ToolOptions.max_concurrency`), the server and its executor have room for it.
    Tools take turns: one with thousands of jobs does not hold up the others that share its executor. So do, within a
    tool, the principals; jobs of one principal start in the order in which they came.

    Args:
        tools: What can be run; each tool's `BoundTool.executor` must be among the executors.
        executors: By name.
        semaphore: Bounds `ToolOptions.max_concurrency` across processes.
        max_concurrency: How many jobs of all tools run at once. None: no bound.
        runs_jobs: Whether this process runs jobs at all.
        slot_seconds: How often a slot is asked for that another process holds.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        executors: Mapping[str, Executor],
        semaphore: DistributedSemaphore,
        *,
        max_concurrency: int | None = None,
        runs_jobs: bool = True,
        slot_seconds: float = 0.2,
    ) -> None:
        tools = list(tools)
        self._pools = {name: Pool(executors[name]) for name in {tool.executor: None for tool in tools}}
        self._semaphore = semaphore
        self._lanes = {
            tool.name: Lane(tool, self._pools[tool.executor], is_shared=semaphore.is_needed) for tool in tools
        }
        self._max_concurrency = max_concurrency
        self._runs_jobs = runs_jobs
        self._slot_seconds = slot_seconds
        self._queue = FairQueue()
        self._permits: set[Permit] = set()
        self._acquiring: set[asyncio.Task[None]] = set()
        self._drained: asyncio.Event | None = None
        self._is_open = False
        self._runner: JobRunner
        self._is_left: Callable[[str], bool] | None = None
        self._on_left: Callable[[LocalJob], None] = _ignore
        self.on_release: Callable[[], None] = _nothing
        """Called when a permit was released."""

    def connect(self, runner: "JobRunner") -> None:
        """Say who runs the jobs that have a permit. Before `start`."""
        self._runner = runner

    async def start(self, observers: Sequence[JobObserver] = ()) -> None:
        """Take jobs from now on, and start the executors that have tools."""
        self._is_open = True
        self._is_left = None
        self._queue = FairQueue()  # what waited in the last life is the store's to tell
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.pool.waiting = 0
        self._drained = None  # it belongs to the event loop on which it was waited for
        if not self._runs_jobs:
            return
        for name, pool in self._pools.items():
            tools = {lane.tool.name: lane.tool for lane in self._lanes.values() if lane.pool is pool}
            await pool.executor.start(_Host(tools, observers, self.dispatch))
            logger.debug("executor '%s' has started", name)

    async def stop(self) -> None:
        """Run no more jobs that wait, and stop the executors."""
        self.close()
        for task in self._acquiring:
            task.cancel()
        if self._acquiring:
            await asyncio.wait(self._acquiring)
        stops = (pool.executor.stop() for pool in self._pools.values()) if self._runs_jobs else ()
        errors = [error for error in await asyncio.gather(*stops, return_exceptions=True) if error is not None]
        await self._semaphore.stop()
        if errors:  # all the same, the others have been stopped
            raise errors[0]

    def lane_of(self, tool: str) -> Lane:
        """The lane of a tool that this process has."""
        return self._lanes[tool]

    def has_tool(self, tool: str) -> bool:
        """Whether jobs of that tool can be run here."""
        return tool in self._lanes

    # --- permits ---

    def try_acquire(self, lane: Lane) -> Permit | None:
        """A permit for a job that comes now. None: it has to wait for its turn."""
        if lane.needs_slot or not self._runs_jobs or self._someone_waits_before(lane) or self._is_full():
            return None
        return self._issue(lane, None) if lane.has_room() else None

    def release(self, permit: Permit) -> None:
        """Give a permit back: another job can have it. Again: no effect."""
        if permit.is_released:
            return
        permit.is_released = True
        self._permits.discard(permit)
        permit.lane.running -= 1
        permit.lane.pool.running -= 1
        if permit.slot is not None:
            self._semaphore.give_back(permit.slot)
            permit.lane.ask_at_once()
        if self._queue:
            self.dispatch()
        if self._drained is not None:
            self._look_whether_drained()
        self.on_release()

    def rooms(self, unbounded: int) -> list[tuple[list[str], int]]:
        """For which tools how many more jobs could be run, less those that wait. No limit counts as `unbounded`."""
        most = unbounded
        if self._max_concurrency is not None:
            most = min(
                most,
                self._max_concurrency - len(self._permits) - sum(len(lane.waiting) for lane in self._lanes.values()),
            )
        rooms: list[tuple[list[str], int]] = []
        for pool in self._pools.values():
            free = min(most, pool.free(unbounded))
            lanes = [lane for lane in self._lanes.values() if lane.pool is pool]
            rooms.append(([lane.tool.name for lane in lanes if lane.limit is None], free))
            rooms += [([lane.tool.name], min(free, lane.free(unbounded))) for lane in lanes if lane.limit is not None]
        return [(tools, room) for tools, room in rooms if tools]

    # --- the queue ---

    def enqueue(self, job: LocalJob) -> None:
        """Put a pending job at the end of its tool's queue."""
        job.move_to(State.QUEUED)
        if job.context is None:
            job.context = contextvars.copy_context()
        self._queue.put(job)
        self.dispatch()

    def remove(self, job: LocalJob) -> bool:
        """Take a job out of the queue. False: it does not wait there."""
        is_removed = self._queue.remove(job)
        if self._drained is not None:
            self._look_whether_drained()
        return is_removed

    def waiting(self) -> list[LocalJob]:
        """The jobs that wait."""
        return list(self._queue.jobs())

    def dispatch(self) -> None:
        """Run jobs that wait, as far as there is room."""
        while self._is_open and not self._is_full() and (lane := self._queue.next_lane()) is not None:
            if self._is_left is not None and self._is_left(lane.tool.name):
                self._drop_left(list(lane.waiting))
            elif lane.needs_slot:
                lane.is_acquiring = True
                task = asyncio.get_running_loop().create_task(self._acquire_slot(lane))
                self._acquiring.add(task)
                task.add_done_callback(self._acquiring.discard)
            else:
                self._run_next(lane, None)

    # --- its end ---

    def leave(self, is_left: Callable[[str], bool], on_left: Callable[[LocalJob], None]) -> None:
        """From now on drop the jobs that wait, and come, of tools that are to be left to other processes.

        Args:
            is_left: Says that of a tool, each time that one of its jobs could start.
            on_left: Called with each job that is dropped.
        """
        self._is_left, self._on_left = is_left, on_left
        self._drop_left(self.waiting())

    def _drop_left(self, jobs: Iterable[LocalJob]) -> None:
        for job in jobs:
            if self._is_left is not None and self._is_left(job.lane.tool.name) and self.remove(job):
                self._on_left(job)

    @property
    def is_open(self) -> bool:
        """Whether jobs that wait are run."""
        return self._is_open

    def close(self) -> None:
        """Run no more jobs that wait."""
        self._is_open = False
        for lane in self._lanes.values():
            lane.ask_at_once()

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait until no job waits or has a permit; False if the time was up first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                if self._queue or self._permits:
                    if self._drained is None:
                        self._drained = asyncio.Event()
                    await self._drained.wait()
        except TimeoutError:
            return False
        return True

    def forget_permits(self) -> None:
        """Release the permits of runs that were abandoned: they must not count after a restart."""
        for permit in list(self._permits):
            self.release(permit)

    # --- looking ---

    def executor_of(self, tool: str) -> Executor:
        """The executor of a tool."""
        return self._lanes[tool].pool.executor

    def load(self) -> Load:
        """What is waiting and running now."""
        return Load(
            queued={name: len(lane.waiting) for name, lane in self._lanes.items()},
            running={name: lane.running for name, lane in self._lanes.items()},
            executors={name: pool.executor.stats() for name, pool in self._pools.items()},
        )

    async def why_not_ready(self) -> str | None:
        """Which executor can't do its work now, in words. None: all can."""
        for pool in self._pools.values() if self._runs_jobs else ():
            reason = await pool.executor.why_not_ready()
            if reason is not None:
                return reason
        return None

    # --- inside ---

    def _issue(self, lane: Lane, slot: str | None) -> Permit:
        permit = Permit(lane, slot)
        self._permits.add(permit)
        lane.running += 1
        lane.pool.running += 1
        return permit

    def _run_next(self, lane: Lane, slot: str | None) -> None:
        job = self._queue.take(lane)
        self._runner.start(job, self._issue(lane, slot), None)

    def _is_full(self) -> bool:
        return self._max_concurrency is not None and len(self._permits) >= self._max_concurrency

    def _someone_waits_before(self, lane: Lane) -> bool:
        if not self._queue:
            return False
        # where the server has a bound, whoever waits for any executor may wait for this very place
        return self._max_concurrency is not None or lane.pool.waiting > 0 or bool(lane.waiting)

    def _look_whether_drained(self) -> None:
        if self._drained is not None and not self._queue and not self._permits:
            self._drained.set()
            self._drained = None

    async def _acquire_slot(self, lane: Lane) -> None:
        """Acquire a slot for the next job of a lane, and run it; without one, ask again later."""
        slot: str | None = None
        try:
            slot = await self._semaphore.acquire(lane.tool.name, lane.limit or 1)
        except UnavailableError:
            pass  # already logged elsewhere
        except Exception:
            logger.exception("tool '%s': the store can't say whether a job may run; asking again", lane.tool.name)
        finally:
            lane.is_acquiring = False
        if slot is None:
            if self._is_open:
                lane.look_again = asyncio.get_running_loop().call_later(self._slot_seconds, self._look_again, lane)
            return
        if lane.waiting and self._is_open and not self._is_full() and lane.has_room():
            self._run_next(lane, slot)
            self.dispatch()
        else:  # who waited was cancelled meanwhile, or another job has the room
            self._semaphore.give_back(slot)

    def _look_again(self, lane: Lane) -> None:
        lane.look_again = None
        self.dispatch()


def _ignore(_job: LocalJob) -> None:
    """Default: does nothing."""


def _nothing() -> None:
    """Default: does nothing."""
