"""``--with-mcp-stdio`` as a process: from its start to its exit code (docs/mcp.md, On standard input and output)."""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Iterable

from uvicorn.config import STARTUP_FAILURE

from lambda_kit.adapters.mcp.endpoint import McpEndpoint
from lambda_kit.adapters.mcp.stdio import StdioEntry
from lambda_kit.cli.loop_process import LoopProcess
from lambda_kit.cli.protocol_streams import ProtocolStreams, divert_streams
from lambda_kit.cli.served import Served
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.version import VERSION

__all__ = ["StdioProcess", "serve_stdio"]

logger = logging.getLogger("lambda_kit.mcp")

_DONE = 0

_LAST_ANSWERS_SECONDS = 1.0
"""When the jobs have ended: for answers that are under way."""

_HANDSHAKE_SECONDS = 2.0
"""When the start has failed: for a client that has just begun, so that it is told so, and not only cut off."""


def serve_stdio(server: Served, endpoint: McpEndpoint, *, bounds: StopBounds) -> None:
    """Serve a client on stdin and stdout until it leaves, or a signal comes.

    Args:
        server: Whose tools they are.
        endpoint: Answers the client.
        bounds: How long the end may take.

    Raises:
        ConfigurationError: if stdin or stdout is closed.
        SystemExit: 0, or 3 if the service can't start.
    """
    streams = divert_streams()
    if streams is None:
        raise ConfigurationError(
            "--with-mcp-stdio: stdin or stdout is closed: it is for an MCP client, which starts this file and writes "
            "to its stdin"
        )
    code = StdioProcess(server, endpoint, streams, bounds).run()
    gc.freeze()  # to look for garbage in all that was imported takes the end of the interpreter a second
    raise SystemExit(code)


class StdioProcess(LoopProcess):
    """The process of a service that has one client, at the other end of stdin and stdout.

    It ends when the input does: requests that it has read are answered first, for as long as the grace time lasts and
    somebody reads. Then jobs that nobody can ask for any more are cancelled; in a store that outlives the process they
    may go on for what is left of the grace time. A signal meanwhile ends that at once. One that comes first begins a
    drain, as for a service with a port: SIGTERM, SIGINT, or the SIGHUP of a terminal or program that goes away.

    Args:
        server: What is served.
        endpoint: Of its tools.
        streams: The client's.
        bounds: How long the end may take.
    """

    def __init__(self, server: Served, endpoint: McpEndpoint, streams: ProtocolStreams, bounds: StopBounds) -> None:
        super().__init__(bounds)
        if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as of nohup
            self.signals = (*self.signals, signal.SIGHUP)
        self._server = server
        self._endpoint = endpoint
        self._streams = streams
        self._has_signal = asyncio.Event()

    def socket_descriptors(self) -> Iterable[int]:
        """The client's streams: a child that a tool forks must not keep them open."""
        return self._streams

    async def main(self) -> int:
        """Answer the client until it leaves, or a signal comes; returns the exit code."""
        entry = StdioEntry(self._endpoint, *self._streams)
        start = asyncio.create_task(self._has_started(entry))
        reading = asyncio.create_task(entry.read())
        stopping = asyncio.create_task(self._until_stop(start))
        logger.info(
            "%s %s, lambda_kit %s: MCP on stdin and stdout, tools: %s",
            self._server.service.name, self._server.version, VERSION, ", ".join(self._endpoint.catalog.tools),
        )  # fmt: skip
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self.last_resort.end_within(self._server.settings.grace_seconds + self.bounds.close_seconds, _DONE)
            if start.done() and not start.result():
                await asyncio.wait({reading}, timeout=_HANDSHAKE_SECONDS)
            seconds = None if stopping.done() else await self._answer_the_rest(entry, stopping)
            if not start.done():
                await self._give_up_start(entry, start)
            elif start.result():
                await (self._drain(entry) if seconds is None else self._end_jobs(seconds, stopping))
            await entry.close(_LAST_ANSWERS_SECONDS)
            return STARTUP_FAILURE if start.done() and not start.cancelled() and not start.result() else _DONE
        finally:
            reading.cancel()
            stopping.cancel()

    def on_signal(self, sig: int) -> None:
        """Begin the end, or what comes next of it."""
        logger.info("%s: stopping when the jobs that were accepted have ended", signal.Signals(sig).name)
        self._has_signal.set()

    # --- inside ---

    async def _has_started(self, entry: StdioEntry) -> bool:
        try:
            await self._server.__aenter__()
        except Exception as error:
            logger.error("the service can't start: %s", error, exc_info=not isinstance(error, ConfigurationError))
            entry.start_ended("the service can't start: its log, on stderr, says why")
            return False
        gc.freeze()  # as with a port: what was made up to now stays, and is not looked through again and again
        entry.start_ended()
        logger.info("ready: jobs are taken")
        return True

    async def _until_stop(self, start: "asyncio.Task[bool]") -> None:
        """Wait for a signal, or for a start that fails."""
        signalled = asyncio.create_task(self._has_signal.wait())
        try:
            await asyncio.wait({start, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if not start.done() or start.result():
                await signalled
        finally:
            signalled.cancel()

    async def _answer_the_rest(self, entry: StdioEntry, stopping: "asyncio.Task[None]") -> float:
        """Answer what was read before the end of the input; returns how much longer jobs may go on then."""
        grace_seconds = self._server.settings.grace_seconds
        logger.info("the client has closed stdin: stopping when its requests are answered")
        end = time.monotonic() + grace_seconds
        answered = asyncio.create_task(entry.until_answered())
        await asyncio.wait({answered, stopping}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        is_of_use = self._server.jobs.outlives_process and not stopping.done()
        return max(0.0, end - time.monotonic()) if is_of_use else 0.0

    async def _give_up_start(self, entry: StdioEntry, start: "asyncio.Task[bool]") -> None:
        entry.start_ended("the service is stopping")
        start.cancel()
        await asyncio.wait({start}, timeout=self.bounds.start_seconds)

    async def _drain(self, entry: StdioEntry) -> None:
        """After a signal: let the jobs end that were taken, and answer those who wait for them."""
        try:
            await self._server.drain()
            await entry.close(_LAST_ANSWERS_SECONDS)
        finally:
            await self._server.__aexit__(None, None, None)

    async def _end_jobs(self, seconds: float, stopping: "asyncio.Task[None]") -> None:
        """After the end of the input: give the jobs so much time, unless a signal comes."""
        self._server.begin_stop(seconds)
        leaving = asyncio.ensure_future(self._server.__aexit__(None, None, None))
        await asyncio.wait({leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not leaving.done():
            self._server.begin_stop(0.0)
        await leaving
