"""Holds tools that run in another process until a test lets them go on: no test has to guess a duration."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Self

__all__ = ["Gate", "Held", "pass_gate", "pass_gate_async"]

_BOUND_SECONDS = 120.0  # more than any test takes, also where other people have the processor


def pass_gate(port: int) -> None:
    """Called by a sync tool: tell the gate that it runs, and wait until it may go on."""
    with socket.create_connection(("127.0.0.1", port), timeout=_BOUND_SECONDS) as sock:
        sock.recv(1)


async def pass_gate_async(port: int) -> None:
    """Called by an async tool: tell the gate that it runs, and wait until it may go on."""
    async with asyncio.timeout(_BOUND_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await reader.read(1)
        finally:
            writer.close()


class Held:
    """One tool that waits at the gate."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def release(self) -> None:
        """Let it go on. Again: no effect."""
        self._sock.close()

    def wait_until_gone(self, seconds: float = 60.0) -> None:
        """Wait until it waits no more, without having been released: it was cancelled."""
        self._sock.settimeout(seconds)
        assert self._sock.recv(1) == b""


class Gate:
    """Listens on `port`; each tool that comes there waits until it is released. Leaving the block releases all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._held: list[Held] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release_all()
        self._listener.close()

    def wait_for_arrival(self, seconds: float = 60.0) -> Held:
        """Wait until the next tool has come."""
        self._listener.settimeout(seconds)
        try:
            sock, _ = self._listener.accept()
        except TimeoutError:
            raise AssertionError(f"no tool came to the gate within {seconds} s") from None
        held = Held(sock)
        self._held.append(held)
        return held

    def release_all(self) -> None:
        """Release those that wait. Those that come later wait on."""
        while self.arrivals_without_waiting():
            continue
        while self._held:
            self._held.pop().release()

    def arrivals_without_waiting(self) -> int:
        """How many have come that no `wait_for_arrival` has returned; they are held too."""
        count = 0
        self._listener.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                self._held.append(Held(sock))
                count += 1
        return count

    @contextmanager
    def holding(self) -> Generator[Held]:
        """Wait for the next arrival; it is released when the block is left."""
        held = self.wait_for_arrival()
        try:
            yield held
        finally:
            held.release()
