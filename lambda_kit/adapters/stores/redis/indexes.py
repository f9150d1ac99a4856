"""What a `RedisJobStore` keeps beside the single job: indexes, queues and slots."""

import importlib
import secrets
from abc import ABC
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from lambda_kit.adapters.stores.redis import index_scripts as scripts
from lambda_kit.adapters.stores.redis.jobs import Known, RedisJobs, known_job
from lambda_kit.adapters.stores.redis.scripts import READ_BY_KEY
from lambda_kit.core.errors import ConfigurationError, MissingExtraError, UnavailableError
from lambda_kit.core.model.job import FINAL_STATUSES, Job, JobStatus
from lambda_kit.core.ports.store import JobPage, OnChange, Taken
from lambda_kit.core.ports.store_base import JobStoreBase
from lambda_kit.core.ports.store_clock import StoreClock
from lambda_kit.core.ports.store_records import SILENT_SECONDS, cursor_number, is_expired, new_cursor
from lambda_kit.core.runtime.steady_clock import boot_seconds

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.redis.session import RedisSession

__all__ = ["RedisIndexes"]

_BATCH = 100


class RedisIndexes(JobStoreBase[Known], ABC):
    """The half of `RedisJobStore` that finds jobs, and knows who waits for what. Arguments as there."""

    counts_shares = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "lambda_kit",
        max_connections: int = 4,
        timeout_seconds: float = 5.0,
        event_log_size: int = 10_000,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError(f"max_connections={max_connections}: must be at least 1")
        if not prefix or any(character in prefix for character in "{} \r\n"):
            raise ConfigurationError(f"prefix={prefix!r}: must not be empty, nor have braces or white space")
        self._arguments: dict[str, Any] = {
            "url": url,
            "prefix": prefix,
            "timeout_seconds": timeout_seconds,
            "clock": clock,
        }
        self._store_clock = StoreClock(clock)
        super().__init__(event_log_size=event_log_size, clock=self._store_clock)
        self._session: RedisSession = _session_class()(
            url,
            f"{{{prefix}}}:",
            max_connections=max_connections,
            timeout_seconds=timeout_seconds,
            on_gap=lambda: self._jobs.forget(None),
        )
        self._jobs = RedisJobs(self._session, self._clock, event_log_size)
        self._run = self._session.run

    async def start(self) -> None:
        await self._session.start()
        await self._ask_time(self._session.command(b"TIME"))

    async def stop(self) -> None:
        await self._session.stop()
        self._jobs.forget(None)

    async def caller_key(self) -> bytes:
        name = self._session.key("secret", "callers")
        known: bytes | None = await self._session.command(b"GET", name)  # first: it can be read while Redis is full
        if known is None:
            await self._session.command(b"SET", name, secrets.token_bytes(32), b"NX")
            known = await self._session.command(b"GET", name)
        if known is None:
            raise UnavailableError(f"Redis has lost the key {name.decode()!r}, which was just written")
        return known

    # --- looking for one ---

    async def get(self, job_id: str) -> Job | None:
        known = await self._jobs.read(job_id)
        return None if known is None else known.job

    async def find_by_key(self, idempotency_key: str) -> Job | None:
        state = await self._run(READ_BY_KEY, idempotency_key)
        return None if state is None else self._unless_expired(known_job(state))

    # --- workers ---

    async def heartbeat(self, worker_id: str, *, lease_seconds: float) -> None:
        await self._ask_time(self._run(scripts.HEARTBEAT, worker_id, self._clock() + lease_seconds))

    async def _ask_time(self, question: Awaitable[Any]) -> None:
        asked_at = boot_seconds()
        seconds, microseconds = await question
        self._store_clock.sample(int(seconds) + int(microseconds) / 1e6, asked_at=asked_at)

    async def workers(self) -> list[str]:
        names = await self._session.command(b"ZRANGE", self._session.key("alive"), b"0", b"-1")
        return [worker_id.decode() for worker_id in names]

    async def expire_worker(self, worker_id: str) -> None:
        await self._run(scripts.EXPIRE_WORKER, worker_id, self._clock(), self._session.new_write_id())

    async def adopt(
        self,
        worker_id: str,
        *,
        tools: Collection[str],
        limit: int = 1000,
        spares_silent: bool = False,
        but_of: Collection[str] = (),
    ) -> list[Job]:
        write_id = self._session.new_write_id()
        now = float("-inf") if spares_silent else self._clock()
        states = await self._run(scripts.ADOPT, worker_id, now, limit, write_id, len(but_of), *but_of, *tools)
        adopted = [known for state in states if (known := known_job(state)) is not None]
        for known in adopted:
            self._jobs.remember(known)
        return [known.job for known in adopted]

    # --- looking around ---

    async def list_jobs(
        self,
        *,
        tool: str | None = None,
        statuses: Collection[JobStatus] = (),
        principal: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        below = "+inf" if cursor is None else f"({cursor_number(cursor)}"
        names = [status.value for status in statuses or JobStatus]
        found: list[Known] = []
        while True:
            if principal is None:
                entries = await self._run(scripts.LIST, below, limit + 1, tool or "", *names)
            else:
                entries = await self._run(scripts.LIST_OF_PRINCIPAL, below, limit + 1, tool or "", principal, *names)
            now = self._clock()
            found += [
                known
                for number, state in entries
                if (known := known_job(state)) is not None
                and known.number == number  # else another job of that id, later
                and not is_expired(known.job, now)
            ]
            if len(found) > limit:
                return JobPage([known.job for known in found[:limit]], new_cursor(found[limit - 1].number))
            if len(entries) <= limit:
                return JobPage([known.job for known in found], next_cursor=None)
            below = f"({entries[-1][0]}"

    async def counts(self) -> dict[tuple[str, JobStatus], int]:
        counts = await self._run(scripts.COUNT, self._clock(), *(status.value for status in JobStatus))
        return {(tool.decode(), JobStatus(status.decode())): count for tool, status, count in counts}

    async def queue_positions(self, job_ids: Collection[str]) -> dict[str, int]:
        places = await self._run(scripts.PLACES, *job_ids)
        return {job_id: place for job_id, place in zip(job_ids, places, strict=True) if place}

    # --- subscriptions ---

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        return self._session.subscribe(on_change)

    # --- slots ---

    async def acquire_slot(self, name: str, holder: str, *, limit: int, lease_seconds: float) -> bool:
        now = self._clock()
        return bool(await self._run(scripts.ACQUIRE_SLOT, name, holder, now, now + lease_seconds, limit))

    async def release_slot(self, name: str, holder: str) -> None:
        await self._session.command(b"ZREM", self._session.key("slots", name), holder.encode())

    # --- shares of callers ---

    async def take_token(self, bucket: bytes, *, rate_per_second: float, burst: int) -> Taken:
        clock = self._arguments["clock"]
        now = "" if clock is None else clock()
        is_taken, left = await self._run(scripts.TAKE_TOKEN, bucket.hex(), rate_per_second, burst, now)
        return Taken(bool(is_taken), float(left))

    # --- retention ---

    async def purge(self) -> int:
        finals = [status.value for status in FINAL_STATUSES]
        gone = 0
        while True:
            now = self._clock()
            batch: int = await self._run(scripts.PURGE, now, _BATCH, now - SILENT_SECONDS, *finals)
            gone += batch
            if batch < _BATCH:
                return gone

    # --- inside ---

    def _unless_expired(self, known: Known | None) -> Job | None:
        return None if known is None or is_expired(known.job, self._clock()) else known.job


def _session_class() -> "type[RedisSession]":
    try:
        importlib.import_module("redis")
    except ImportError:
        raise MissingExtraError("The Redis job store", "redis") from None
    from lambda_kit.adapters.stores.redis.session import RedisSession  # noqa: PLC0415 - only who uses it pays for it

    return RedisSession
