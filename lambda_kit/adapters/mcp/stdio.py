"""MCP on standard input and output (MCP, Transports, stdio): one client, whose requests are answered as they end."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, NamedTuple

import msgspec
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from lambda_kit.adapters.mcp.batch import ExchangeInBatch, answer_batch, check_batch
from lambda_kit.adapters.mcp.endpoint import McpEndpoint
from lambda_kit.adapters.mcp.exchange import Exchange, NoAnswer
from lambda_kit.adapters.mcp.failure_texts import refusal_text
from lambda_kit.adapters.mcp.host import McpCaller
from lambda_kit.adapters.mcp.messages import (
    Json,
    McpError,
    Message,
    cancelled_id,
    error_frame,
    read_batch,
    read_message,
    result_frame,
)
from lambda_kit.adapters.mcp.request import McpNotification, McpRequest
from lambda_kit.adapters.mcp.results import refusal_result
from lambda_kit.adapters.mcp.stdio_era import StdioEra
from lambda_kit.adapters.mcp.stdio_exchange import StdioExchange
from lambda_kit.adapters.mcp.stdio_lines import LineReader, LineWriter, LongLine, evident_id
from lambda_kit.core.errors import LambdaKitError, NotServingError

__all__ = ["StdioEntry"]

logger = logging.getLogger("lambda_kit.mcp")

_MOST_UNWRITTEN_BYTES = 16 * 1024 * 1024
"""While so much is unread by the client, nothing more is read from it."""

_START_SECONDS = 10.0
"""How long a call waits for a service that starts. With the wait for its result that is below 60 s, after which some
clients give up."""

_RETRY_SECONDS = 5.0

_LOOK_SECONDS = 0.5
"""How often to look whether the client is there, when it sends nothing more."""

_AT_ONCE = frozenset(["initialize", "ping", "server/discover", "tools/list"])
"""What is answered while the service starts."""

_STANDING = "subscriptions/listen"


class StdioEntry:
    """Answers the client at the other end of two descriptors. It begins before the service has started.

    Args:
        endpoint: Answers its requests.
        source: The descriptor to read from.
        target: The descriptor to write to.
    """

    def __init__(self, endpoint: McpEndpoint, source: int, target: int) -> None:
        host = endpoint.host
        self._endpoint = endpoint
        # the user of this machine, who has the service file and its store anyway: there is no login
        self._caller = McpCaller(jobs=host.jobs.acting_for(None))
        self._reader = LineReader(source, max_bytes=host.max_body_bytes)
        self._writer = LineWriter(target)
        self._era = StdioEra()
        self._open: dict[asyncio.Task[Any], _Open] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._start_ended = asyncio.Event()
        self._trouble: str | None = None

    # --- for the process ---

    def start_ended(self, trouble: str | None = None) -> None:
        """The start of the service has ended: calls that wait for it go on.

        Args:
            trouble: Why there are no jobs, for the client. None: they are taken.
        """
        self._trouble = trouble
        self._start_ended.set()

    async def read(self) -> None:
        """Take requests until the end of the input, or until nobody reads the answers."""
        reading = asyncio.ensure_future(self._read())
        broken = asyncio.ensure_future(self._writer.broken.wait())
        try:
            await asyncio.wait({reading, broken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            broken.cancel()

    async def until_answered(self) -> None:
        """After the end of the input: wait until all is answered, or nobody reads the answers.

        Subscriptions, which have no end of their own, end now.
        """
        for task, request in self._open.items():
            if request.method == _STANDING:
                task.cancel()
        while (left := self._unanswered()) and self._writer.has_reader():
            await asyncio.wait(left, timeout=_LOOK_SECONDS)
        while self._writer.unwritten_bytes and self._writer.has_reader():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._writer.until_below(0)

    async def close(self, seconds: float) -> None:
        """Let the answers that are due be written, for at most so long, and drop the other requests."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.until_answered()
        for task in self._unanswered():
            task.cancel()

    def _unanswered(self) -> set[asyncio.Task[Any]]:
        return {*self._open, *self._others}

    # --- what comes in ---

    async def _read(self) -> None:
        async for line in self._reader.lines():
            try:
                self._take_line(line)
            except McpError as error:
                self._writer.write(error_frame(evident_id(line), error))
            except Exception:  # a message must not end the service
                logger.exception("an MCP message can't be taken")
                self._writer.write(error_frame(None, McpError(INTERNAL_ERROR, "internal error")))
            await self._writer.until_below(_MOST_UNWRITTEN_BYTES)

    def _take_line(self, line: bytes | LongLine) -> None:
        if isinstance(line, LongLine):
            limit = self._endpoint.host.max_body_bytes()
            text = f"the message is over {limit} bytes: start the server with a larger --max-body-bytes"
            raise McpError(INVALID_REQUEST, text)
        messages = read_batch(line)
        if messages is None:
            self._take(read_message(line))
        else:
            check_batch(messages, self._era.version)
            self._spawn(self._answer_batch(messages))

    def _take(self, message: Message) -> None:
        if message.id is None:
            self._take_notification(message)
            return
        exchange = StdioExchange(self._writer)
        try:
            request = self._era.request(message, message.id, self._caller)
        except McpError as error:
            exchange.finish(error_frame(message.id, error))
            return
        self._note(asyncio.create_task(self._answer(request, exchange)), request, exchange)

    def _take_notification(self, message: Message) -> None:
        if message.is_response:  # to a request that we never send
            return
        cancelled = self._let_go(message) if message.method == "notifications/cancelled" else None
        notification = McpNotification(
            method=message.method,
            params=message.params,
            version=self._era.version,
            session=self._era.session,
            caller=self._caller,
        )
        self._spawn(self._notify(notification, cancelled))

    async def _notify(self, notification: McpNotification, cancelled: StdioExchange | None) -> None:
        await self._endpoint.notified(notification)
        if cancelled is not None:  # not before: who handles the cancel finds by the request what it is about
            cancelled.gone.set()

    def _let_go(self, message: Message) -> StdioExchange | None:
        """The newest open request of the id that a client has cancelled: it is not answered any more."""
        named = cancelled_id(message.params)
        if named is None:
            return None
        wanted = msgspec.json.decode(named)
        for request in reversed(self._open.values()):
            if request.id == wanted and not request.exchange.is_over and request.method != "initialize":
                request.exchange.is_over = True
                return request.exchange
        return None

    # --- what goes out ---

    async def _answer(self, request: McpRequest, exchange: StdioExchange) -> None:
        frame = await self._frame(request, exchange)
        if frame is not None:
            exchange.finish(frame)

    async def _answer_batch(self, messages: list[bytes]) -> None:
        frame = await answer_batch(messages, self._frame_in_batch)
        if frame is not None:
            self._writer.write(frame)

    async def _frame_in_batch(self, body: bytes) -> Json | None:
        try:
            message = read_message(body)
            if message.id is None:
                self._take_notification(message)
                return None
            if message.method == "initialize":
                raise McpError(INVALID_REQUEST, "initialize: send it by itself")
            request = self._era.request(message, message.id, self._caller)
        except McpError as error:
            return error_frame(None, error)
        exchange = StdioExchange(self._writer)
        self._note(asyncio.current_task(), request, exchange)
        frame = await self._frame(request, ExchangeInBatch(exchange))
        return None if exchange.is_over else frame

    async def _frame(self, request: McpRequest, exchange: Exchange) -> Json | None:
        """What answers a request. None: nothing does."""
        try:
            return result_frame(request.id, await self._result(request, exchange))
        except NoAnswer:
            return None
        except McpError as error:
            return error_frame(request.id, error)
        except LambdaKitError as error:
            return error_frame(request.id, McpError(INTERNAL_ERROR, refusal_text(error)))
        except Exception:
            logger.exception("an MCP request failed: %s", request.method[:80])
            return error_frame(request.id, McpError(INTERNAL_ERROR, "internal error"))

    async def _result(self, request: McpRequest, exchange: Exchange) -> Json:
        if request.method not in _AT_ONCE:
            try:
                await self._until_started(exchange)
            except NotServingError as error:
                if request.method == "tools/call":
                    return refusal_result(request, error)
                raise
        return await self._endpoint.answer(request, exchange)

    async def _until_started(self, exchange: Exchange) -> None:
        """Wait for the start of the service, if it still goes on.

        Raises:
            NotServingError: if it takes too long.
            McpError: if there will be no start.
            NoAnswer: if the client cancels the request first.
        """
        if not self._start_ended.is_set():
            waits = [asyncio.ensure_future(event.wait()) for event in (self._start_ended, exchange.gone)]
            try:
                await asyncio.wait(waits, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        if exchange.gone.is_set():
            raise NoAnswer
        if not self._start_ended.is_set():
            raise NotServingError("the service is still starting", _RETRY_SECONDS)
        if self._trouble is not None:
            raise McpError(INTERNAL_ERROR, self._trouble)

    # --- inside ---

    def _note(self, task: asyncio.Task[Any] | None, request: McpRequest, exchange: StdioExchange) -> None:
        if task is not None:
            self._open[task] = _Open(msgspec.json.decode(request.id), request.method, exchange)
            task.add_done_callback(self._open.pop)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)


class _Open(NamedTuple):
    """A request that is not answered yet."""

    id: int | str
    method: str
    exchange: StdioExchange
