"""uvicorn's HTTP protocol, which can refuse a request, and end so that its client can still read the answer."""

import asyncio
from collections import deque
from enum import Enum
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lambda_kit.adapters.http.problems import Problem
from lambda_kit.cli.closing_answer import closing_answer
from lambda_kit.cli.connections import Connections

__all__ = ["BODY", "DONE", "HEAD", "IDLE", "LINGER_SECONDS", "RefusingHttpProtocol"]

LINGER_SECONDS = 5.0
"""For how long is read on what is of no use any more."""

_LINGER_BYTES = 64 * 1024 * 1024

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
IDLE, HEAD, BODY, DONE = _Stage.IDLE, _Stage.HEAD, _Stage.BODY, _Stage.DONE


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


class RefusingHttpProtocol(HttpToolsProtocol):
    """One connection, as far as it concerns its end.

    Args:
        connections: All of the server's.
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
        self._connections = connections
        self._stage = IDLE
        self._unparsed: deque[bytes | memoryview] = deque()
        """What has come behind more requests than are parsed while one is answered."""
        self._last_words: Problem | None = None
        """Is sent when all requests before it are answered."""
        self._is_lingering = False
        self._spare_bytes = 0
        """So much more is read of what is of no use any more."""
        self._out: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline, self._unparsed)
        self._out = _Out(transport.write, transport.is_closing, self._close_after_answer)

    def shutdown(self) -> None:
        """End, after the answer that is being given. A request whose body is still coming has a moment for the rest."""
        if self._is_lingering:
            self.transport.close()
            return
        super().shutdown()
        if self._stage is BODY:
            self.loop.call_later(_LAST_BODY_SECONDS, self._end_unfinished)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    @property
    def _takes_no_more(self) -> bool:
        return self._is_lingering or self._last_words is not None

    def _refuse(self, problem: Problem) -> None:
        """Answer that, after the answers to earlier requests, and end the connection."""
        cycle = self.cycle
        if self._stage is BODY and self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # it has not begun
        elif self._stage is BODY and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._say(problem)
            return
        if self._is_answering or self.pipeline:
            self._last_words, self._spare_bytes = problem, _LINGER_BYTES
        elif self._stage is BODY:  # it has its answer
            self._linger()
        else:
            self._say(problem)

    def _end_unfinished(self) -> None:
        """Refuse a request that is not all there. Else uvicorn would cancel it, and answer 500."""
        if self._stage is not BODY or self._takes_no_more or self.transport.is_closing() or self.parser is None:
            return
        if self.cycle.response_started:
            return
        self._refuse(Problem(503, "unavailable", "the service is stopping, and the request was not complete"))
        self.loop.call_later(_LAST_LINGER_SECONDS, self.transport.close)

    def _say(self, problem: Problem) -> None:
        shared = self._connections.settings.origins
        fields = [] if shared is None else shared.fields_of_answer(self.headers or [])
        self.transport.write(closing_answer(problem, [*self.server_state.default_headers, *fields]))
        self._linger()

    def _close_after_answer(self) -> None:
        if self._stage is BODY:
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
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _discard(self, size: int) -> None:
        self._spare_bytes -= size
        if self._spare_bytes < 0:
            self.transport.close()
