"""What the scheduler knows of tools, of executors, and of the jobs that executors have."""

import asyncio
import contextvars
from collections import OrderedDict

from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["Lane", "Place", "Pool"]


class Pool:
    """An executor, and how many jobs wait for it."""

    __slots__ = ("again", "executor", "waiting")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.waiting = 0
        self.again: asyncio.TimerHandle | None = None
        """While it is not to be asked: it refused a job, though it had said that it had room."""

    def has_room(self) -> bool:
        """Whether it can be handed a job."""
        return self.again is None and self.executor.has_room()


class Lane:
    """The jobs of one tool."""

    __slots__ = ("asks_others", "is_held_up", "limit", "pool", "running", "tool", "waiting")

    def __init__(self, tool: BoundTool, pool: Pool, *, is_shared: bool) -> None:
        self.tool = tool
        self.pool = pool
        self.limit = tool.options.max_concurrency
        self.asks_others = is_shared and self.limit is not None
        """Whether a job needs a place that other processes may have."""
        self.is_held_up = False
        """Whether other processes had all places when it was asked for one."""
        self.running = 0
        self.waiting: OrderedDict[str, contextvars.Context] = OrderedDict()
        """The ids of those that wait, in order, and what their submitters' context variables were."""

    def has_room(self) -> bool:
        """Whether the tool and its executor have room for one more to run."""
        if self.is_held_up or (self.limit is not None and self.running >= self.limit):
            return False
        return self.pool.has_room()


class Place:
    """What a job has while an executor has it."""

    __slots__ = ("is_released", "job_id", "lane", "shared")

    def __init__(self, job_id: str, lane: Lane, shared: str | None = None) -> None:
        self.job_id = job_id
        self.lane = lane
        self.shared = shared
        """Its place among those of all processes (`SharedPlaces`), where its tool's jobs need one."""
        self.is_released = False
