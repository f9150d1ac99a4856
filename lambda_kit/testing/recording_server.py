"""The HTTP side of the stand-ins: a server on threads that reads requests whole, and can drop all its connections."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

__all__ = ["Answer", "RecordingServer"]

_JOIN_SECONDS = 5.0


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


OnRequest = Callable[[str, str, "Message[str, str]", bytes], "Answer | None"]
"""Called on the thread of a connection with method, path, headers and body. None: end the connection unanswered."""


class RecordingServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on a port of loopback until `close`; every connection has a thread.

    Args:
        port: The port. 0: any that is free.
        on_request: Answers the requests.
    """

    allow_reuse_address = True  # the same port again, though connections of it linger
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int, on_request: OnRequest) -> None:
        self.on_request = on_request
        self._open: dict[socket.socket, threading.Thread] = {}
        self._changing = threading.Lock()
        self._is_closed = False
        super().__init__(("127.0.0.1", port), _Handler)
        self.port: int = self.server_address[1]
        self._loop = threading.Thread(target=self.serve_forever, args=(0.01,), name="RecordingServer", daemon=True)
        self._loop.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        with self._changing:
            self._open[request] = threading.current_thread()
            if self._is_closed:
                request.shutdown(socket.SHUT_RDWR)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changing:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break in these tests: that is no news."""

    def close(self) -> None:
        """Close the port and every connection."""
        self.shutdown()
        self.server_close()
        with self._changing:
            self._is_closed = True
            connections = dict(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # ends the reads of its thread, which closes it
        for thread in (self._loop, *connections.values()):
            thread.join(_JOIN_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        server = self.server
        assert isinstance(server, RecordingServer)
        answer = server.on_request(self.command, self.path, self.headers, self._read_body())
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        has_body = answer.status not in (204, 304)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if has_body:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(answer.body)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _handle  # noqa: N815 - http.server's names

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed, say: it never has an answer either
                raise ConnectionAbortedError("the body was cut off")
            return body
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            """Trailer fields are dropped."""
        return b"".join(pieces)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Calls are recorded, not logged."""
