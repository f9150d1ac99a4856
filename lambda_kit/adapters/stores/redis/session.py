"""What a `RedisJobStore` has open: connections for calls, the subscription, and the subscribers."""

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from cachetools import FIFOCache

from lambda_kit.adapters.stores.redis.connections import Connections, RedisAddress
from lambda_kit.adapters.stores.redis.index_scripts import CHECK
from lambda_kit.adapters.stores.redis.lua import LAYOUT, Script
from lambda_kit.adapters.stores.redis.subscription import Subscription
from lambda_kit.core.errors import ConfigurationError, LambdaKitError, StoreError, StoreFullError, UnavailableError
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.subscriptions import Subscriptions, change_of

__all__ = ["RedisSession"]

logger = logging.getLogger("lambda_kit.store")

_OLDEST_VERSION = 6
_UNSURE_WRITES = 10_000
_LONGEST_SHOWN = 40


class RedisSession:
    """The connections of one store, and what it hears.

    Args:
        url: Where the Redis is.
        base: What each key begins with.
        max_connections: How many connections there are for calls.
        timeout_seconds: Bound of each exchange.
        on_gap: Called when changes of others may have been missed.
    """

    def __init__(
        self, url: str, base: str, *, max_connections: int, timeout_seconds: float, on_gap: Callable[[], None]
    ) -> None:
        self._address = RedisAddress(url, timeout_seconds=timeout_seconds)
        self._base = base
        self._timeout_seconds = timeout_seconds
        self._connections = Connections(self._address, base.encode(), max_connections=max_connections)
        self._subscription: Subscription | None = None
        self._subscriptions = Subscriptions()
        self.subscribe = self._subscriptions.subscribe
        self.publish = self._subscriptions.publish
        self._on_gap = on_gap
        self._is_puzzled = False
        self._origin = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._unsure: FIFOCache[str, None] = FIFOCache(_UNSURE_WRITES)
        self.run = self._connections.run
        self.command = self._connections.command
        self.bulk = self._connections.bulk
        self.full = self._address.full

    async def start(self) -> None:
        """Connect, see whether this Redis will do, and subscribe. As `JobStore.start`."""
        await self.stop()
        self._connections.open()
        self._address.is_opening = True
        try:
            await self._check()
            await self._subscribe()
        except BaseException:
            await self.stop()
            raise
        finally:
            self._address.is_opening = False

    async def stop(self) -> None:
        """Wait for the calls under way, and close all. Safe to call twice."""
        self._subscriptions.end_all()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.stop()
        await self._connections.close()

    def key(self, *parts: str) -> bytes:
        """The name of a key."""
        return f"{self._base}{':'.join(parts)}".encode()

    def new_write_id(self) -> str:
        """An id that no other write has."""
        return f"{self._origin}.{next(self._numbers)}"

    async def write(
        self, script: Script, job_id: str, write_id: str, *args: str | float, blobs: Sequence[bytes] = ()
    ) -> Any:
        """Run a script that changes a job and publishes that under `write_id`.

        Its success is for the caller to publish. Where it is not known whether it was made, also since the caller is
        cancelled, subscribers get a change without a status: they look.
        """
        try:
            return await self.run(script, job_id, write_id, *args, blobs=blobs)
        except StoreFullError:  # nothing was written
            raise
        except (asyncio.CancelledError, UnavailableError):
            self._unsure[write_id] = None  # if it is made later on, its message is not an old one
            self.publish(Change(job_id))
            raise

    async def _subscribe(self) -> None:
        subscription = Subscription(
            self._address,
            f"{self._base}changes",
            on_message=self._hear,
            on_gap=self._miss,
            timeout_seconds=self._timeout_seconds,
        )
        await subscription.start()
        self._subscription = subscription

    def _hear(self, message: bytes) -> None:
        try:
            write_id, status, cancel_requested, job_id = message.decode().split(" ", 3)
        except ValueError:
            if not self._is_puzzled:  # once: another version may say it with each change
                logger.warning("a message of another process about jobs in Redis can't be read: looking at all of them")
            self._is_puzzled = True
            self._miss()
            return
        if write_id.startswith(self._origin):
            if write_id not in self._unsure:
                return  # published already
            del self._unsure[write_id]
        self.publish(change_of(job_id, None if status == "-" else status, cancel_requested=cancel_requested == "1"))

    def _miss(self) -> None:
        self._on_gap()
        self.publish(Change(None))

    async def _check(self) -> None:
        try:
            layout = bytes(await self.run(CHECK, LAYOUT)).decode(errors="replace")
        except UnavailableError:
            raise
        except LambdaKitError as error:
            raise ConfigurationError(str(error)) from None
        if not (layout.isascii() and layout.isdigit()):
            raise ConfigurationError(
                f"the key '{self._base}layout' in Redis holds {layout[:_LONGEST_SHOWN]!r}, which lambda_kit does not "
                "write: it is another application's; use another prefix, or another database"
            )
        if layout != str(LAYOUT):
            is_older = int(layout) < LAYOUT
            raise ConfigurationError(
                f"the jobs in Redis under '{self._base}' were written by {'an older' if is_older else 'a newer'} "
                f"version of lambda_kit (layout {layout}, this one knows {LAYOUT}): "
                f"{'let that version finish its jobs, then ' if is_older else ''}use another prefix, or that version"
            )
        with contextlib.suppress(ConfigurationError, StoreError):  # not everybody may ask, or is answered
            _, limit = await self.command(b"CONFIG", b"GET", b"proto-max-bulk-len")
            self._connections.most_bytes = int(limit)
        try:
            info = b"\n".join([await self.command(b"INFO", section) for section in (b"server", b"memory")]).decode()
        except ConfigurationError:
            return  # a user who may not ask
        facts = dict(line.strip().split(":", 1) for line in info.splitlines() if ":" in line)
        version = facts.get("redis_version", str(_OLDEST_VERSION))
        if int(version.partition(".")[0]) < _OLDEST_VERSION:
            raise ConfigurationError(f"Redis at {self._address.text} is version {version}: at least 6.0 is needed")
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            logger.warning(
                "Redis at %s has maxmemory-policy %s and will drop jobs when its memory is full; set it to noeviction",
                self._address.text,
                policy,
            )
