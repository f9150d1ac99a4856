"""uvicorn's HTTP protocol, with limits for what clients send and how slowly (`docs/wire.md`, Errors)."""

import asyncio
import logging
from collections import deque
from enum import Enum
from typing import Any, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lambda_kit.adapters.http.answers import Answer
from lambda_kit.adapters.http.finish import NO_STORE, NOSNIFF
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_body, retry_after
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS
from lambda_kit.cli.closing_answer import closing_answer
from lambda_kit.cli.connections import Connections
from lambda_kit.cli.http_cycle import ShortCycle
from lambda_kit.cli.request_target import absolute_target

__all__ = ["LimitedHttpProtocol"]

logger = logging.getLogger("lambda_kit.http")

_LEAST_BYTES_PER_SECOND = 1024
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 * 1024 * 1024
_MOST_WAITING = 32
"""So many requests of a connection are parsed while one before them is answered, and those of one more piece."""

_HEAD_PIECE_BYTES = 4096
_DRAIN_BYTES = 256 * 1024
"""A request that was answered before its end is read on so far, to keep the connection for the next one."""

_CROWDED_SECONDS = 5
"""When to try again where there is no connection left."""

_LAST_BODY_SECONDS = 0.5
"""For how long, at a stop, the rest of a body may still come: less than requests in flight have at least."""

_LAST_LINGER_SECONDS = 0.25


class _Stage(Enum):
    """How far the parser has come."""

    IDLE = "nothing of the next request has come"
    HEAD = "its header section is coming"
    BODY = "its body is coming"
    DONE = "all of it is there; it is answered, or waits for the answers to those before it"


# To read a member of an Enum takes 0.1 µs on Python 3.11, and each request comes by here twenty times.
_IDLE, _HEAD, _BODY, _DONE = _Stage.IDLE, _Stage.HEAD, _Stage.BODY, _Stage.DONE


class _RefusedError(Exception):
    """Stops the parser."""


class _Out(NamedTuple):
    """What an answer is written to: the transport, closed so that the client can still read it."""

    write: Any
    is_closing: Any
    close: Any


class _Flow(FlowControl):
    """Reads nothing more while requests wait for their turn: else each answer, and each look for a body, lets in more.

    Args:
        transport: Of the connection.
        waiting: What it reads nothing more for, while there is any.
    """

    def __init__(self, transport: asyncio.Transport, *waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if self.read_paused and not any(self._waiting):
            super().resume_reading()


class LimitedHttpProtocol(HttpToolsProtocol):
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
        super().__init__(config, server_state, app_state, _loop)
        self.cycle: Any = None  # of the request that has come last. uvicorn's type of it forgets that there may be none
        self.parser: Any = self.parser  # None only once the connection is lost
        self.descriptor = -1
        self._connections = connections
        self._limits = connections.limits
        self._stage = _IDLE
        self._since = 0.0
        """When that stage began; for IDLE, when the connection was made or a request answered."""
        self._piece_at = 0.0
        self._head_bytes = 0
        self._unseen_bytes = 0
        """So much the parser has been given since it has last told of something, at most: an endless field."""
        self._body_bytes = 0
        self._has_host = False
        self._unparsed: deque[bytes | memoryview] = deque()
        """What has come behind `_MOST_WAITING` requests."""
        self._refusal: Problem | None = None
        self._last_words: Problem | None = None
        """Is sent when all requests before it are answered."""
        self._is_lingering = False
        self._spare_bytes = 0
        self._is_dropped = False
        self._is_for_probes = False
        self._out: Any = None

    # --- what the event loop tells ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline, self._unparsed)
        self._since = self.loop.time()
        self._out = _Out(transport.write, transport.is_closing, self._close_after_answer)
        socket = transport.get_extra_info("socket")
        self.descriptor = -1 if socket is None else socket.fileno()
        if not self._connections.has_room_for(self):
            self._is_for_probes = True
            self.app = _only_probes(self.app, self._connections.settings)

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
        if self._stage is _IDLE:
            self._stage, self._since, self._unseen_bytes = _HEAD, self.loop.time(), 0
        if len(data) <= _HEAD_PIECE_BYTES and not self.pipeline:
            self._feed(data)
        else:
            self._feed_in_pieces(memoryview(data))
        if self._stage is _BODY:
            self._piece_at = self.loop.time()

    def shutdown(self) -> None:
        """End, after the answer that is being given. A request whose body is still coming has a moment for the rest."""
        if self._is_lingering:
            self.transport.close()
            return
        super().shutdown()
        if self._stage is _BODY:
            self.loop.call_later(_LAST_BODY_SECONDS, self._end_unfinished)

    # --- what the parser tells ---

    def on_message_begin(self) -> None:
        """A request has begun."""
        super().on_message_begin()
        if self._stage is not _HEAD:  # it has come together with the one before
            self._stage, self._since = _HEAD, self.loop.time()
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
        if self._stage is not _HEAD:
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
        self._stage = _BODY
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
        self._stage = _DONE
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:  # it was answered before
            self._stage = _IDLE
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
            if self._stage is _DONE:
                self._stage = _IDLE
            elif self._stage is _BODY:
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
        if self._stage is _DONE or self._takes_no_more or self.parser is None:
            return
        if self._stage is _BODY:
            if cycle.response_complete:
                if now - self._since > _LINGER_SECONDS:
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
        elif self._stage is _HEAD:
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

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    @property
    def _takes_no_more(self) -> bool:
        return self._is_lingering or self._last_words is not None

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

    # --- refusing ---

    def _feed_in_pieces(self, data: memoryview) -> None:
        """Parse it, but for what is behind so many requests that wait for their turn."""
        while data and not (self._takes_no_more or self.transport.is_closing()):
            if len(self.pipeline) >= _MOST_WAITING:
                self._unparsed.append(data)
                self.flow.pause_reading()
                return
            size = self._limits.header_bytes
            if self._stage is not _BODY:
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
        if self._stage is _HEAD or self._stage is _BODY:
            self._unseen_bytes += len(data)
            # twice, since a part of the first piece may belong to what the parser has told of
            if self._unseen_bytes > 2 * self._limits.header_bytes:
                self._refuse(Problem(*_too_large(self._limits.header_bytes)))

    def _on_upgrade(self) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        elif self.cycle is not None:
            self.cycle.keep_alive = False  # the parser takes nothing more

    def _stop(self, status: int, kind: str, detail: str) -> None:
        """Refuse, in the middle of parsing."""
        self._refusal = Problem(status, kind, detail)
        raise _RefusedError

    def _refuse(self, problem: Problem) -> None:
        """Answer that, after the answers to earlier requests, and end the connection."""
        cycle = self.cycle
        if self._stage is _BODY and self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # it has not begun
        elif self._stage is _BODY and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._say(problem)
            return
        if self._is_answering or self.pipeline:
            self._last_words, self._spare_bytes = problem, _LINGER_BYTES
        elif self._stage is _BODY:  # it has its answer
            self._linger()
        else:
            self._say(problem)

    def _end_unfinished(self) -> None:
        """Refuse a request that is not all there. Else uvicorn would cancel it, and answer 500."""
        if self._stage is not _BODY or self._takes_no_more or self.transport.is_closing() or self.parser is None:
            return
        self._refuse(Problem(503, "unavailable", "the service is stopping, and the request was not complete"))
        self.loop.call_later(_LAST_LINGER_SECONDS, self.transport.close)

    def _say(self, problem: Problem) -> None:
        shared = self._connections.settings.origins
        fields = [] if shared is None else shared.fields_of_answer(self.headers or [])
        self.transport.write(closing_answer(problem, [*self.server_state.default_headers, *fields]))
        self._linger()

    def _close_after_answer(self) -> None:
        if self._stage is _BODY:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close, but read on for a moment: a reset would take the answer away from who is still sending."""
        if self._is_lingering:
            return
        self._is_lingering = True
        self._spare_bytes = _LINGER_BYTES
        self.pipeline.clear()
        self._unparsed.clear()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _discard(self, size: int) -> None:
        self._spare_bytes -= size
        if self._spare_bytes < 0:
            self.transport.close()


def _too_large(limit_bytes: int) -> tuple[int, str, str]:
    return 431, "headers-too-large", f"the header fields are over {limit_bytes} bytes"


def _only_probes(app: Any, settings: HttpSettings) -> Any:
    """An app that answers health, and refuses all else."""
    problem = Problem(503, "unavailable", "the service has no connection left: try again later")
    own = [(b"retry-after", retry_after(_CROWDED_SECONDS).encode()), NOSNIFF, NO_STORE]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith(HEALTH_PATHS):
            await app(scope, receive, send)
            return
        shared = settings.origins
        fields = own if shared is None else [*own, *shared.fields_of_answer(scope["headers"])]
        await Answer(503, problem_body(problem), PROBLEM_MEDIA_TYPE, fields)(scope, receive, send)

    return answer
