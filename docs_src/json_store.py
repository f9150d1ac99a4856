"""A job store of your own: a directory of JSON files."""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from lambda_kit import ConfigurationError, Job, UnavailableError
from lambda_kit.spi import Created, Decide, Delivery, Entry, LocalJobStore, Payload, job_from_members, job_members

T = TypeVar("T")


class JsonFilesJobStore(LocalJobStore):
    """Keeps each job in a JSON file, for one process, on a system with `fcntl`.

    When a call returns, what it has changed is on the disk: it survives a kill -9 of the process, a crash of the
    machine, and a loss of power if the disk keeps what it has acknowledged. Leases, slots and heartbeats are in memory
    only: they end with the process. All jobs are in memory too: for thousands of jobs, not for millions.

    Args:
        directory: Where the files are. It is made if it is not there.
        event_log_size: How many events are kept of each job. Where there are more, the oldest go.
        clock: Gives the time in seconds since the epoch. For tests.
    """

    counts_shares = True

    def __init__(
        self, directory: str | Path, *, event_log_size: int = 1000, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(event_log_size=event_log_size, clock=clock)
        self._directory = Path(directory)
        self._thread: ThreadPoolExecutor | None = None
        self._lock_file: IO[str] | None = None

    # --8<-- [start:start]
    async def start(self) -> None:
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "json store")
        try:
            self._load(await self._on_thread(self._read_all))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await super().stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)  # after the writes that were asked for
        if self._lock_file is not None:
            self._lock_file.close()

    def _read_all(self) -> list[Entry]:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self._directory / "lock").open("w")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another process has it
        return [self._read(path) for path in sorted(self._directory.glob("*.json"))]

    # --8<-- [end:start]

    # --8<-- [start:change]
    async def _change(self, job_id: str, decide: Decide[Entry], *, size_bytes: int = 0) -> Entry | None:
        async with self._turn:
            before = self._find(job_id)
            if before is None:
                return None
            now = self._clock()
            step = decide(before, now)
            if step is None:
                return before
            after = msgspec.structs.replace(before, events=list(before.events))
            after.apply(step, now, self._event_log_size)
            if not step.is_quiet:
                await self._write(after)
            self._entries[job_id] = after  # only now: a write that failed has changed nothing
            self._has_changed(before.job.status, after, is_quiet=step.is_quiet)
            return after

    # --8<-- [end:change]

    # --8<-- [start:insert]
    async def _insert(
        self, job: Job, request: Payload, max_unfinished: int | None, max_of_share: int | None = None
    ) -> Created | None:
        async with self._turn:
            existing = self._existing(job)
            if existing is not None:
                return Created(existing.job, is_new=False)
            if max_unfinished is not None and self._unfinished[job.tool] >= max_unfinished:
                return None
            self._check_share(job, max_of_share)
            entry = self._new_entry(job, request)
            await self._write(entry)
            self._add(entry)
            return Created(job, is_new=True)

    # --8<-- [end:insert]

    # --8<-- [start:rest]
    async def expire_worker(self, worker_id: str) -> None:
        async with self._turn:
            await super().expire_worker(worker_id)

    async def mark_delivered(
        self, sink: str, delivery: Delivery, *, after_seq: int, is_complete: bool, worker_id: str | None = None
    ) -> bool:
        async with self._turn:
            is_marked = await super().mark_delivered(
                sink, delivery, after_seq=after_seq, is_complete=is_complete, worker_id=worker_id
            )
            entry = self._find_by_number(delivery)
            if is_marked and entry is not None:
                await self._write(entry)
            return is_marked

    def _find(self, job_id: str) -> Entry | None:
        if self._thread is None:
            raise UnavailableError("the job store is not open")
        return super()._find(job_id)

    def _forget(self, entry: Entry) -> None:
        self._path(entry).unlink(missing_ok=True)
        super()._forget(entry)

    # --8<-- [end:rest]

    # --8<-- [start:file]
    def _path(self, entry: Entry) -> Path:
        return self._directory / f"{entry.number:012}.json"

    def _read(self, path: Path) -> Entry:
        try:
            members = msgspec.json.decode(path.read_bytes())
            entry = msgspec.convert(members, Entry)
            entry.job = job_from_members(members["job"])  # with the members that only a newer version knows
            self._outbox.restore(entry.job.id, entry.number, members["confirmed"], self._clock())
        except (msgspec.DecodeError, KeyError) as error:
            raise ConfigurationError(f"{path} is damaged: restore it, or move it away ({error})") from None
        return entry

    async def _write(self, entry: Entry) -> None:
        members = msgspec.to_builtins(entry)
        members["job"] = job_members(entry.job)
        members["confirmed"] = self._outbox.confirmed_of(entry.number)
        content = msgspec.json.encode(members)
        await self._on_thread(lambda: self._replace(self._path(entry), content))

    def _replace(self, path: Path, content: bytes) -> None:
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the bytes
        new.replace(path)  # all or nothing
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the name
        finally:
            os.close(directory)

    async def _on_thread(self, function: Callable[[], T]) -> T:
        """Call a function on the store's only thread: one write after the other, and the event loop never waits."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        except OSError as error:
            raise UnavailableError(f"the job store in {self._directory} can't be used now: {error}") from error

    # --8<-- [end:file]
