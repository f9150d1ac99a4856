"""The connections of a server: ends those that are slow, and makes room where file descriptors run out."""

import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Collection, Iterator
from typing import Protocol, runtime_checkable

from lambda_kit.adapters.http.settings import HttpSettings

if sys.platform != "win32":
    import resource

__all__ = ["Connection", "Connections"]

logger = logging.getLogger("lambda_kit.server")

_LONGEST_BACKLOG = 2048
_OUTAGE_SECONDS = 30.0


@runtime_checkable
class Connection(Protocol):
    """What is to be known of a connection."""

    descriptor: int
    """Its file descriptor."""

    def end_if_slow(self, now: float, passed: float) -> None:
        """End it if it breaks a limit of time, given the loop's time and how much of it has passed since the last."""
        ...

    def spare_rank(self) -> tuple[int, float] | None:
        """The lowest goes first where room is needed. None: a request is being answered on it."""
        ...

    def drop(self) -> None:
        """Close it."""
        ...


class Connections:
    """Looks after all connections of a server.

    Some file descriptors are kept in reserve for stores, worker processes and probes. For a new connection that needs
    one of them, others are closed on which nothing is being answered. Where there are none such, it gets health only.

    Args:
        settings: Of the HTTP side, with what each may take.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self._all: Collection[object] = ()
        self._others = 0
        """How many file descriptors are no connections; as of the last look, which takes time where there are many."""
        self._highest = 0
        self._dropped = 0
        self._spare: deque[Connection] = deque()
        self._is_searched = False
        self._swept_at: float | None = None
        self._crowded_at: float | None = None

    @property
    def backlog(self) -> int:
        """How many connections may wait to be accepted, which is how many descriptors are kept in reserve.

        An event loop accepts all that wait before it tells of the first. What is over the limit then is reset.
        """
        limit = _descriptor_limit()
        return _LONGEST_BACKLOG if limit is None else min(_LONGEST_BACKLOG, limit // 4)

    def look_after(self, connections: Collection[object]) -> None:
        """Take over the server's set of connections."""
        self._all = connections

    def descriptors(self) -> Iterator[int]:
        """The file descriptors of all."""
        return (connection.descriptor for connection in self._ours() if connection.descriptor >= 0)

    def sweep(self, now: float) -> None:
        """End the slow ones. To be called about once a second, with the loop's time."""
        passed = 0.0 if self._swept_at is None else now - self._swept_at
        self._swept_at = now
        self._is_searched = False
        self._count()
        for connection in list(self._ours()):
            connection.end_if_slow(now, passed)
        if self._crowded_at is not None and time.monotonic() - self._crowded_at > _OUTAGE_SECONDS:
            self._crowded_at = None
            logger.info("there are enough file descriptors again")

    def has_room_for(self, new: Connection) -> bool:
        """Whether a new connection may do everything; others are closed for it. False: it is to get health only."""
        limit = _descriptor_limit()
        self._highest = max(self._highest, new.descriptor)
        if limit is None or self._used < limit - self.backlog:
            return True
        self._say_crowded(limit)
        while self._used >= limit - self.backlog:
            connection = self._next_spare()
            if connection is None:
                return False
            if connection is not new and connection.spare_rank() is not None:
                self._dropped += 1
                connection.drop()
        return True

    def has_dropped(self) -> None:
        """A connection that was dropped is closed."""
        self._dropped -= 1

    @property
    def _used(self) -> int:
        return len(self._all) + self._others - self._dropped

    def _count(self) -> None:
        limit, highest = _descriptor_limit(), max(self._highest, self._used)
        self._highest = 0
        if limit is not None and highest > limit // 2:
            with contextlib.suppress(OSError):
                self._others = max(0, sum(1 for _ in os.scandir("/dev/fd")) - len(self._all))

    def _next_spare(self) -> Connection | None:
        if not self._spare and not self._is_searched:
            self._is_searched = (
                True  # until the next sweep, so that a flood does not have all of them looked at each time
            )
            ranked = [(rank, at, spare) for at, spare in enumerate(self._ours()) if (rank := spare.spare_rank())]
            self._spare.extend(spare for _, _, spare in sorted(ranked))
        return self._spare.popleft() if self._spare else None

    def _ours(self) -> Iterator[Connection]:
        return (connection for connection in self._all if isinstance(connection, Connection))

    def _say_crowded(self, limit: int) -> None:
        if self._crowded_at is None:
            logger.warning(
                "nearly all of the %d file descriptors that this process may have are in use: idle connections are "
                "closed for new ones, which get health only where there are none; raise the limit (ulimit -n)",
                limit,
            )
        self._crowded_at = time.monotonic()


def _descriptor_limit() -> int | None:
    """How many file descriptors this process may have. None: there is no bound."""
    if sys.platform == "win32":
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
