"""`StandIn`: what the stand-ins for other services have in common."""

import threading
from abc import ABC, abstractmethod
from email.message import Message
from types import TracebackType
from typing import Self

from lambda_kit.testing.recording_server import Answer, RecordingServer

__all__ = ["StandIn"]


class StandIn(ABC):
    """A real HTTP server on a port of 127.0.0.1. It runs from `come_back` to `vanish`, and so in a ``with`` block.

    Args:
        port: The port. 0: any that is free.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: RecordingServer | None = None
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    @property
    def port(self) -> int:
        """The port on which it listens, or did before it vanished."""
        if not self._port:
            name = type(self).__name__
            raise RuntimeError(f"its port is known once it runs: with {name}() as ...")
        return self._port

    def vanish(self) -> None:
        """Close the port and every connection: nobody can connect. What it was told stays. No effect if it has."""
        self._closing.set()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def come_back(self) -> None:
        """Listen on the same port again. No effect if it does."""
        if self._server is None:
            self._closing = threading.Event()
            self._server = RecordingServer(self._port, self._on_request)
            self._port = self._server.port

    @abstractmethod
    def _on_request(self, method: str, path: str, headers: "Message[str, str]", body: bytes) -> Answer | None:
        """Answer a request, on the thread of its connection. None: end the connection unanswered."""
