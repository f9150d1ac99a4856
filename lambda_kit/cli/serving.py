"""Serves a `ToolServer` with uvicorn until a signal comes."""

import gc
import logging
from collections.abc import Mapping
from typing import Any, cast

import ivcap_service

from lambda_kit.cli.served import Served
from lambda_kit.cli.service_server import ServiceServer
from lambda_kit.cli.stop_bounds import StopBounds
from lambda_kit.cli.tls import Tls
from lambda_kit.cli.workers import WorkerBonds, serve_as_worker
from lambda_kit.logs import logging_init

__all__ = ["configure_logging", "serve_app"]


def configure_logging() -> None:
    """Let the service be heard, by lines on stderr, unless somebody has configured logging already.

    Raises:
        ConfigurationError: if the format or the level that the environment names is unknown.
    """
    configuration = cast("dict[str, Any]", ivcap_service.service_log_config())
    if not (configuration or logging.root.handlers or logging.getLogger("uvicorn").handlers):
        logging_init()


def serve_app(
    server: Served,
    options: Mapping[str, Any],
    bonds: WorkerBonds | None = None,
    *,
    bounds: StopBounds,
    tls: Tls | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, let the jobs that were accepted end, and return.

    Args:
        server: What is served.
        options: Arguments for `uvicorn.Config`, such as host and port; port 0 is any that is free.
        bonds: What this process has from its parent, if it is one of several workers.
        bounds: How long the end may take.
        tls: The certificate for HTTPS. None: it speaks HTTP.

    Raises:
        SystemExit: with 3 if the app can't be started or the port is taken; why is in the log.
    """
    logging.raiseExceptions = False  # a tool that has closed stderr must not keep the service from stopping
    collects = gc.isenabled()
    gc.disable()  # until the port is open: what is made meanwhile stays, and looking through it takes time
    try:
        if bonds is None:
            ServiceServer(server, options, collects=collects, bounds=bounds, tls=tls).run()
        else:
            serve_as_worker(server, options, bonds, collects=collects, bounds=bounds, tls=tls)
    finally:
        if collects:
            gc.enable()
