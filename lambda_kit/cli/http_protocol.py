"""uvicorn's HTTP protocol, with limits for what clients send and how slowly (`docs/wire.md`, Errors)."""

import asyncio
import logging
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from lambda_kit.adapters.http.problems import Problem
from lambda_kit.cli.connections import Connections
from lambda_kit.cli.http_cycle import ShortCycle
from lambda_kit.cli.probes_only import only_probes
from lambda_kit.cli.refusing_protocol import BODY, DONE, HEAD, IDLE, LINGER_SECONDS, RefusingHttpProtocol
from lambda_kit.cli.request_target import absolute_target

__all__ = ["LimitedHttpProtocol"]

logger = logging.getLogger("lambda_kit.http")

_LEAST_BYTES_PER_SECOND = 1024
_MOST_WAITING = 32
"""So many requests of a connection are parsed while one before them is answered, and those of one more piece."""

_HEAD_PIECE_BYTES = 4096
_DRAIN_BYTES = 256 * 1024
"""A request that was answered before its end is read on so far, to keep the connection for the next one."""


class _RefusedError(Exception):
    """Stops the parser."""


class LimitedHttpProtocol(RefusingHttpProtocol):
    """One connection.

    Args:
        connections: All of the server's, with the limits.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, connections=connections)
        self.descriptor = -1
        self._limits = connections.limits
        self._since = 0.0
        """When that stage began; for IDLE, when the connection was made or a request answered."""
        self._piece_at = 0.0
        self._head_bytes = 0
        self._unseen_bytes = 0
        """So much the parser has been given since it has last told of something, at most: an endless field."""
        self._body_bytes = 0
        self._has_host = False
        self._refusal: Problem | None = None
        self._is_dropped = False
        self._is_for_probes = False

    # --- what the event loop tells ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._since = self.loop.time()
        socket = transport.get_extra_info("socket")
        self.descriptor = -1 if socket is None else socket.fileno()
        if not self._connections.has_room_for(self):
            self._is_for_probes = True
            self.app = only_probes(self.app, self._connections.settings)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        if self._is_dropped:
            self._connections.has_dropped()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, in pieces that bound what the parser may hold."""
        if self._takes_no_more:
            self._discard(len(data))
            return
        if self._unparsed:
            self._unparsed.append(data)
            return
        if self._stage is IDLE:
            self._stage, self._since, self._unseen_bytes = HEAD, self.loop.time(), 0
        if len(data) <= _HEAD_PIECE_BYTES and not self.pipeline:
            self._feed(data)
        else:
            self._feed_in_pieces(memoryview(data))
        if self._stage is BODY:
            self._piece_at = self.loop.time()

    # --- what the parser tells ---

    def on_message_begin(self) -> None:
        """A request has begun."""
        super().on_message_begin()
        if self._stage is not HEAD:  # it has come together with the one before
            self._stage, self._since = HEAD, self.loop.time()
        self._head_bytes = self._unseen_bytes = 0
        self._has_host = False

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self.url += url
        if len(self.url) > self._limits.header_bytes:
            self._stop(414, "target-too-long", f"the request target is over {self._limits.header_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or one of the trailer, which is dropped (RFC 9110, 6.5.1)."""
        self._unseen_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        limits = self._limits
        if self._head_bytes > limits.header_bytes:
            self._stop(*_too_large(limits.header_bytes))
        name = name.lower()
        if self._stage is not HEAD:
            if name == b"authorization":
                self._stop(400, "bad-request", "Authorization: not in a trailer; send it as a header field")
            return
        if len(self.headers) >= limits.header_fields:
            self._stop(431, "headers-too-large", f"there are more than {limits.header_fields} header fields")
        if name == b"host":
            self._has_host = True
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":  # RFC 9112, 6.1
            self._stop(501, "unsupported-transfer-coding", "Transfer-Encoding: no coding but 'chunked' is understood")
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The header section is there."""
        if not self._has_host and self.parser.get_http_version() == "1.1":  # RFC 9112, 3.2
            self._stop(400, "bad-request", "Host: it is missing, which HTTP/1.1 requires")
        if self.url[:1] != b"/" and b"://" in self.url:
            self._take_absolute_target()
        super().on_headers_complete()
        self._stage = BODY
        self._body_bytes = 0
        self._since = self._piece_at = self.loop.time()
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope:  # else it is upgraded
            cycle.__class__ = ShortCycle  # uvicorn names its own class where it makes one
            cycle.transport = self._out
            if self._is_for_probes:
                cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unseen_bytes = 0
        self._body_bytes += len(body)
        if self.cycle is not None and self.cycle.response_complete:
            self._spare_bytes -= len(body)
            if self._spare_bytes < 0:
                self._linger()
                raise _RefusedError
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._stage = DONE
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:  # it was answered before
            self._stage = IDLE
            self._since = self.loop.time()

    # --- what the app tells ---

    def on_response_complete(self) -> None:
        """A request is answered."""
        # as uvicorn's, but without its keep-alive timer: `end_if_slow` does that
        self.server_state.total_requests += 1
        if self._is_lingering or self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._say(self._last_words)
            return
        else:
            self._since = self.loop.time()
            if self._stage is DONE:
                self._stage = IDLE
            elif self._stage is BODY:
                self._spare_bytes = _DRAIN_BYTES
        if self._unparsed and not self.pipeline:
            data = b"".join(self._unparsed)
            self._unparsed.clear()
            self.data_received(data)
        self.flow.resume_reading()

    # --- what `Connections` asks ---

    def end_if_slow(self, now: float, passed: float) -> None:
        """End the connection if its request comes too slowly."""
        limits, cycle = self._limits, self.cycle
        if self._stage is DONE or self._takes_no_more or self.parser is None:
            return
        if self._stage is BODY:
            if cycle.response_complete:
                if now - self._since > LINGER_SECONDS:
                    self.transport.close()
            elif self.flow.read_paused or cycle.waiting_for_100_continue:  # it is we who are slow
                self._since += passed
                self._piece_at = now
            elif (
                now - self._piece_at > limits.body_seconds
                or now - self._since > limits.body_seconds + self._body_bytes / _LEAST_BYTES_PER_SECOND
            ):
                self._refuse(Problem(408, "request-timeout", "the body came too slowly"))
        elif self._is_answering:
            self._since = now
        elif self._stage is HEAD:
            if now - self._since > limits.header_seconds:
                message = f"the header section was not complete within {limits.header_seconds:g} s"
                self._refuse(Problem(408, "request-timeout", message))
        elif now - self._since > (limits.header_seconds if cycle is None else self.timeout_keep_alive):
            self.transport.close()

    def spare_rank(self) -> tuple[int, float] | None:
        """Those that are closed already go first, then those that have never asked anything, the oldest first."""
        if self._is_dropped:
            return None
        if self._is_lingering:
            return (0, self._since)
        if self._is_answering or self._last_words is not None:
            return None
        return (1 if self.cycle is None else 2, self._since)

    def drop(self) -> None:
        """Close it."""
        self._is_dropped = True
        self.transport.close()

    # --- parsing ---

    def _feed_in_pieces(self, data: memoryview) -> None:
        """Parse it, but for what is behind so many requests that wait for their turn."""
        while data and not (self._takes_no_more or self.transport.is_closing()):
            if len(self.pipeline) >= _MOST_WAITING:
                self._unparsed.append(data)
                self.flow.pause_reading()
                return
            size = self._limits.header_bytes
            if self._stage is not BODY:
                size = min(size, _HEAD_PIECE_BYTES)
            self._feed(data[:size])
            data = data[size:]

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._on_upgrade()
            return
        except httptools.HttpParserError as error:
            if not self._is_lingering:
                logger.debug("a request is refused: %s", error)
                self._refuse(self._refusal or Problem(400, "bad-request", "this is not a request of HTTP/1.1"))
            return
        if self._stage is HEAD or self._stage is BODY:
            self._unseen_bytes += len(data)
            # twice, since a part of the first piece may belong to what the parser has told of
            if self._unseen_bytes > 2 * self._limits.header_bytes:
                self._refuse(Problem(*_too_large(self._limits.header_bytes)))

    def _on_upgrade(self) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        elif self.cycle is not None:
            self.cycle.keep_alive = False  # the parser takes nothing more

    def _take_absolute_target(self) -> None:
        """Have the host of the request target stand for that of `Host`, which does not count then (RFC 9112, 3.2.2)."""
        target = absolute_target(self.url)
        if target is None:
            self._stop(400, "bad-request", "the request target: it must be a path, or a URL of http or https")
        else:
            others = [field for field in self.headers if field[0] != b"host"]
            hosts = [(b"host", target.host)] * max(1, len(self.headers) - len(others))  # several are refused later
            self.headers[:] = [*hosts, *others]
            self.url = target.origin_form

    def _stop(self, status: int, kind: str, detail: str) -> None:
        """Refuse, in the middle of parsing."""
        self._refusal = Problem(status, kind, detail)
        raise _RefusedError


def _too_large(limit_bytes: int) -> tuple[int, str, str]:
    return 431, "headers-too-large", f"the header fields are over {limit_bytes} bytes"
