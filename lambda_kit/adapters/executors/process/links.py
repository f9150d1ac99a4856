"""The server's ends of the links to its worker processes."""

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from lambda_kit.adapters.executors.process.messages import (
    LENGTH_BYTES,
    Hello,
    ToServer,
    ToWorker,
    from_worker,
    to_frame,
)
from lambda_kit.adapters.executors.process.server_link import Address

__all__ = ["Link", "WorkerLinks"]

logger = logging.getLogger("lambda_kit.executor")

_HELLO_SECONDS = 10.0
_HELLO_BYTES = 1024
_HAS_ABSTRACT_SOCKETS = sys.platform == "linux"
_PATH_BYTES = 100
"""The path of a Unix socket may have 103 bytes on some systems, 107 on others."""


class Link:
    """The connection to one worker, which has said who it is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        self.pid = pid
        """The worker's process id, as it says."""
        self._reader = reader
        self._writer = writer

    def send(self, message: ToWorker) -> None:
        """Send a message. If the worker is gone it is lost, and `receive` says so.

        Raises:
            Exception: if it can't be encoded, or there is no room for it. The worker has got nothing.
        """
        frame = to_frame(message)
        try:
            self._writer.write(frame)
        except BaseException:
            self.close()  # a part of it may be on its way, so nothing can follow
            raise

    async def receive(self) -> ToServer | None:
        """Wait for the next message. None: there will be none, what was sent by halves is dropped."""
        return await _receive(self._reader, None)

    def close(self) -> None:
        """Close it: the worker ends, if it has not."""
        self._writer.transport.abort()


class WorkerLinks:
    """Where the workers of one executor connect to: a socket that only this machine, or only this user, can reach.

    Who connects must say a token that only the workers know. On Linux it is a Unix socket with an abstract name, since
    a server that is killed leaves no file of it.
    """

    def __init__(self) -> None:
        self.address: Address = ""
        """Where it listens."""
        self._expected: dict[str, asyncio.Future[Link]] = {}
        self._server: asyncio.Server | None = None
        self._folder: str | None = None
        self._greetings: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: if that can't be done.
        """
        if _HAS_ABSTRACT_SOCKETS:
            self.address = f"\0lambda_kit-{secrets.token_hex(16)}"
            self._server = await asyncio.start_unix_server(self._on_connection, self.address)
            return
        if hasattr(socket, "AF_UNIX"):
            self._folder = tempfile.mkdtemp(prefix="lambda_kit-")  # for this user only
            path = str(Path(self._folder, "workers"))
            if len(os.fsencode(path)) <= _PATH_BYTES:
                self._server = await asyncio.start_unix_server(self._on_connection, path)
                self.address = path
                return
            self._remove_folder()
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._greetings:
            task.cancel()
        if self._greetings:
            await asyncio.wait(self._greetings)
        self._remove_folder()

    def expect(self) -> "tuple[str, asyncio.Future[Link]]":
        """A token for one worker, and the link to the worker that has it."""
        token = secrets.token_hex(32)
        link = self._expected[token] = asyncio.get_running_loop().create_future()
        return token, link

    def forget(self, token: str) -> None:
        """Refuse the worker of this token from now on."""
        link = self._expected.pop(token)
        link.cancel()

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._greet(reader, writer))

    def _spawn(self, greeting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(greeting)
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_known = False
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                hello = await _receive(reader, _HELLO_BYTES)
            is_known = isinstance(hello, Hello) and self._accept(hello, reader, writer)
        except (TimeoutError, msgspec.DecodeError, ValueError):
            logger.warning("a process that is no worker has connected to the workers' socket")
        finally:
            if not is_known:
                writer.transport.abort()

    def _accept(self, hello: Hello, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for token, link in self._expected.items():
            if hmac.compare_digest(token.encode(), hello.token.encode()):
                if not link.done():
                    link.set_result(Link(reader, writer, hello.pid))
                    return True
                break
        return False

    def _remove_folder(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder)
            self._folder = None


async def _receive(reader: asyncio.StreamReader, most_bytes: int | None) -> ToServer | None:
    try:
        length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        if most_bytes is not None and length > most_bytes:
            raise ValueError(f"a message of {length} bytes")
        return from_worker(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None
