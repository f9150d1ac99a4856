"""The one subscription of a `RedisJobStore`: it receives the changes of other processes."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from lambda_kit.adapters.stores.redis.connections import RedisAddress
from lambda_kit.core.runtime.retry import BackOff

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

__all__ = ["Subscription"]

logger = logging.getLogger("lambda_kit.store")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Subscription:
    """Listens to one channel, over one connection, and comes back whatever has ended it.

    Args:
        address: Where the Redis is.
        channel: What is listened to.
        on_message: Called with each message.
        on_gap: Called when the connection is there again: messages may have been missed.
        timeout_seconds: How long a silent connection is believed in, and bound of each exchange.
    """

    def __init__(
        self,
        address: RedisAddress,
        channel: str,
        *,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[], None],
        timeout_seconds: float,
    ) -> None:
        self._address = address
        self._channel = channel
        self._on_message = on_message
        self._on_gap = on_gap
        self._timeout_seconds = timeout_seconds
        # its silence is noticed here
        self._client = address.client(1, health_check_interval=0)
        self._task: asyncio.Task[None] | None = None
        self._back_off = BackOff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        self._is_lost = False

    async def start(self) -> None:
        """Subscribe: what is published after this is heard of.

        Raises:
            UnavailableError: if Redis is away.
            ConfigurationError: if it does not let us in.
        """
        try:
            pubsub = await self._subscribed()
        except (RedisError, OSError) as error:
            await self.stop()
            raise self._address.error(error) from None
        self._task = asyncio.create_task(self._run(pubsub), name="lambda_kit-redis-subscription")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self._client.aclose()
        await self._client.connection_pool.aclose()

    async def _run(self, pubsub: "PubSub") -> None:
        while True:
            try:
                try:
                    await self._listen(pubsub)
                finally:
                    await pubsub.aclose()
            except Exception as error:  # noqa: BLE001 - to hear of nothing any more is worse than any of them
                self._note_loss(error)
            pubsub = await self._subscribed_again()
            logger.info("subscribed to Redis at %s again", self._address.text)
            self._on_gap()

    def _note_loss(self, error: Exception) -> None:
        trace = None if isinstance(error, (RedisError, OSError)) else error
        if not self._is_lost:  # once, until something is heard again
            logger.warning(
                "lost the subscription to Redis at %s (%s); making another", self._address.text, error, exc_info=trace
            )
        self._is_lost = True

    async def _listen(self, pubsub: "PubSub") -> None:
        was_asked = False
        while True:
            _heed_cancellation()
            message = await pubsub.get_message(timeout=self._timeout_seconds)
            if message is not None:
                was_asked = self._is_lost = False
                self._back_off.reset()
                if message["type"] == "message":
                    self._on_message(message["data"])
            elif was_asked:
                raise RedisConnectionError("no answer")
            else:
                await pubsub.ping()
                was_asked = True

    async def _subscribed_again(self) -> "PubSub":
        while True:
            _heed_cancellation()
            await asyncio.sleep(self._back_off.next_pause())
            try:
                return await self._subscribed()
            except Exception as error:  # noqa: BLE001 - as when it was lost
                self._note_loss(error)

    async def _subscribed(self) -> "PubSub":
        cancellations = _cancellations()
        pubsub = self._client.pubsub()
        try:
            await pubsub.subscribe(self._channel)
            if await pubsub.get_message(timeout=self._timeout_seconds) is None:
                raise RedisConnectionError("no answer")
            _heed_cancellation(since=cancellations)
        except BaseException:
            await pubsub.aclose()
            raise
        return pubsub


def _heed_cancellation(*, since: int = 0) -> None:
    """Raise the cancellation of this task that redis-py has lost, if it has.

    It writes by `asyncio.wait_for`, which on Python 3.11 drops a cancellation that comes in the very turn of the event
    loop in which the write was done (cpython issue 86296). Who has cancelled this task would wait for its end for ever.
    """
    if _cancellations() > since:
        raise asyncio.CancelledError


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
