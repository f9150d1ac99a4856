"""`max_concurrency` across the processes that share a store: by the store's slots."""

import asyncio
import itertools
import logging

from lambda_kit.core.ports.store import JobStore

__all__ = ["DistributedSemaphore"]

logger = logging.getLogger("lambda_kit.scheduler")


class DistributedSemaphore:
    """Bounds how many jobs of a tool run at once in all processes that share a store.

    Each acquired slot (`JobStore.acquire_slot`) has a holder of its own and belongs to one run: a job that is run
    again, while its first run still winds down, has another.

    Args:
        store: Has the slots, if it is shared.
        lease_seconds: For how long a slot is kept without renewal.
    """

    def __init__(self, store: JobStore, *, lease_seconds: float) -> None:
        self._store = store
        self.worker_id = ""
        """The id of this worker. The store frees its slots when the worker is dead. Set before the first use."""
        self._lease_seconds = lease_seconds
        self._numbers = itertools.count(1)
        self._held: dict[str, tuple[str, int]] = {}  # tool and limit by holder
        self._in_doubt: dict[str, str] = {}  # tools by holder: acquire or release not confirmed, to be released again
        self._giving_back: set[asyncio.Task[None]] = set()

    def start(self, worker_id: str) -> None:
        """Begin a life under a new name: what was held under the last one is not this process's any more."""
        self.worker_id = worker_id
        self._held.clear()
        self._in_doubt.clear()

    @property
    def is_needed(self) -> bool:
        """Whether other processes may run jobs of the same tools."""
        return self._store.is_shared

    async def acquire(self, tool: str, limit: int) -> str | None:
        """Acquire a slot for a run; returns its holder. None: all are taken.

        Raises:
            UnavailableError: if the store is away.
        """
        # one that may have been acquired for the tool already, without an answer
        holder = next((holder for holder, of in self._in_doubt.items() if of == tool), None)
        if holder is None:
            holder = f"{self.worker_id} {next(self._numbers)}"
        self._in_doubt.pop(holder, None)
        is_known = False
        try:
            is_there = await self._ask(tool, holder, limit)
            is_known = True
        finally:
            if not is_known:
                self._in_doubt[holder] = tool
        if not is_there:
            return None
        self._held[holder] = (tool, limit)
        return holder

    def give_back(self, holder: str) -> None:
        """Give a slot back, soon. No error if there is none."""
        held = self._held.pop(holder, None)
        if held is not None:
            task = asyncio.get_running_loop().create_task(self._give_back(held[0], holder))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)

    async def renew(self) -> None:
        """Keep the slots that are held, and give back what could not be given back.

        Raises:
            UnavailableError: if the store is away.
        """
        in_doubt, self._in_doubt = self._in_doubt, {}
        await asyncio.gather(*(self._give_back(tool, holder) for holder, tool in in_doubt.items()))
        await asyncio.gather(*(self._renew(holder, *held) for holder, held in list(self._held.items())))

    async def renew_in(self, store: JobStore) -> None:
        """Keep the slots that are held, through another store of the same jobs. On any thread.

        One that is given back meanwhile may be taken again: then it is free when its lease has run out.
        """
        for holder, (tool, limit) in list(self._held.items()):
            await store.acquire_slot(_name(tool), holder, limit=limit, lease_seconds=self._lease_seconds)

    async def stop(self) -> None:
        """Wait until all that was given back has reached the store."""
        if self._giving_back:
            await asyncio.wait(self._giving_back)

    async def _renew(self, holder: str, tool: str, limit: int) -> None:
        is_there = await self._ask(tool, holder, limit)
        if holder not in self._held:  # what was given back while it was asked for, may have been taken again
            await self._give_back(tool, holder)
        elif not is_there:
            logger.warning("tool '%s': a job runs here whose slot was given to another process meanwhile", tool)

    async def _ask(self, tool: str, holder: str, limit: int) -> bool:
        return await self._store.acquire_slot(_name(tool), holder, limit=limit, lease_seconds=self._lease_seconds)

    async def _give_back(self, tool: str, holder: str) -> None:
        try:
            await self._store.release_slot(_name(tool), holder)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is given back later, or runs out
            logger.debug("a slot of tool '%s' was not given back (%s)", tool, error)
            self._in_doubt[holder] = tool


def _name(tool: str) -> str:
    return f"tool:{tool}"
