"""Serves an app with uvicorn until a signal comes."""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, cast

import ivcap_service
import uvicorn
from litestar.types import ASGIApp, LifeSpanSendMessage, Receive, Scope, Send

from lambda_kit.core.errors import LambdaKitError
from lambda_kit.logs import logging_init

__all__ = ["configure_logging", "serve_app"]

logger = logging.getLogger("lambda_kit.server")


def configure_logging() -> None:
    """Let the service be heard, by lines on stderr, unless somebody has configured logging already.

    Raises:
        ConfigurationError: if the format or the level that the environment names is unknown.
    """
    configuration = cast("dict[str, Any]", ivcap_service.service_log_config())
    if not (configuration or logging.root.handlers or logging.getLogger("uvicorn").handlers):
        logging_init()


def serve_app(make_app: Callable[[], ASGIApp], options: Mapping[str, Any], *, on_signal: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, let the requests and jobs that were accepted end, and return.

    Args:
        make_app: Makes what is served.
        options: Arguments for `uvicorn.Config`, such as host and port; port 0 is any that is free.
        on_signal: Called at the first signal. It must be quick.

    Raises:
        SystemExit: with 3 if the app can't be started or the port is taken; why is in the log.
    """
    collects = gc.isenabled()
    gc.disable()  # until the port is open: what is made meanwhile stays, and looking through it takes time
    try:
        app = _with_brief_failures(make_app())
        config = uvicorn.Config(app, **{"log_config": None, "lifespan": "on", **options})
        _Server(config, on_signal, collects=collects).run()
    finally:
        if collects:
            gc.enable()


class _Server(uvicorn.Server):
    """uvicorn, which ends normally after a signal: being stopped is no failure of a service."""

    def __init__(self, config: uvicorn.Config, on_signal: Callable[[], None], *, collects: bool) -> None:
        super().__init__(config)
        self._on_signal = on_signal
        self._collects = collects
        self._pid = os.getpid()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then leave to the garbage collector only what comes from now on."""
        await super().startup(sockets)
        # What was made up to now stays. Not looking through it again and again for garbage spares requests pauses of a
        # tenth of a second.
        gc.freeze()
        if self._collects:
            gc.enable()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own raises the signal again afterwards: the process would be reported as killed by it
        del frame
        if os.getpid() != self._pid:  # a child that a tool forked: a signal for it is not one for the service
            signal.signal(sig, signal.SIG_DFL)
            os.kill(os.getpid(), sig)
        elif self.should_exit:
            self.force_exit = True
        else:
            logger.info("%s: stopping when the jobs that were accepted have ended", signal.Signals(sig).name)
            self._on_signal()
            self.should_exit = True


def _with_brief_failures(app: ASGIApp) -> ASGIApp:
    """The app, with errors at start whose text says all told without a traceback."""

    async def brief(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":  # type: ignore[comparison-overlap]
            await app(scope, receive, send)
            return

        async def send_brief(message: LifeSpanSendMessage) -> None:
            if message["type"] == "lifespan.startup.failed":
                error = _only_error(sys.exception())
                if isinstance(error, LambdaKitError):
                    logger.debug("the app could not be started", exc_info=error)
                    message["message"] = str(error)
            await send(message)  # type: ignore[arg-type]

        await app(scope, receive, send_brief)  # type: ignore[arg-type]

    return brief


def _only_error(error: BaseException | None) -> BaseException | None:
    """The error itself, where Litestar's task group has wrapped it."""
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    return _only_error(inner[0]) if len(inner) == 1 else error
