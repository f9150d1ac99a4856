"""The address that a service listens on."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from lambda_kit.adapters.http.loopback import is_loopback

__all__ = ["is_of_this_machine", "why_unusable"]


def is_of_this_machine(options: Mapping[str, Any]) -> bool:
    """Whether only programs on this machine reach the host or socket among the arguments of `uvicorn.Config`."""
    return options.get("uds") is not None or is_loopback(str(options.get("host")))


def why_unusable(options: Mapping[str, Any]) -> str | None:
    """Why the host among the arguments of `uvicorn.Config` is none, and the remedy. None: it is one.

    Whether its port is free is seen when it is opened.
    """
    host = options.get("host")
    if host is None or options.get("fd") is not None or options.get("uds") is not None:
        return None
    try:
        socket.getaddrinfo(host, options.get("port"), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        source = " from $HOST" if os.environ.get("HOST") == host else ""
        return (
            f"can't listen on {host!r}{source}, which is no address of this machine ({reason}): give --host, such as "
            "--host 0.0.0.0 for every address or --host 127.0.0.1 for this machine alone"
        )
    return None
