"""Warns of a service that whoever is on the network may use."""

import logging
from collections.abc import Mapping
from typing import Any

from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.ivcap.environment import sidecar_url
from lambda_kit.cli.address import is_of_this_machine

__all__ = ["warn_of_open_door"]

logger = logging.getLogger("lambda_kit.server")


def warn_of_open_door(settings: HttpSettings, options: Mapping[str, Any], *, has_platform_api: bool) -> None:
    """Warn where there is no login and the address is none of this machine alone. The platform's sidecar has one.

    Args:
        settings: Of the HTTP side.
        options: The arguments of `uvicorn.Config`.
        has_platform_api: Whether the platform's job API is served.
    """
    has_login = settings.access is not None or settings.guards or sidecar_url() is not None
    if has_login or is_of_this_machine(options) or options.get("fd") is not None:  # whose address nobody has said
        return
    what = " and read the result of each job whose id they know"
    if settings.job_list or has_platform_api:
        what = ", list all jobs and read their results"
    logger.warning(
        "there is no login: whoever can reach host %s can run the tools%s%s: set $LAMBDA_KIT_AUTH or "
        "ToolServer(authenticator=...), or listen on this machine alone by --host 127.0.0.1 (docs/behind-a-login.md)",
        options.get("host"),
        what,
        ", and read and write artifacts" if has_platform_api else "",
    )
