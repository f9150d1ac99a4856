"""The queue of pending jobs: one lane for each tool, which take turns; within a lane, the principals take turns."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.tools.tool import BoundTool

if TYPE_CHECKING:
    from lambda_kit.core.jobs.job_table import LocalJob

__all__ = ["FairQueue", "Lane", "Pool", "Waiting"]


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


class Waiting:
    """The jobs of one tool that wait. They leave in rounds: in each, every principal that waits has one turn.

    Jobs of one principal leave in the order in which they came. Who comes during a round still has a turn in it, unless
    it had one: so a newcomer waits for one job of each of the others at most, however many they have. Jobs without a
    principal are all of one.
    """

    __slots__ = ("_count", "_next_round", "_served", "_this_round")

    def __init__(self) -> None:
        self._count = 0
        self._this_round: OrderedDict[str | None, OrderedDict[str, LocalJob]] = OrderedDict()
        """The jobs of each principal that still has its turn, the next one first."""
        self._next_round: OrderedDict[str | None, OrderedDict[str, LocalJob]] = OrderedDict()
        """Those of each that has had it."""
        self._served: set[str | None] = set()
        """Who has had a turn in this round, whether more of its jobs wait or not."""

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> "Iterator[LocalJob]":
        for jobs in (*self._this_round.values(), *self._next_round.values()):
            yield from jobs.values()

    def put(self, job: "LocalJob") -> bool:
        """Have a job wait behind the others of its principal. False: it replaces one of the same id."""
        principal = job.principal
        lines = self._next_round if principal in self._served else self._this_round
        jobs = lines.get(principal)
        if jobs is None:
            jobs = lines[principal] = OrderedDict()
        is_new = job.id not in jobs
        jobs[job.id] = job
        self._count += is_new
        return is_new

    def take(self) -> "LocalJob":
        """Take the job whose turn it is.

        Raises:
            KeyError: if none waits.
        """
        if not self._this_round:
            self._this_round, self._next_round = self._next_round, self._this_round
            self._served.clear()
        principal, jobs = self._this_round.popitem(last=False)
        _, job = jobs.popitem(last=False)
        self._count -= 1
        if not self._count:  # the round is over: nobody waits for anybody
            self._served.clear()
            return job
        self._served.add(principal)
        if jobs:
            self._next_round[principal] = jobs
        return job

    def remove(self, job: "LocalJob") -> bool:
        """Take a job out. False: it does not wait."""
        for lines in (self._this_round, self._next_round):
            jobs = lines.get(job.principal)
            if jobs is not None and jobs.get(job.id) is job:
                del jobs[job.id]
                if not jobs:
                    del lines[job.principal]
                self._count -= 1
                if not self._count:
                    self._served.clear()
                return True
        return False

    def clear(self) -> None:
        """Forget all."""
        self._this_round.clear()
        self._next_round.clear()
        self._served.clear()
        self._count = 0


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
        self.waiting = Waiting()

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
    """The lanes in which jobs wait, as `Waiting` has them; the lanes take turns."""

    def __init__(self) -> None:
        self._ring: deque[Lane] = deque()  # the next one first

    def __bool__(self) -> bool:
        """Whether a job waits."""
        return bool(self._ring)

    def put(self, job: "LocalJob") -> None:
        """Have a job wait in its lane."""
        lane = job.lane
        if not lane.waiting:
            self._ring.append(lane)
        if lane.waiting.put(job):
            lane.pool.waiting += 1

    def take(self, lane: Lane) -> "LocalJob":
        """Take the job of a lane whose turn it is; the other lanes are next then."""
        job = lane.waiting.take()
        self._ring.remove(lane)
        if lane.waiting:
            self._ring.append(lane)
        lane.pool.waiting -= 1
        return job

    def remove(self, job: "LocalJob") -> bool:
        """Take a job out, wherever it waits. False: it does not wait."""
        lane = job.lane
        if not lane.waiting.remove(job):
            return False
        lane.pool.waiting -= 1
        if not lane.waiting:
            self._ring.remove(lane)
        return True

    def jobs(self) -> "Iterator[LocalJob]":
        """All jobs that wait."""
        for lane in list(self._ring):
            yield from list(lane.waiting)

    def next_lane(self) -> Lane | None:
        """The lane whose turn it is, of those that have room."""
        return next((lane for lane in self._ring if lane.has_room()), None)
