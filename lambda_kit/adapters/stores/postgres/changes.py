"""How `PostgresJobStore` publishes and receives changes: one connection that listens and notifies."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lambda_kit.core.errors import ConfigurationError, UnavailableError
from lambda_kit.core.ports.store import Change
from lambda_kit.core.ports.subscriptions import Subscriptions, change_of
from lambda_kit.core.runtime.retry import BackOff

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Connection, Database

__all__ = ["Changes"]

logger = logging.getLogger("lambda_kit.store")

# Each NOTIFY takes a lock of the whole server until it is committed: so none is in a transaction that writes jobs. One
# of this connection is on its way at a time, for many changes, and does not wait for the disk.
_PREPARE = "SET synchronous_commit = off"
_LONGEST_PAYLOAD = 7_500  # bytes, of the 8,000 that PostgreSQL allows
_MOST_OUTGOING = 20_000  # beyond this, others get a change of no job, and look at everything again
_CALL_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_IDLE_SECONDS = 10.0  # a connection that was lost without a word is found after so long
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

_EVERYTHING = "*"
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


class Changes:
    """The one subscription of a store.

    Args:
        database: Where.
        channel: The name under which the stores of one schema notify each other.
        on_foreign: Called with each change that another store has made, before the subscribers are.
    """

    def __init__(self, database: "Database", channel: str, on_foreign: Callable[[Change], None]) -> None:
        self._database = database
        self._channel = channel
        self._on_foreign = on_foreign
        self._subscriptions = Subscriptions()
        self.subscribe = self._subscriptions.subscribe
        self._outgoing: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._own_pid = 0
        self._is_closing = False
        self._back_off = BackOff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        self._is_deaf = self._is_puzzled = False

    async def open(self) -> None:
        """Subscribe, and go on with that until `close`."""
        self._wake = asyncio.Event()
        self._is_closing = False
        is_listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_listening(is_listening), name="lambda_kit-store-changes")
        await asyncio.wait((self._task, is_listening), return_when=asyncio.FIRST_COMPLETED)
        if not is_listening.done():
            await self._task  # raises why

    async def close(self) -> None:
        """End the subscriptions, send what is still to be sent, and disconnect."""
        self._subscriptions.end_all()
        self._is_closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait((task,), timeout=_CLOSE_SECONDS)
            task.cancel()  # it waits for a database that is away
            await asyncio.gather(task, return_exceptions=True)
        self._outgoing = {}

    def publish(self, change: Change) -> None:
        """Call the subscribers here at once, and those of other stores soon, for a change that is committed."""
        if len(self._outgoing) >= _MOST_OUTGOING:
            self._outgoing = {_EVERYTHING: _EVERYTHING}
        self._outgoing[change.job_id or _EVERYTHING] = _line(change)
        self._wake.set()
        self._subscriptions.publish(change)

    async def _keep_listening(self, is_listening: asyncio.Future[None]) -> None:
        while not self._is_closing:
            try:
                with self._database.translated(is_opening=not is_listening.done()):
                    async with self._database.own_connection() as connection:
                        await self._subscribe(connection)
                        if is_listening.done():
                            self._publish_foreign(Change(None))
                        else:
                            is_listening.set_result(None)
                        await self._forward(connection)
            except Exception as error:
                if not is_listening.done():
                    raise
                self._note_loss(error)
            if not self._is_closing:
                await asyncio.sleep(self._back_off.next_pause())

    def _note_loss(self, error: Exception) -> None:
        is_expected = isinstance(error, (UnavailableError, ConfigurationError))
        if not is_expected:  # what could not be sent may be the cause
            self._outgoing = {_EVERYTHING: _EVERYTHING}
        if not self._is_deaf:  # once, until notifications go both ways again
            logger.warning(
                "changes of jobs by other processes are not heard of for a while: %s",
                error,
                exc_info=None if is_expected else error,
            )
        self._is_deaf = True

    async def _subscribe(self, connection: "Connection") -> None:
        async with asyncio.timeout(_CALL_SECONDS):
            await connection.execute(_PREPARE)
            self._own_pid = connection.get_server_pid()
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.add_listener(self._channel, self._hear)

    async def _forward(self, connection: "Connection") -> None:
        """Send what has changed to other stores, until the connection is lost."""
        while not connection.is_closed() and not self._is_closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_SECONDS):
                    await self._wake.wait()
            await self._send(connection)  # what comes meanwhile gathers for the next one
            self._back_off.reset()
            if self._is_deaf:
                self._is_deaf = False
                logger.info("changes of jobs by other processes are heard of again")

    async def _send(self, connection: "Connection") -> None:
        self._wake.clear()
        outgoing, self._outgoing = self._outgoing, {}
        try:
            # with nothing to send it shows whether the connection is still there
            await connection.fetch(_NOTIFY, self._channel, _payloads(outgoing.values()), timeout=_CALL_SECONDS)
        except BaseException:
            self._outgoing = outgoing | self._outgoing
            raise

    def _hear(self, _: object, pid: int, __: str, payload: object) -> None:
        if pid == self._own_pid:
            return  # published when it was made
        for line in str(payload).split("\n"):
            change = _change(line)
            if change.job_id is None and line != _EVERYTHING and not self._is_puzzled:
                self._is_puzzled = True  # once: another version may say it with each change
                logger.warning("a notification of another process about jobs can't be read: looking at all of them")
            self._publish_foreign(change)

    def _publish_foreign(self, change: Change) -> None:
        self._on_foreign(change)
        self._subscriptions.publish(change)


def _line(change: Change) -> str:
    if change.job_id is None:
        return _EVERYTHING
    return f"{change.status or '-'} {int(change.cancel_requested)} {change.job_id}"


def _change(line: str) -> Change:
    try:
        status, cancel_requested, job_id = line.split(" ", 2)
    except ValueError:  # everything, or what can't be read
        return Change(None)
    return change_of(job_id, None if status == "-" else status, cancel_requested=cancel_requested == "1")


def _payloads(lines: Iterable[str]) -> list[str]:
    """Lines, joined to as few texts as a notification's size allows."""
    payloads: list[str] = []
    size = 0
    gathered: list[str] = []
    for line in lines:
        length = len(line.encode()) + 1
        if length > _LONGEST_PAYLOAD:
            line, length = _EVERYTHING, len(_EVERYTHING) + 1  # noqa: PLW2901 - it can't be sent
        if size + length > _LONGEST_PAYLOAD and gathered:
            payloads.append("\n".join(gathered))
            gathered, size = [], 0
        gathered.append(line)
        size += length
    if gathered:
        payloads.append("\n".join(gathered))
    return payloads
