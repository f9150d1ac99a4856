"""The platform's job API beside the tools: ``--with-platform-api`` and ``--artifacts`` (docs/laptop.md)."""

import argparse
import logging
from functools import partial
from pathlib import Path

import ivcap_service
from litestar.types import HTTPScope

from lambda_kit.adapters.http.callers import find_caller, job_guards, jobs_for
from lambda_kit.adapters.http.prefer import wait_preference
from lambda_kit.adapters.http.problems import on_exception
from lambda_kit.adapters.http.public_place import public_url
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import version_response_header
from lambda_kit.adapters.http.waiting import wait_while_connected
from lambda_kit.adapters.platform.api import PlatformApi
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.cli.arguments import UnsaidHost
from lambda_kit.cli.served import Served
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.ports.authenticator import HeaderFields

__all__ = ["host_of", "make_platform_api", "serve_platform_api"]

logger = logging.getLogger("lambda_kit.server")

_LOOPBACK = "127.0.0.1"
_ARTIFACTS = "artifacts"


def host_of(args: argparse.Namespace) -> str:
    """The address to listen on: with the platform's API that of this machine alone, where none was said."""
    host: str = args.host
    return _LOOPBACK if args.with_platform_api and isinstance(host, UnsaidHost) else host


def serve_platform_api(server: Served, args: argparse.Namespace) -> None:
    """Add the platform's API to a server, if the command line asks for it.

    Args:
        server: The server.
        args: The command line.

    Raises:
        ConfigurationError: if a folder is said for artifacts that nobody can send.
    """
    if not args.with_platform_api:
        if args.artifacts is not None:
            raise ConfigurationError("--artifacts is for --with-platform-api: add that flag, or leave --artifacts out")
        return
    artifacts = args.artifacts or _ARTIFACTS
    server.add_platform_api(artifacts=artifacts)
    logger.info("the platform's job API is at /1, artifacts are in %s", Path(artifacts).absolute())


def make_platform_api(
    service: ivcap_service.Service,
    jobs: JobService,
    settings: HttpSettings,
    service_file: str | None,
    artifacts: str | Path,
) -> PlatformApi:
    """Put the platform's API together with a server's parts.

    Args:
        service: Who offers the tools.
        jobs: Has the jobs.
        settings: Of the HTTP side.
        service_file: The service file, if it is known.
        artifacts: The folder of artifacts.
    """
    host = PlatformHost(
        service=service,
        jobs_for=lambda scope: jobs_for(jobs, settings, scope),
        authorization=partial(_authorization, settings),
        public_url=public_url,
        wait_seconds=lambda scope: wait_preference(scope["headers"]).seconds,
        wait_while_connected=wait_while_connected,
        on_exception=on_exception,
        kept_fields=settings.kept_fields,
        max_body_bytes=lambda: settings.max_body_bytes,
        max_artifact_bytes=lambda: settings.max_upload_bytes,
        guards=job_guards(settings),
        response_headers=[version_response_header()],
        shows_tracebacks=lambda: settings.debug,
    )
    return PlatformApi(host, jobs.tools.values(), service_file, artifacts)


async def _authorization(settings: HttpSettings, scope: HTTPScope) -> str | None:
    """What of a request's ``Authorization`` is handed on to the tool."""
    caller = await find_caller(settings, scope)
    return HeaderFields(scope["headers"]).get("authorization") if caller is None else caller.authorization
