"""HTTP by hand, where a real client would be too polite: half a request, or a body that does not fit."""

import socket
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["RawAnswer", "ask"]


class RawAnswer(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    bytes_sent: int
    """How much of the request was sent before the answer began."""


def ask(port: int, pieces: Iterable[bytes], *, seconds: float = 15.0) -> RawAnswer:
    """Send a request piece by piece, until all is sent or the answer begins; then read the answer."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        received = b""
        for piece in pieces:
            try:
                sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(piece)
            received = _what_is_there(sock)
            if received:
                break
        sock.settimeout(seconds)
        while b"\r\n\r\n" not in received:
            received += _some(sock)
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += _some(sock)
    return RawAnswer(int(status_line.split()[1]), headers, body, sent)


def _what_is_there(sock: socket.socket) -> bytes:
    sock.settimeout(0.0)
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        sock.settimeout(60.0)


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    assert data, "the connection ended in the middle of the answer"
    return data
