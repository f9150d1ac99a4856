"""The lines of standard input and output: one JSON-RPC message each (MCP, Transports, stdio).

Both ends are read and written by a thread of their own: a descriptor may be a pipe, a socket, a terminal or a file, and
whether it blocks is a property that other processes share. The SDK's `stdio_server` is not used: it parses each message
into objects and makes text of them again, though results come as JSON and may be large; it takes a line of any length;
its thread keeps the process from ending while the client says nothing; and it can't be told of streams that were kept
apart before it began (lambda_kit.cli.protocol_streams).
"""

import asyncio
import os
import re
import select
from codecs import BOM_UTF8
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from lambda_kit.core.runtime.threads import DaemonPool

__all__ = ["LineReader", "LineWriter", "LongLine", "evident_id"]

_CHUNK_BYTES = 256 * 1024
_EDGE_BYTES = 512

_ID = rb'("(?:[^"\\]|\\.)*+"|-?[0-9]+)'
_FIRST_ID = re.compile(rb'\s*\{(?:\s*"jsonrpc"\s*:\s*"2\.0"\s*,)?\s*"id"\s*:\s*' + _ID + rb"\s*,")
_LAST_ID = re.compile(rb'.*[\]}"0-9el]\s*,\s*"id"\s*:\s*' + _ID + rb"\s*\}\s*", re.DOTALL)


class LongLine(NamedTuple):
    """A line that was over the limit, and was not kept."""

    start: bytes
    end: bytes


def evident_id(line: bytes | LongLine) -> bytes | None:
    """The id of a request that could not be read, so that its client need not wait for an answer. None: unknown.

    It is found at the start or the end of the line, where most clients have it. At these two places nothing else can
    look like it, if the line was JSON.
    """
    start, end = line if isinstance(line, LongLine) else (line[:_EDGE_BYTES], line[-_EDGE_BYTES:])
    found = _FIRST_ID.match(start) or _LAST_ID.fullmatch(end)
    try:
        return found and msgspec.json.encode(msgspec.json.decode(found[1], type=int | str))
    except msgspec.DecodeError:  # such as 01
        return None


class LineReader:
    """Reads lines. Only a line feed ends one.

    Args:
        descriptor: Where from.
        max_bytes: How long a line may be.
    """

    def __init__(self, descriptor: int, *, max_bytes: Callable[[], int]) -> None:
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._thread: DaemonPool[bytes] = DaemonPool("lambda_kit-stdin", max_threads=1)

    async def lines(self) -> AsyncIterator[bytes | LongLine]:
        """The lines, without those that are blank and a BOM before the first, until the end of the input.

        What can't be read ends it too.
        """
        line = _Line(self._max_bytes)
        while chunk := await self._read():
            *ends, rest = chunk.split(b"\n")
            for piece in ends:
                line.add(piece)
                if (whole := line.take()) is not None:
                    yield whole
            line.add(rest)
        if (whole := line.take()) is not None:
            yield whole

    async def _read(self) -> bytes:
        try:
            return await self._thread.call(partial(_read, self._descriptor))
        except OSError:
            return b""


class _Line:
    """A line of which more and more is read."""

    def __init__(self, max_bytes: Callable[[], int]) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._start: bytes | None = None  # None: it is not too long yet
        self._mark = BOM_UTF8  # some programs on Windows begin what they write with it

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._start is not None or self._size > self._max_bytes():
            so_far = b"".join(self._pieces)
            self._start = self._start or so_far[:_EDGE_BYTES]
            self._pieces = [so_far[-_EDGE_BYTES:]]

    def take(self) -> bytes | LongLine | None:
        """The line, which has ended. None: it is blank."""
        text, start, mark = b"".join(self._pieces), self._start, self._mark
        self._pieces, self._size, self._start, self._mark = [], 0, None, b""
        if start is not None:
            return LongLine(start.removeprefix(mark), text)
        text = text.removeprefix(mark)
        return None if not text or text.isspace() else text


class LineWriter:
    """Writes lines, in order, without holding up the event loop.

    Args:
        descriptor: Where to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread: DaemonPool[None] = DaemonPool("lambda_kit-stdout", max_threads=1)
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self.unwritten_bytes = 0
        """How much the other side has yet to take."""
        self._taken = asyncio.Event()
        self.broken = asyncio.Event()
        """Set when nobody reads any more. What is written then is dropped."""

    def write(self, *message: bytes) -> None:
        """Write a line, soon.

        Args:
            message: The parts of its content, without the line feed.
        """
        if self.broken.is_set():
            return
        self._waiting += (*message, b"\n")
        self.unwritten_bytes += sum(map(len, message)) + 1
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def until_below(self, most_bytes: int) -> None:
        """Wait until no more than that is unwritten, or nobody reads any more."""
        while self.unwritten_bytes > most_bytes:
            self._taken.clear()
            await self._taken.wait()

    def has_reader(self) -> bool:
        """Whether somebody may still read. It is found out without writing, where the system says so."""
        if not self.broken.is_set() and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._descriptor, 0)
            if any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0)):
                self._break()
        return not self.broken.is_set()

    async def _work(self) -> None:
        while self._waiting:
            piece = self._next_piece()
            try:
                await self._thread.call(partial(_write, self._descriptor, piece))
            except OSError:
                self._break()
            self.unwritten_bytes = max(0, self.unwritten_bytes - len(piece))
            self._taken.set()
        self._task = None

    def _next_piece(self) -> bytes:
        """Several short lines at once, or what is long by itself."""
        parts, size = [], 0
        while self._waiting and size < _CHUNK_BYTES:
            parts.append(self._waiting.popleft())
            size += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _break(self) -> None:
        self._waiting.clear()
        self.unwritten_bytes = 0
        self._taken.set()
        self.broken.set()


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:  # another process that has it too does not want to wait
            _await(descriptor, "POLLIN")


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            _await(descriptor, "POLLOUT")


def _await(descriptor: int, event: str) -> None:
    poll: Any = select.poll()
    poll.register(descriptor, getattr(select, event))
    poll.poll()
