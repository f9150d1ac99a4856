"""`max_concurrency` across the processes that share a store: by the store's slots."""

import asyncio
import logging

from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.store import JobStore

__all__ = ["SharedPlaces"]

logger = logging.getLogger("lambda_kit.scheduler")


class SharedPlaces:
    """The places of running jobs, where several processes may not run more than so many between them.

    Args:
        store: Gives the places, if it is shared.
        owner: This process's name: when it is known to be gone, its places are free.
        lease_seconds: For how long a place is kept without renewal.
    """

    def __init__(self, store: JobStore, *, owner: str, lease_seconds: float) -> None:
        self._store = store
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._held: dict[str, tuple[str, int]] = {}
        self._doubtful: dict[str, str] = {}  # tools by job: these may have a place, and are to have none
        self._giving_back: set[asyncio.Task[None]] = set()

    @property
    def are_needed(self) -> bool:
        """Whether other processes may run jobs of the same tools."""
        return self._store.is_shared

    async def acquire(self, tool: str, job_id: str, limit: int) -> bool:
        """Take a place for a job; False if all are taken.

        Raises:
            UnavailableError: if the store is away.
        """
        try:
            is_there = await self._ask(tool, job_id, limit)
        except UnavailableError:
            self._doubtful[job_id] = tool
            raise
        if is_there:
            self._held[job_id] = (tool, limit)
            self._doubtful.pop(job_id, None)
        return is_there

    def release(self, job_id: str) -> None:
        """Give a job's place back, soon. No error if it has none."""
        held = self._held.pop(job_id, None)
        if held is not None:
            task = asyncio.get_running_loop().create_task(self._give_back(held[0], job_id))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def renew(self) -> None:
        """Keep the places that are held, and give back what could not be given back.

        Raises:
            UnavailableError: if the store is away.
        """
        for job_id, tool in list(self._doubtful.items()):
            if self._doubtful.pop(job_id, None) is not None:
                await self._give_back(tool, job_id)
        for job_id, held in list(self._held.items()):
            if self._held.get(job_id) is held:  # else it was given back meanwhile
                tool, limit = held
                await self._ask(tool, job_id, limit)
                if job_id not in self._held:  # what was given back while it was asked for, may have been taken again
                    await self._give_back(tool, job_id)

    async def stop(self) -> None:
        """Wait until all that was given back has reached the store."""
        if self._giving_back:
            await asyncio.wait(self._giving_back)

    async def _ask(self, tool: str, job_id: str, limit: int) -> bool:
        holder = self._holder(job_id)
        return await self._store.acquire_slot(_name(tool), holder, limit=limit, lease_seconds=self._lease_seconds)

    def _holder(self, job_id: str) -> str:
        return f"{self._owner} {job_id}"

    async def _give_back(self, tool: str, job_id: str) -> None:
        try:
            await self._store.release_slot(_name(tool), self._holder(job_id))
        except UnavailableError as error:
            logger.debug("job %s: its place was not given back (%s)", job_id, error)
            self._doubtful[job_id] = tool


def _name(tool: str) -> str:
    return f"tool:{tool}"
