"""The queue of pending jobs: one lane for each tool, which take turns."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.tools.tool import BoundTool

if TYPE_CHECKING:
    from lambda_kit.core.jobs.job_table import LocalJob

__all__ = ["FairQueue", "Lane", "Pool"]


class Pool:
    """An executor, how many jobs it has, and how many wait for it."""

    __slots__ = ("executor", "running", "waiting")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.running = 0
        self.waiting = 0

    def has_room(self) -> bool:
        """Whether it can run one more job."""
        capacity = self.executor.capacity
        return capacity is None or self.running < capacity

    def free(self, unbounded: int) -> int:
        """How many more jobs it can run, less those that wait for it. Returns `unbounded` if it has no limit."""
        capacity = self.executor.capacity
        return unbounded if capacity is None else max(0, capacity - self.running - self.waiting)


class Lane:
    """The jobs of one tool."""

    __slots__ = ("is_acquiring", "limit", "look_again", "needs_slot", "pool", "running", "tool", "waiting")

    def __init__(self, tool: BoundTool, pool: Pool, *, is_shared: bool) -> None:
        self.tool = tool
        self.pool = pool
        self.limit = tool.options.max_concurrency
        self.needs_slot = is_shared and self.limit is not None
        """Whether a run needs a slot of the store: other processes run jobs of the tool too."""
        self.is_acquiring = False
        """Whether a slot is being asked for."""
        self.look_again: asyncio.TimerHandle | None = None
        """Asks again: none was free when it was last asked for."""
        self.running = 0
        self.waiting: OrderedDict[str, LocalJob] = OrderedDict()

    def has_room(self) -> bool:
        """Whether the tool and its executor have room for one more run."""
        if self.is_acquiring or self.look_again is not None or (self.limit is not None and self.running >= self.limit):
            return False
        return self.pool.has_room()

    def free(self, unbounded: int) -> int:
        """How many more of its jobs can be run, less those that wait. Returns `unbounded` if it has no limit."""
        return unbounded if self.limit is None else max(0, self.limit - self.running - len(self.waiting))

    def ask_at_once(self) -> None:
        """A slot may be free now: do not wait with the next question."""
        if self.look_again is not None:
            self.look_again.cancel()
            self.look_again = None


class FairQueue:
    """The lanes in which jobs wait. Jobs of a lane leave in the order in which they came; the lanes take turns."""

    def __init__(self) -> None:
        self._ring: deque[Lane] = deque()  # the next one first

    def __bool__(self) -> bool:
        """Whether a job waits."""
        return bool(self._ring)

    def put(self, job: "LocalJob") -> None:
        """Have a job wait at the end of its lane."""
        lane = job.lane
        if job.id in lane.waiting:
            lane.waiting[job.id] = job
            return
        if not lane.waiting:
            self._ring.append(lane)
        lane.waiting[job.id] = job
        lane.pool.waiting += 1

    def take(self, lane: Lane) -> "LocalJob":
        """Take the first job of a lane; the other lanes are next then."""
        _, job = lane.waiting.popitem(last=False)
        self._ring.remove(lane)
        if lane.waiting:
            self._ring.append(lane)
        lane.pool.waiting -= 1
        return job

    def remove(self, job: "LocalJob") -> bool:
        """Take a job out, wherever it waits. False: it does not wait."""
        lane = job.lane
        if lane.waiting.get(job.id) is not job:
            return False
        del lane.waiting[job.id]
        lane.pool.waiting -= 1
        if not lane.waiting:
            self._ring.remove(lane)
        return True

    def jobs(self) -> "Iterator[LocalJob]":
        """All jobs that wait."""
        for lane in list(self._ring):
            yield from list(lane.waiting.values())

    def next_lane(self) -> Lane | None:
        """The lane whose turn it is, of those that have room."""
        return next((lane for lane in self._ring if lane.has_room()), None)
