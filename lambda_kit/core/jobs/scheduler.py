"""Decides when a pending job is handed to its executor: when there is room for it, the tools in turn."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from lambda_kit.core.errors import LambdaKitError, QueueFullError, UnavailableError
from lambda_kit.core.jobs.fair_queue import Turns
from lambda_kit.core.jobs.lanes import Lane, Place, Pool
from lambda_kit.core.jobs.semaphore import SharedPlaces
from lambda_kit.core.ports.executor import Executor, ExecutorStats, Invoke
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Load", "Place", "Scheduler"]

logger = logging.getLogger("lambda_kit.scheduler")

_NEXT_LOOK_SECONDS = 0.2
"""How often a place is asked for that another process has."""

_AGAIN_SECONDS = 1.0
"""After so long an executor that refused a job, though it had said that it had room, is asked again."""


def _nothing_is_left(_tool: str) -> bool:
    return False


def _ignore(_job_id: str) -> None:
    """Nobody wants to know."""


class _RunJob(Protocol):
    def __call__(self, job_id: str, invoke: Invoke) -> Coroutine[Any, Any, None]: ...


class Load(msgspec.Struct, frozen=True, gc=False):
    """What is waiting and running in this process."""

    queued: dict[str, int]
    """Jobs that wait here, by tool."""
    running: dict[str, int]
    """Jobs that executors have been handed and that have not ended, by tool."""
    executors: dict[str, ExecutorStats]
    """By name."""


class _Host:
    """What one executor is given at its start. Implements `JobHost`."""

    def __init__(self, tools: Mapping[str, BoundTool], run: _RunJob, has_room: Callable[[], None]) -> None:
        self.tools = tools
        self.run = run
        self.has_room = has_room


class Scheduler:
    """The queue of the pending jobs that this process has taken.

    A job starts when its tool (`ToolOptions.max_concurrency`), the server and its executor have room for it. Jobs of
    one tool start in the order in which they came, and tools take turns: one with thousands of jobs does not hold up
    the others that share its executor.

    Args:
        tools: What can be run; each tool's `BoundTool.executor` must be among the executors.
        executors: By name.
        run: `JobRunner.run`.
        shared_places: Those of `ToolOptions.max_concurrency` that all processes share.
        max_concurrency: How many jobs of all tools run at once. None: no bound.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        executors: Mapping[str, Executor],
        run: _RunJob,
        shared_places: SharedPlaces,
        *,
        max_concurrency: int | None = None,
    ) -> None:
        tools = list(tools)
        self._pools = {name: Pool(executors[name]) for name in {tool.executor: None for tool in tools}}
        self._shared_places = shared_places
        is_shared = shared_places.are_needed
        self._lanes = {tool.name: Lane(tool, self._pools[tool.executor], is_shared=is_shared) for tool in tools}
        self._run_job = run
        self._max_concurrency = max_concurrency
        self._places: dict[str, Place] = {}  # of the jobs that executors have
        self._turns = Turns()
        self._handing: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None
        self._is_open = False
        self._is_left: Callable[[str], bool] = _nothing_is_left
        self._on_left: Callable[[str], None] = _ignore

    async def start(self) -> None:
        """Take jobs from now on, and start the executors that have tools."""
        self._is_open = True
        self._is_left = _nothing_is_left
        self._drained = None  # it belongs to the event loop on which it was waited for
        for name, pool in self._pools.items():
            tools = {lane.tool.name: lane.tool for lane in self._lanes.values() if lane.pool is pool}
            await pool.executor.start(_Host(tools, self._run, self._wake))
            logger.debug("executor '%s' has started", name)

    async def stop(self) -> None:
        """Forget the jobs that wait, and stop the executors."""
        self._is_open = False
        if self._handing is not None:
            self._handing.cancel()
            await asyncio.wait([self._handing])
        self.close()
        stops = (pool.executor.stop() for pool in self._pools.values())
        errors = [error for error in await asyncio.gather(*stops, return_exceptions=True) if error is not None]
        await self._shared_places.stop()
        for place in list(self._places.values()):  # of runs that were abandoned: they must not count after a restart
            self._give_back(place)
        if errors:  # all the same, the others have been stopped
            raise errors[0]

    # --- jobs ---

    async def submit(self, job_id: str, tool: str) -> None:
        """Hand a pending job over now if there is room and nobody waits for it, else keep it in the queue.

        Raises:
            QueueFullError: if the executor refuses it. Nothing was kept of it.
        """
        lane = self._lanes[tool]
        if self._may_start(lane):
            await self._start(job_id, lane)
        else:
            self.enqueue(job_id, tool)

    async def begin(self, job_id: str, tool: str) -> bool:
        """Hand a job over that its run is to make, if that begins at once.

        Returns:
            False: it would have to wait. Nothing was done.

        Raises:
            QueueFullError: if the executor refuses it. Nothing was kept of it.
        """
        lane = self._lanes[tool]
        if not lane.pool.executor.starts_at_once or not self._may_start(lane):
            return False
        await self._start(job_id, lane)
        return True

    def enqueue(self, job_id: str, tool: str) -> None:
        """Put a pending job at the end of its tool's queue. No effect if it waits there, or after `close`."""
        lane = self._lanes[tool]
        if job_id in lane.waiting or not self._is_open:
            return
        self._turns.add(job_id, lane, contextvars.copy_context())
        self._wake()

    def remove(self, job_id: str) -> str | None:
        """Take a job out of the queue; returns its tool. None: it does not wait here."""
        lane = self._turns.remove(job_id)
        if lane is None:
            return None
        self._look_whether_drained()
        return lane.tool.name

    def place_of(self, job_id: str) -> Place | None:
        """The place of a job that an executor has been handed and that has not ended there. None: it has none."""
        return self._places.get(job_id)

    def knows(self, job_id: str) -> bool:
        """Whether a job waits here, or an executor has it."""
        return job_id in self._places or job_id in self._turns

    def release(self, place: Place) -> None:
        """A job has left its executor: another can have its place. Again: no effect."""
        self._give_back(place)
        if self._turns:
            self._wake()
        self._look_whether_drained()

    @property
    def is_open(self) -> bool:
        """Whether jobs are handed over."""
        return self._is_open

    def leave(self, is_left: Callable[[str], bool], on_left: Callable[[str], None]) -> None:
        """From now on forget the jobs that wait, and come, of tools that are to be left to other processes.

        Args:
            is_left: Says that of a tool, each time that one of its jobs could start.
            on_left: Told of each job that is forgotten.
        """
        self._is_left, self._on_left = is_left, on_left
        self._leave()
        self._look_whether_drained()

    def _leave(self) -> None:
        for lane in self._turns.lanes():
            if self._is_left(lane.tool.name):
                for job_id in self._turns.clear(lane):
                    self._on_left(job_id)

    def close(self) -> tuple[list[str], list[str]]:
        """Hand over no more jobs, and forget those that wait; returns their ids, and of those that executors have."""
        self._is_open = False
        waiting = [job_id for lane in self._turns.lanes() for job_id in self._turns.clear(lane)]
        for pool in self._pools.values():
            if pool.again is not None:
                pool.again.cancel()
                pool.again = None
        self._look_whether_drained()
        return waiting, list(self._places)

    def executor_of(self, tool: str) -> Executor:
        """The executor of a tool."""
        return self._lanes[tool].pool.executor

    @property
    def job_count(self) -> int:
        """How many jobs wait and run here."""
        return len(self._places) + len(self._turns)

    def load(self) -> Load:
        """What is waiting and running now."""
        return Load(
            queued={name: len(lane.waiting) for name, lane in self._lanes.items()},
            running={name: lane.running for name, lane in self._lanes.items()},
            executors={name: pool.executor.stats() for name, pool in self._pools.items()},
        )

    async def drain(self, timeout_seconds: float) -> bool:
        """Wait until no job waits or runs; False if the time was up first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                if self._places or self._turns:
                    if self._drained is None:
                        self._drained = asyncio.Event()
                    await self._drained.wait()
                for pool in self._pools.values():
                    await pool.executor.drain()
        except TimeoutError:
            return False
        return True

    async def why_not_ready(self) -> str | None:
        """Which executor can't do its work now, in words. None: all can."""
        for pool in self._pools.values():
            reason = await pool.executor.why_not_ready()
            if reason is not None:
                return reason
        return None

    # --- inside ---

    async def _run(self, job_id: str, invoke: Invoke) -> None:
        place = self._places.get(job_id)
        try:
            await self._run_job(job_id, invoke)
        except Exception:  # of the store's: what a tool raises is an outcome
            logger.exception("job %s: it could not be run, or its end could not be written", job_id)
        finally:
            if place is not None:
                self.release(place)

    def _may_start(self, lane: Lane) -> bool:
        """Whether a job that comes now need not wait."""
        return not (lane.asks_others or self._someone_waits_before(lane) or self._is_full()) and lane.has_room()

    async def _start(self, job_id: str, lane: Lane) -> None:
        place = self._take(job_id, lane)
        try:
            await lane.pool.executor.submit(job_id, lane.tool.name)
        except BaseException:
            self.release(place)
            raise

    def _take(self, job_id: str, lane: Lane, shared: str | None = None) -> Place:
        place = self._places[job_id] = Place(job_id, lane, shared)
        lane.running += 1
        return place

    def _give_back(self, place: Place) -> None:
        if place.is_released:
            return
        place.is_released = True
        place.lane.running -= 1
        if place.shared is not None:
            self._shared_places.release(place.shared)
            place.lane.is_held_up = False
        if self._places.get(place.job_id) is place:  # else the job is run again beside this run, which was lost
            del self._places[place.job_id]

    def _look_whether_drained(self) -> None:
        if self._drained is not None and not self._turns and not self._places:
            self._drained.set()
            self._drained = None

    def _someone_waits_before(self, lane: Lane) -> bool:
        if not self._turns:
            return False
        # where the server has a bound, whoever waits for any executor may wait for this very place
        return self._max_concurrency is not None or lane.pool.waiting > 0 or bool(lane.waiting)

    def _is_full(self) -> bool:
        return self._max_concurrency is not None and len(self._places) >= self._max_concurrency

    def _wake(self) -> None:
        """See to it that jobs which wait are handed over, as far as there is room."""
        if self._turns and self._handing is None and self._is_open and self._next_lane() is not None:
            self._handing = asyncio.get_running_loop().create_task(self._hand_over_all())
            self._handing.add_done_callback(self._has_handed_over)

    def _has_handed_over(self, _task: asyncio.Task[None]) -> None:
        self._handing = None
        self._wake()  # there may have been room again while the task ended

    def _wake_again(self, pool: Pool) -> None:
        pool.again = None
        self._wake()

    def _next_lane(self) -> Lane | None:
        self._leave()
        if self._is_full():
            return None
        return self._turns.next_lane()

    async def _hand_over_all(self) -> None:
        while (lane := self._next_lane()) is not None:
            self._turns.pass_on(lane)
            shared = await self._shared_place(lane) if lane.asks_others else None
            if lane.asks_others and shared is None:
                continue
            job_id, context = self._turns.take(lane)
            place = self._take(job_id, lane, shared)
            try:
                submit = lane.pool.executor.submit(job_id, lane.tool.name)
                await asyncio.get_running_loop().create_task(submit, context=context)
            except asyncio.CancelledError as error:
                if not self._is_open:
                    self._give_back(place)
                    raise
                self._put_back(place, context, error)  # the executor raised it by itself
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the executor, the job is not lost
                self._put_back(place, context, error)

    async def _shared_place(self, lane: Lane) -> str | None:
        """Take a place for the next job of a lane. None: not now; it is asked again by and by."""
        shared = None
        try:
            shared = await self._shared_places.acquire(lane.tool.name, lane.limit or 1)
        except Exception as error:
            if not isinstance(error, UnavailableError):
                logger.exception("tool '%s': the store can't say whether a job may run; asking again", lane.tool.name)
        if shared is not None and lane.waiting:
            return shared
        if shared is not None:  # who waited was cancelled meanwhile
            self._shared_places.release(shared)
            return None
        lane.is_held_up = True
        asyncio.get_running_loop().call_later(_NEXT_LOOK_SECONDS, self._look_again, lane)
        return None

    def _look_again(self, lane: Lane) -> None:
        lane.is_held_up = False
        self._wake()

    def _put_back(self, place: Place, context: contextvars.Context, error: BaseException) -> None:
        lane, job_id = place.lane, place.job_id
        self._give_back(place)
        if not self._is_open:
            self._look_whether_drained()
            return
        self._turns.add(job_id, lane, context, is_first=True)
        if isinstance(error, QueueFullError) and not lane.pool.executor.has_room():
            return  # it says when it has room again
        if not isinstance(error, LambdaKitError):
            logger.error("executor '%s' failed to take a job; trying again", lane.pool.executor.name, exc_info=error)
        if lane.pool.again is None:
            lane.pool.again = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._wake_again, lane.pool)
