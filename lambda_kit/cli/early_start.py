"""Lets an app start while its port is open already, so that a slow start can be told from a dead process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any

from lambda_kit.core.errors import LambdaKitError

__all__ = ["EarlyStart", "StartState"]

logger = logging.getLogger("lambda_kit.server")

# of ASGI; uvicorn's own types of them and Litestar's do not fit each other
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]
_App = Callable[[Any, Any, Any], Awaitable[None]]


class StartState(Enum):
    """How far the start of an app has come."""

    STARTING = "starting"
    STARTED = "started"
    FAILED = "failed"
    """Why is in the log."""
    GIVEN_UP = "given up"
    """It was told to end before it had started."""


class EarlyStart:
    """An ASGI app that tells its server at once that it has started, and starts in a task of its own meanwhile.

    A start that is over within `quick_seconds` is waited for: the clients of most services never meet one that is
    starting. Requests that come before the end of a slower one reach the app, which must refuse what it can't do yet.

    Args:
        app: What is served.
        on_end: Called when the start has ended, one way or the other; look at `state`.
        opens_early: Whether the server may open its port while the start goes on. False: not before it has ended, and
            `open_port` was called.
        quick_seconds: For how long the server may be kept from opening its port early.
        give_up_seconds: How long the app may take to clean up when its start is given up.
    """

    def __init__(
        self,
        app: _App,
        on_end: Callable[[], None],
        *,
        opens_early: bool = True,
        quick_seconds: float = 0.2,
        give_up_seconds: float = 5.0,
    ) -> None:
        self.state = StartState.STARTING
        self._app = app
        self._on_end = on_end
        self._opens_early = opens_early
        self._quick_seconds = quick_seconds
        self._give_up_seconds = give_up_seconds
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._may_open = asyncio.Event()
        self._lifespan: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._farewell: Any = None

    async def __call__(self, scope: Any, receive: _Receive, send: _Send) -> None:
        """The ASGI protocol."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
        else:
            await self._live(scope, receive, send)

    def give_up(self) -> None:
        """End the start, unless it has ended. On the event loop."""
        self.open_port()
        if self.state is StartState.STARTING:
            self._end_start(StartState.GIVEN_UP)
            if self._lifespan is not None:
                self._lifespan.cancel()

    def open_port(self) -> None:
        """Let the server open its port as soon as the start has ended. On the event loop."""
        self._may_open.set()

    async def _live(self, scope: Any, receive: _Receive, send: _Send) -> None:
        """The lifespan as the server sees it."""
        self._messages.put_nowait(await receive())
        self._lifespan = asyncio.create_task(self._live_inside(scope))
        if self.state is StartState.GIVEN_UP:
            self._lifespan.cancel()
        try:
            try:
                async with asyncio.timeout(self._quick_seconds if self._opens_early else None):
                    await self._ended.wait()
            except TimeoutError:
                logger.info("still starting: the port is opened already, and jobs are refused until all is set up")
            if self.state is StartState.FAILED:
                await send({"type": "lifespan.startup.failed", "message": ""})
                return
            if not self._opens_early:
                await self._may_open.wait()
            await send({"type": "lifespan.startup.complete"})
            self._messages.put_nowait(await receive())
            await self._shut_down(self._lifespan, send)
        finally:
            self._lifespan.cancel()

    async def _shut_down(self, lifespan: asyncio.Task[None], send: _Send) -> None:
        self.give_up()
        if self.state is StartState.STARTED:
            await asyncio.wait({lifespan})
            if self._error is not None and self._farewell is None:
                raise self._error
        elif not lifespan.done():
            _, unfinished = await asyncio.wait({lifespan}, timeout=self._give_up_seconds)
            if unfinished:
                logger.warning("the start does not end, %g s after it was given up: going on", self._give_up_seconds)
        # last of all, since the server ends the event loop when it has it
        await send(self._farewell or {"type": "lifespan.shutdown.complete"})

    async def _live_inside(self, scope: Any) -> None:
        """The app's own lifespan, which hears of its shutdown when the server does."""

        async def hold_back(message: Any) -> None:
            if self.state is StartState.STARTED:
                self._farewell = message
            elif self.state is StartState.STARTING and message["type"] == "lifespan.startup.complete":
                self._end_start(StartState.STARTED)

        try:
            await self._app(scope, self._messages.get, hold_back)
        except BaseException as error:  # noqa: BLE001 - it is logged here, or raised to the server at the shutdown
            self._error = error
        if self.state is StartState.STARTING:
            _log_failure(_only_error(self._error))
            self._end_start(StartState.FAILED)

    def _end_start(self, state: StartState) -> None:
        self.state = state
        self._ended.set()
        self._on_end()


def _log_failure(error: BaseException | None) -> None:
    if isinstance(error, LambdaKitError):  # its text says all
        logger.error("%s", error)
        logger.debug("the app could not be started", exc_info=error)
    else:
        logger.error("the app could not be started", exc_info=error)


def _only_error(error: BaseException | None) -> BaseException | None:
    """The error itself, where Litestar's task group has wrapped it."""
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    return _only_error(inner[0]) if len(inner) == 1 else error
