"""Who sent a request, and so which jobs exist for it."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.types import Guard, HTTPScope

from lambda_kit.adapters.http.mcp_door import mcp_path
from lambda_kit.adapters.http.problems import RESOURCE_METADATA
from lambda_kit.adapters.http.public_place import peer_of
from lambda_kit.adapters.http.resource_metadata import metadata_parameter, with_resource_metadata
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.errors import AuthenticationError
from lambda_kit.core.jobs.access import Caller
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.ports.authenticator import Credentials, HeaderFields

__all__ = ["find_caller", "guard_of", "job_guards", "jobs_for"]

_CALLER: Any = "lambda_kit.caller"
"""In the scope of a request whose sender is known."""


async def find_caller(settings: HttpSettings, scope: HTTPScope) -> Caller | None:
    """Find out who sent a request; once found out, it is known for the rest of the request.

    Returns:
        None: the service has no authenticator.

    Raises:
        AuthenticationError: if there are no credentials, or wrong ones.
        UnavailableError: if that can't be found out now.
    """
    access = settings.access
    if access is None:
        return None
    caller = cast("Caller | None", scope.get(_CALLER))
    if caller is None:
        client = scope.get("client")
        credentials = Credentials(
            HeaderFields(scope["headers"]),
            client[0] if client else None,
            transport=scope,
            peer=peer_of(scope),
        )
        try:
            caller = await access.identify(credentials)
        except AuthenticationError as error:
            raise with_resource_metadata(error, settings, scope) from error
        noted = cast("dict[str, Any]", scope)
        noted[_CALLER] = caller
        if mcp_path(scope) is not None:  # its clients log in once more where a scope is missing
            noted[RESOURCE_METADATA] = metadata_parameter(settings, scope)
    return caller


def jobs_for(service: JobService, settings: HttpSettings, scope: HTTPScope) -> JobService:
    """The door to the jobs for whoever sent a request. Without an authenticator, knowing an id is the right to read.

    Raises:
        AuthenticationError: if nobody has found out who it is: a route without `job_guards` opens nothing.
    """
    fetches = scope["method"] != "HEAD"
    if settings.access is None:
        client = scope.get("client")
        address = client[0] if client else ""  # none: over a unix socket
        return service.acting_for(None, address=address, fetches=fetches)
    caller = cast("Caller | None", scope.get(_CALLER))
    if caller is None:
        raise AuthenticationError("this route does not ask who its caller is", challenge=settings.access.challenges())
    return service.acting_for(caller.principal, address=caller.address, fetches=fetches)


def guard_of(settings: HttpSettings, kind: str | None = None) -> Guard:
    """A guard that lets in who has the right credentials.

    Args:
        settings: Of the HTTP side.
        kind: The kind of route, of `OPEN_ROUTES`, where that may be open. None: it never is.
    """

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: Any) -> None:
        access = settings.access
        if access is not None and not (kind and access.is_open(kind)):
            await find_caller(settings, connection.scope)  # type: ignore[arg-type]  # guards are for requests only

    return guard


def job_guards(settings: HttpSettings) -> list[Guard]:
    """The guards of all routes by which a job is made, read or cancelled: ours first, then the user's."""
    return [guard_of(settings), *settings.guards]
