"""What the OpenAPI document says of callers: which credentials a route needs, and what is answered without."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["AUDIENCE", "CLIENT_ID", "HEALTH", "WITH_SCOPES", "secured", "security_schemes"]

HEALTH = "health"
"""The kind of routes that are open to everybody, always."""

WITH_SCOPES = ("oauth2", "openIdConnect")
"""The types of security schemes by which people log in, and are given scopes."""

CLIENT_ID, AUDIENCE = "x-client-id", "x-audience"
"""In such a scheme, for the page at ``/api``: as which client it logs people in, and for which audience."""

_Members = Callable[[], Mapping[str, Any]]


def secured(
    members: _Members, settings: HttpSettings, kind: str | None = None, *, scopes: Collection[str] = ()
) -> _Members:
    """The members of an operation, and of its credentials, where the service has an authenticator.

    Args:
        members: Makes the others (`operations`).
        settings: Say who authenticates.
        kind: `HEALTH`, or the kind of route, of `OPEN_ROUTES`, where that may be open. None: it never is.
        scopes: Without these, a caller is refused.
    """

    def described() -> Mapping[str, Any]:
        found, access = members(), settings.access
        if access is None:
            return found
        if kind is not None and (kind == HEALTH or access.is_open(kind)):
            return {**found, "security": []}
        responses = operations.refusing(found["responses"], has_challenge=bool(access.challenges()), scopes=scopes)
        alternatives = [
            {name: sorted(scopes) if scheme["type"] in WITH_SCOPES else []}
            for name, scheme in access.security_schemes().items()
        ]
        # a gateway, or the user's own middleware, has none that a document could name
        return {**found, "responses": responses, **({"security": alternatives} if alternatives else {})}

    return described


def security_schemes(settings: HttpSettings, tools: Collection[BoundTool]) -> Callable[[], dict[str, dict[str, Any]]]:
    """Makes what says how clients authenticate: Security Scheme Objects by name, with the scopes that tools ask for."""

    def schemes() -> dict[str, dict[str, Any]]:
        if settings.access is None:
            return {}
        users: dict[str, list[str]] = {}
        for tool in tools:
            for scope in sorted(tool.options.scopes):
                users.setdefault(scope, []).append(tool.name)
        scopes = {scope: f"Run {', '.join(names)}" for scope, names in users.items()}
        return {name: _with_scopes(scheme, scopes) for name, scheme in settings.access.security_schemes().items()}

    return schemes  # no object: Litestar copies what its configuration holds, down to the last member


def _with_scopes(scheme: Mapping[str, Any], scopes: Mapping[str, str]) -> dict[str, Any]:
    if "flows" not in scheme:
        return dict(scheme)
    flows = {
        name: {**flow, "scopes": {**scopes, **flow.get("scopes", {})}} for name, flow in dict(scheme["flows"]).items()
    }
    return {**scheme, "flows": flows}
