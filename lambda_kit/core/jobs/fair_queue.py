"""The queue of the scheduler: a lane for each tool, which have their turns."""

import contextvars
from collections import deque

from lambda_kit.core.jobs.lanes import Lane

__all__ = ["Turns"]


class Turns:
    """The lanes in which jobs wait. Its truth value says whether there are any."""

    def __init__(self) -> None:
        self._ring: deque[Lane] = deque()  # whose turn it is, first

    def __bool__(self) -> bool:
        return bool(self._ring)

    def __len__(self) -> int:
        """How many jobs wait."""
        return sum(len(lane.waiting) for lane in self._ring)

    def __contains__(self, job_id: str) -> bool:
        return any(job_id in lane.waiting for lane in self._ring)

    def add(self, job_id: str, lane: Lane, context: contextvars.Context, *, is_first: bool = False) -> None:
        """Have a job wait, at the end of its lane or at its head."""
        if not lane.waiting:
            self._ring.append(lane)
        lane.waiting[job_id] = context
        lane.waiting.move_to_end(job_id, last=not is_first)
        lane.pool.waiting += 1

    def take(self, lane: Lane) -> tuple[str, contextvars.Context]:
        """Take the first job of a lane, in which one waits; the other lanes are next then."""
        job_id, context = lane.waiting.popitem(last=False)
        self._has_left(lane)
        return job_id, context

    def remove(self, job_id: str) -> Lane | None:
        """Take out a job; returns its lane. None: it does not wait."""
        lane = next((lane for lane in self._ring if job_id in lane.waiting), None)
        if lane is not None:
            del lane.waiting[job_id]
            self._has_left(lane)
        return lane

    def lanes(self) -> list[Lane]:
        """The lanes, whose turn it is first."""
        return list(self._ring)

    def clear(self, lane: Lane) -> list[str]:
        """Take out all jobs of a lane; returns their ids."""
        job_ids = list(lane.waiting)
        lane.waiting.clear()
        lane.pool.waiting -= len(job_ids)
        self._ring.remove(lane)
        return job_ids

    def next_lane(self) -> Lane | None:
        """The lane whose turn it is, of those that have room."""
        return next((lane for lane in self._ring if lane.has_room()), None)

    def pass_on(self, lane: Lane) -> None:
        """The others are first now."""
        self._ring.remove(lane)
        self._ring.append(lane)

    def _has_left(self, lane: Lane) -> None:
        lane.pool.waiting -= 1
        if not lane.waiting:
            self._ring.remove(lane)
