"""A server on 127.0.0.1 whose answers are any bytes, also such as no proper server sends."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

__all__ = ["raw_server"]

Answer = Callable[[socket.socket, bytes], None]
"""Called for each request with the connection, and with the request as it came. The connection is closed after it."""


@contextlib.contextmanager
def raw_server(answer: Answer) -> Iterator[str]:
    """While the block lasts, requests are answered by a function; gives the URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                head += line
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"), 0
            )
            with contextlib.suppress(OSError):  # who asked may go away
                answer(self.connection, head + self.rfile.read(length))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(30)
