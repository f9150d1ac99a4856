"""The gate at which the runs of the executors' contract suite wait, in whatever process they are."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from lambda_kit.testing.executor_tools import Hello

__all__ = ["Gate", "Visit"]

_LONG_SECONDS = 60.0


class Visit:
    """The runs of one job, as the gate sees them."""

    def __init__(self) -> None:
        self.hellos: list[Hello] = []
        """What each run said that came."""
        self.is_here = asyncio.Event()
        """Set when a run has come."""
        self.is_gone = asyncio.Event()
        """Set when it has left, or its process has ended."""
        self._may_go = False
        self._writers: list[asyncio.StreamWriter] = []

    def let_go(self) -> None:
        """Let it go on, now or as soon as it comes."""
        self._may_go = True
        for writer in self._writers:
            if not writer.is_closing():
                writer.write(b"g")

    def come(self, hello: Hello, writer: asyncio.StreamWriter) -> None:
        """A run has come."""
        self.hellos.append(hello)
        self._writers.append(writer)
        self.is_here.set()
        if self._may_go:
            self.let_go()


class Gate:
    """Listens on `port` of this machine. When it is closed, who waits there goes on.

    Args:
        visit_of: The visit of a job, by its id.
    """

    def __init__(self, visit_of: Callable[[str], Visit]) -> None:
        self.port = 0
        self._visit_of = visit_of
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Let all go, and wait until nobody is there."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            with contextlib.suppress(OSError):  # it has just left
                if writer.can_write_eof():
                    writer.write_eof()  # whoever waits reads the end, and leaves
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LONG_SECONDS)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):  # it was killed
                if line := await reader.readline():
                    hello = msgspec.json.decode(line, type=Hello)
                    visit = self._visit_of(hello.job_id)
                    visit.come(hello, writer)
                    try:
                        await reader.read()
                    finally:
                        visit.is_gone.set()
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
