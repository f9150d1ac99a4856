"""The permits to run jobs, and what is said of a process's load."""

import msgspec

from lambda_kit.core.jobs.fair_queue import Lane
from lambda_kit.core.ports.executor import ExecutorStats

__all__ = ["Load", "Permit"]


class Load(msgspec.Struct, frozen=True, gc=False):
    """What is waiting and running in this process."""

    queued: dict[str, int]
    """Jobs that wait here, by tool."""
    running: dict[str, int]
    """Jobs that have a permit, by tool."""
    executors: dict[str, ExecutorStats]
    """By name."""


class Permit:
    """The right to run one job: it counts for its tool, its executor and the server until it is released."""

    __slots__ = ("is_released", "lane", "slot")

    def __init__(self, lane: Lane, slot: str | None) -> None:
        self.lane = lane
        self.slot = slot
        """The holder of its slot in the store (`DistributedSemaphore`), where its tool's runs need one."""
        self.is_released = False
