"""uvicorn, as a service needs it: it opens its port early, and answers while the last jobs run."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.server import HANDLED_SIGNALS

from lambda_kit.cli.access_log import redacted_access_log
from lambda_kit.cli.connections import Connections
from lambda_kit.cli.early_start import EarlyStart, StartState
from lambda_kit.cli.forked_children import leave_to_children
from lambda_kit.cli.http_protocol import LimitedHttpProtocol
from lambda_kit.cli.process_end import LastResort, bound_exit, end_at_once, run_to_end
from lambda_kit.cli.served import Served
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.cli.tls import HANGUP, Tls, on_hangup
from lambda_kit.cli.tls_connection import TlsConnection

__all__ = ["ServiceServer"]

logger = logging.getLogger("lambda_kit.server")

_TICKS_PER_SECOND = 10  # of uvicorn's main loop


class ServiceServer(uvicorn.Server):
    """Serves a `ToolServer` until SIGTERM or SIGINT, then lets its jobs end while all requests are answered.

    A second signal ends the process at once.

    Args:
        tool_server: What is served.
        options: Arguments for `uvicorn.Config`, such as host and port; port 0 is any that is free.
        collects: Whether to switch the garbage collector on, once the port is open.
        opens_after: A file descriptor: the port is opened when the app has started, and something can be read there.
            None: it is opened early.
        on_started: Called when the app has started.
        bounds: How long the end may take.
        tls: The certificate for HTTPS, which is read again at SIGHUP. None: it speaks HTTP.
    """

    def __init__(
        self,
        tool_server: Served,
        options: Mapping[str, Any],
        *,
        collects: bool,
        opens_after: int | None = None,
        on_started: Callable[[], None] | None = None,
        bounds: StopBounds | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._tls = tls
        self._bounds = bounds or StopBounds()
        self._tool_server = tool_server
        self._opens_after = opens_after
        self._on_started = on_started
        self._start = EarlyStart(
            tool_server.app,
            self._on_end_of_start,
            opens_early=opens_after is None,
            give_up_seconds=self._bounds.start_seconds,
        )
        self._collects = collects
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_signalled = False
        self._is_cancelled = False
        self._stop_by: float | None = None
        self._drain: asyncio.Task[None] | None = None
        self._last_resort = LastResort()
        self._connections = Connections(tool_server.http_settings)
        defaults: dict[str, Any] = {
            "log_config": None,
            "lifespan": "on",
            "http": partial(LimitedHttpProtocol, connections=self._connections),
            "timeout_keep_alive": self._connections.limits.idle_seconds,
            "backlog": self._connections.backlog,
        }
        super().__init__(uvicorn.Config(self._start, **{**defaults, **options}))
        self._connections.look_after(self.server_state.connections)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end.

        Raises:
            SystemExit: with 3 if the app can't be started or the port is taken; why is in the log.
        """
        try:
            with redacted_access_log(), asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
                loop = runner.get_loop()
                with contextlib.suppress(asyncio.CancelledError):
                    run_to_end(loop, loop.create_task(self.serve(sockets)))
        finally:
            self._last_resort.cancel()
            bound_exit(self._exit_code, self._bounds.leftovers_seconds)
        if self._exit_code:
            sys.exit(self._exit_code)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """The part of `run` that is on the event loop."""
        leave_to_children(self)
        self._loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._encrypt(self._tls)
        if self._opens_after is not None:
            self._loop.add_reader(self._opens_after, self._open_port, self._loop, self._opens_after)
        code = STARTUP_FAILURE
        try:
            await super().serve(sockets)
            code = self._exit_code
        except asyncio.CancelledError:
            self._is_cancelled = True
            code = self._exit_code
            logger.error(
                "the service ends: a tool has cancelled tasks that are not its own, those of the service too; it must "
                "cancel only what it has started, not asyncio.all_tasks()"
            )
            raise
        finally:
            # asyncio waits for what tools have left on the loop or in its thread pool, without a bound
            self._last_resort.end_within(self._bounds.leftovers_seconds, code)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port."""
        try:
            await super().startup(sockets)
        except SystemExit:
            if not self.lifespan.should_exit:  # it is the address; uvicorn has logged which
                logger.error("the port can't be opened: choose another --port or $PORT, --host or $HOST")
            raise
        if self._collects:
            gc.enable()
        self._say_ready()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % _TICKS_PER_SECOND == 0:
            self._connections.sweep(asyncio.get_running_loop().time())
            self._keep_signals()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, give requests that are in flight what is left of the grace, and end the app."""
        self._begin_stop()
        await self._begin_drain()  # it is over already, unless uvicorn itself has found that it should exit
        if self.config.timeout_graceful_shutdown is None:
            has_run = self._start.state is StartState.STARTED
            left_seconds = (self._stop_by or 0.0) - time.monotonic() if has_run else 0.0
            # asyncio, to which uvicorn hands it, takes fractions
            seconds = min(max(self._bounds.least_requests_seconds, left_seconds), self._bounds.most_requests_seconds)
            self.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]
        await super().shutdown(sockets)

    def socket_descriptors(self) -> Iterator[int]:
        """The file descriptors of what it listens on, and of its connections."""
        for server in getattr(self, "servers", ()):  # there are none before its start
            yield from (sock.fileno() for sock in server.sockets)
        yield from self._connections.descriptors()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block lasts: SIGHUP too, if there is a certificate to read again."""
        hangups = contextlib.nullcontext() if self._tls is None else on_hangup(self.handle_exit)
        with super().capture_signals(), hangups:
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end at the first signal; at the second, end. SIGHUP has the certificate read again."""
        # uvicorn's own raises the signal again afterwards: the process would be reported as killed by it
        del frame
        if sig == HANGUP:
            if self._loop is not None and self._tls is not None:
                self._loop.call_soon_threadsafe(self._tls.begin_reload)
        elif self._is_signalled:
            end_at_once(sig, self._bounds.last_words_seconds)
        else:
            self._is_signalled = True
            if self._loop is not None:
                # on the loop: here, in the middle of anything, a lock that is needed may be held, that of a log handler
                self._loop.call_soon_threadsafe(self._take_signal, sig)

    def _keep_signals(self) -> None:
        """Take its signals again, where a tool has had them ignored, or end the process at once."""
        if threading.current_thread() is not threading.main_thread():
            return
        for sig in HANDLED_SIGNALS if self._tls is None or HANGUP is None else (*HANDLED_SIGNALS, HANGUP):
            if signal.getsignal(sig) in (signal.SIG_IGN, signal.SIG_DFL):
                signal.signal(sig, self.handle_exit)
                logger.warning("a tool has switched off the handling of %s: it is on again", signal.Signals(sig).name)

    def _encrypt(self, tls: Tls) -> None:
        """Have each connection speak TLS, below whatever protocol of HTTP there is."""
        self.config.load()
        inner = self.config.http_protocol_class
        encrypted: Any = partial(TlsConnection, inner=inner, tls=tls, connections=self._connections)
        self.config.http_protocol_class = encrypted

    def _log_started_message(self, listeners: Sequence[socket.SocketType]) -> None:
        if self._tls is not None:
            self.config.ssl = self._tls.context  # the message alone says https by it: the port is open
        super()._log_started_message(listeners)

    def _take_signal(self, sig: int) -> None:
        self._begin_stop()
        self._begin_drain()
        logger.info("%s: stopping when the jobs that were accepted have ended", signal.Signals(sig).name)

    @property
    def _exit_code(self) -> int:
        if self._is_cancelled:
            return 1
        return STARTUP_FAILURE if self._start.state is StartState.FAILED else 0

    def _begin_stop(self) -> None:
        if self._stop_by is None:
            grace_seconds = self._tool_server.settings.grace_seconds
            self._stop_by = time.monotonic() + grace_seconds
            self._tool_server.begin_stop()
            self._last_resort.end_within(grace_seconds + self._bounds.close_seconds, self._exit_code)

    def _begin_drain(self) -> asyncio.Task[None]:
        if self._drain is None:
            self._drain = asyncio.create_task(self._drain_and_exit())
        return self._drain

    async def _drain_and_exit(self) -> None:
        """Have polls, events, new connections and health answered until the jobs have ended."""
        self._start.give_up()
        try:
            if self._start.state is StartState.STARTED:
                await self._tool_server.drain()
        except Exception:
            logger.exception("the jobs can't be waited for: stopping now")
        finally:
            self.should_exit = True

    def _open_port(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        loop.remove_reader(descriptor)
        self._start.open_port()

    def _on_end_of_start(self) -> None:
        if self._start.state is StartState.FAILED:
            self.should_exit = True
        elif self._start.state is StartState.STARTED:
            # What was made up to now stays. Not looking through it again and again for garbage spares requests pauses
            # of a tenth of a second.
            gc.freeze()
            if self._on_started is not None:
                self._on_started()
            self._say_ready()

    def _say_ready(self) -> None:
        if self.started and self._start.state is StartState.STARTED:
            logger.info("ready: jobs are taken")
