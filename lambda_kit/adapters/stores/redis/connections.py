"""The connections of `RedisJobStore`: calls in batches, and what their errors mean."""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from lambda_kit.adapters.stores.alarm import Alarm
from lambda_kit.adapters.stores.redis.lua import Script
from lambda_kit.core.errors import (
    ConfigurationError,
    PayloadTooLargeError,
    StoreError,
    StoreFullError,
    UnavailableError,
)

__all__ = ["Connections", "RedisAddress"]

_LONGEST_BATCH = 128
_MOST_BATCHES = 4  # on their way at once: fewer make longer batches, which cost less for each call
_BULK_BYTES = 64 * 1024
_BULK_CONNECTIONS = 4
_BULK_TIMEOUT_SECONDS = 60.0

# Answers of a server that will take the call later: it follows another one, is busy, or its disk is full.
# redis-py knows some of them; of others, and of what went wrong inside a script of Redis 6, there is but the text.
_PASSING_ERRORS = (ClusterDownError, MasterDownError, ReadOnlyError, TryAgainError)
_FULL = re.compile(r"\bOOM command not allowed")
_PASSING_WORDS = ("-READONLY", "MISCONF", "NOREPLICAS", "BUSY ")
# What a script may not do is an error of the script, which Redis 6 and 7 word differently.
_REFUSING_WORDS = ("NOPERM", "ACL failure", "The user executing the script")

_DATABASE = re.compile(r"/?|/[0-9]{1,9}")

_Call = tuple[Sequence[bytes], asyncio.Future[Any]]

_pack = msgspec.msgpack.Encoder().encode


class RedisAddress:
    """Where a Redis is, and how to get in.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with the options of redis-py as its query.
        timeout_seconds: Bound of each exchange.

    Raises:
        ConfigurationError: if the URL is malformed. The text does not repeat it: there may be a password in it.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        try:
            parsed: dict[str, Any] = dict(parse_url(url))
        except ValueError:
            raise ConfigurationError(
                "the URL of the Redis store is malformed: it must be like redis://user:password@host:6379/0 "
                "(rediss:// for TLS, unix:// for a socket), with special characters of the password percent-encoded"
            ) from None
        if "path" not in parsed and not _DATABASE.fullmatch(unquote(urlsplit(url).path)):  # taken for 0 by redis-py
            raise ConfigurationError(
                "the URL of the Redis store names no database: what follows the host is its number, as in "
                "redis://host:6379/0, or nothing"
            )
        self.text = parsed.get("path") or f"{parsed.get('host', 'localhost')}:{parsed.get('port', 6379)}"
        self.is_opening = False
        """Whether the store is being started: what is refused then must be mended by somebody."""
        self._alarm = Alarm()
        self._options: dict[str, Any] = {
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            "health_check_interval": 30,
            "protocol": 2,  # proxies understand it, and nothing of the newer one is needed
            **parsed,
            # a write that was sent may have been made: to send it again is for those who know what it was
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": False,
        }
        try:
            self.client(1).connection_pool.make_connection()
        except (TypeError, ValueError, RedisError) as error:
            raise ConfigurationError(f"an option in the URL of the Redis store is not one: {error}") from None

    def client(self, max_connections: int, **options: Any) -> "Redis":
        """A client with connections of its own, which are made when they are needed."""
        options = {**self._options, **options, "max_connections": max_connections}
        return Redis.from_pool(BlockingConnectionPool(timeout=options["socket_timeout"], **options))

    def error(self, error: Exception) -> Exception:
        """What an error of redis-py means to the callers of a store. Any other is returned as it is."""
        if not isinstance(error, (RedisError, OSError)):
            return error
        text = f"{type(error).__name__}: {error}"
        refusal = self._refusal(error, text)
        if refusal is not None:
            return self._refused(refusal)
        if isinstance(error, OutOfMemoryError) or _FULL.search(text):
            return self.full()
        is_passing = isinstance(error, _PASSING_ERRORS) or any(word in text for word in _PASSING_WORDS)
        if isinstance(error, ResponseError) and not is_passing:
            return StoreError(f"Redis at {self.text} can't do what it was asked for: {text}")
        return UnavailableError(f"Redis at {self.text} is away, or can't do it now: {text}")

    def full(self) -> StoreFullError:
        """What callers get for what Redis has no memory for."""
        return StoreFullError(
            f"the job store is full: Redis at {self.text} has used up its maxmemory, and takes new jobs again when "
            "finished ones have expired, or it has more"
        )

    def _refusal(self, error: Exception, text: str) -> str | None:
        """What an error says, if it says that this client may not do something."""
        if isinstance(error, (NoPermissionError, AuthorizationError)) or any(word in text for word in _REFUSING_WORDS):
            return f"Redis at {self.text} does not let this user do what a job store needs: {text}"
        if isinstance(error, AuthenticationError):
            return f"Redis at {self.text} refuses the user or the password of the URL: {text}"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return (
                f"the certificate of Redis at {self.text} is not trusted; name its authority in the URL by "
                f"?ssl_ca_certs=/path: {text}"
            )
        return None

    def _refused(self, refusal: str) -> Exception:
        if self.is_opening:
            return ConfigurationError(refusal)
        # a password or a right that is being changed comes back, and what is under way must not be lost meanwhile
        self._alarm.sound(refusal)
        return UnavailableError(refusal)


class Connections:
    """Sends calls, those of many callers together, and gives each its answer.

    Args:
        address: Where the Redis is.
        base: What each key begins with.
        max_connections: How many connections there are for calls.
    """

    def __init__(self, address: RedisAddress, base: bytes, *, max_connections: int) -> None:
        self.most_bytes = 512 * 1024 * 1024
        """How long one argument may be: what is longer Redis does not even read. This is its default."""
        self._address = address
        self._base = base
        self._max_connections = max_connections
        self._client: Redis | None = None
        self._bulk_client: Redis | None = None
        self._waiting: deque[_Call] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._bulk_calls: set[asyncio.Task[Any]] = set()
        self._is_scheduled = False

    def open(self) -> None:
        """Take calls. Connections are made when they are needed."""
        self._is_scheduled = False  # what an event loop that was closed had before it, it never did
        self._client = self._address.client(self._max_connections)
        self._bulk_client = self._address.client(_BULK_CONNECTIONS, socket_timeout=_BULK_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Take no more calls, wait for those under way, and close the connections."""
        client, self._client = self._client, None
        bulk_client, self._bulk_client = self._bulk_client, None
        while self._waiting or self._batches or self._bulk_calls:
            self._send(client)
            await asyncio.wait({*self._batches, *self._bulk_calls})
        for other in (client, bulk_client):
            if other is not None:
                await other.aclose()
                await other.connection_pool.aclose()

    async def run(self, script: Script, *args: str | float, blobs: Sequence[bytes] = ()) -> Any:
        """Run a script.

        Args:
            script: What is run.
            args: What it finds in ``ARGV``: packed together, which is much quicker than one by one.
            blobs: What it finds in ``BLOBS``, from 2 on.

        Raises:
            UnavailableError: if Redis is away, not open, or does not let us in any more.
            PayloadTooLargeError: if one of the arguments is longer than Redis takes.
            ConfigurationError: if it does not let us in, and the store is being started.
        """
        rest = (b"1", self._base, _pack(args), *blobs)
        try:
            return await self.command(b"EVALSHA", script.sha, *rest)
        except NoScriptError:  # it is new to this server; to run its text makes it known
            return await self.command(b"EVAL", script.text, *rest)

    async def command(self, *args: bytes) -> Any:
        """Run a command. Raises as `run`."""
        if sum(map(len, args)) > _BULK_BYTES:
            longest = max(map(len, args))
            if longest > self.most_bytes:
                # clients are told this: where the store is, is not for them
                raise PayloadTooLargeError(
                    f"{longest} bytes are more than a job store in Redis keeps in one piece: {self.most_bytes}"
                )
            return await self.bulk(*args)
        if self._client is None:
            raise _not_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((args, future))
        self._send_soon()
        return await future

    async def bulk(self, *args: bytes) -> Any:
        """Run a command that is long, or whose answer is: on a connection of its own, with more time. As `run`."""
        if self._bulk_client is None:
            raise _not_open()
        call = asyncio.ensure_future(self._bulk_client.execute_command(*args))
        self._bulk_calls.add(call)
        call.add_done_callback(self._bulk_calls.discard)
        try:
            return await call
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:
            raise self._address.error(error) from None

    def _send_soon(self) -> None:
        # not at once: what the other tasks of this turn of the loop have to ask goes along
        if not self._is_scheduled and len(self._batches) < _MOST_BATCHES:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send, self._client)

    def _send(self, client: "Redis | None") -> None:
        self._is_scheduled = False
        while client is not None and self._waiting and len(self._batches) < _MOST_BATCHES:
            batch = [self._waiting.popleft() for _ in range(min(_LONGEST_BATCH, len(self._waiting)))]
            task = asyncio.get_running_loop().create_task(self._exchange(client, batch))
            self._batches.add(task)
            task.add_done_callback(self._batch_done)

    def _batch_done(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        if self._waiting:
            self._send_soon()

    async def _exchange(self, client: "Redis", batch: Sequence[_Call]) -> None:
        pool = client.connection_pool
        try:
            connection = await pool.get_connection()
        except Exception as error:  # noqa: BLE001 - none of the callers may wait forever
            # with those that wait: they would find the same, one time limit after the other
            self._fail([*batch, *self._waiting], error)
            self._waiting.clear()
            return
        try:
            try:
                packed = [part for command, _ in batch for part in connection.pack_command(*command)]
                await connection.send_packed_command(b"".join(packed))
                for _, future in batch:
                    await self._answer(connection, future)
            except BaseException:
                await connection.disconnect(nowait=True)  # else the next caller could get what is left of these answers
                raise
            finally:
                await pool.release(connection)
        except Exception as error:  # noqa: BLE001 - none of the callers may wait forever
            self._fail(batch, error)  # and no others: they were not sent, and another connection may do

    def _fail(self, calls: Sequence[_Call], error: Exception) -> None:
        for _, future in calls:
            if not future.done():
                future.set_exception(self._address.error(error))

    async def _answer(self, connection: "AbstractConnection", future: asyncio.Future[Any]) -> None:
        answer: Any = None
        refusal: Exception | None = None
        try:
            answer = await connection.read_response()
        except NoScriptError as error:
            refusal = error
        except ResponseError as error:
            refusal = self._address.error(error)
        if future.done():  # its caller has gone
            return
        if refusal is None:
            future.set_result(answer)
        else:
            future.set_exception(refusal)


def _not_open() -> UnavailableError:
    return UnavailableError("the job store is not started")
