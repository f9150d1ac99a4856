"""A worker's end of its link to the server."""

import os
import socket
import threading

from lambda_kit.adapters.executors.process.messages import (
    LENGTH_BYTES,
    ToServer,
    ToWorker,
    to_frame,
    to_worker,
)

__all__ = ["Address", "ServerLink"]

Address = str | tuple[str, int]
"""The path or the abstract name of a Unix socket, or host and port."""


class ServerLink:
    """A blocking connection to the server. Without it a worker has nothing to live for: it ends.

    Args:
        address: Where the server listens.
    """

    def __init__(self, address: Address) -> None:
        if isinstance(address, str):
            self._socket = socket.socket(socket.AF_UNIX)
        else:
            self._socket = socket.socket()
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect(address)
        self._sending = threading.Lock()
        self._pid = os.getpid()
        if hasattr(os, "register_at_fork"):
            # else a child that a tool forks would keep the link open, and hide the worker's death
            os.register_at_fork(after_in_child=self._socket.close)

    def send(self, message: ToServer) -> None:
        """Send a message: when this returns, what happens to this process can't take it back. From any thread.

        Raises:
            RuntimeError: in a child that a tool has forked, which has no link.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("a process that was forked by a tool can't report for its job")
        frame = to_frame(message)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except OSError:
            os._exit(1)  # the server is gone

    def receive(self) -> ToWorker:
        """Wait for the next message.

        Raises:
            MemoryError: if there is no room for it; after that nothing can be received any more.
        """
        length = int.from_bytes(self._receive_exactly(LENGTH_BYTES), "big")
        return to_worker(self._receive_exactly(length))

    def outlive(self) -> None:
        """Read no more messages, but stay until the server ends this process, or is gone."""
        while True:
            self._receive_exactly(1)

    def _receive_exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        rest = memoryview(body)
        while rest:
            try:
                count = self._socket.recv_into(rest)
            except OSError:
                count = 0
            if count == 0:
                os._exit(0)  # the server has ended, or does not want this worker any more
            rest = rest[count:]
        return body
