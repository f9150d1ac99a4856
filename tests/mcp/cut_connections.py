"""`CutConnections`: stands between a client and a service, and cuts their connections when a test says so."""

import asyncio
from typing import Self

__all__ = ["CutConnections"]


class CutConnections:
    """Forwards what comes to `url` to a port of this machine, for the event loop of a test.

    Args:
        port: Of the service.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.received = bytearray()
        """What clients have sent."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send_on_to(self, port: int) -> None:
        """Forward later connections to another service."""
        self._port = port

    def cut(self) -> None:
        """Cut all connections. New ones are served."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note_task()
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._copy(reader, there_writer, note=True), self._copy(there_reader, writer))
        except OSError:
            pass
        finally:
            for one in pair:
                one.transport.abort()
            self._writers -= pair

    def _note_task(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, note: bool = False) -> None:
        while data := await reader.read(65_536):
            if note:
                self.received += data
            writer.write(data)
            await writer.drain()
        writer.close()
