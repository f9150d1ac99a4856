"""Where a service is for its clients: an ASGI scope, changed to what the client asked for, whatever proxies did to it.

After it, ``scheme``, ``client``, ``root_path`` and the ``host`` field of a scope are those that the client used. So all
that is made of them agrees: `Location`, links, the description, redirects, the OpenAPI document (docs/wire.md).
"""

from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import unquote

from litestar.types import HTTPScope, Scope

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.public_url import Said, is_host, is_prefix, joined_prefix

__all__ = [
    "VARIES_WITH_PREFIX",
    "VARIES_WITH_URL",
    "base_path",
    "checked_root_path",
    "host_of",
    "mount_path",
    "own_path",
    "peer_of",
    "place",
    "public_url",
]

_PEER: Any = "lambda_kit.peer"
"""In the scope of a request whose ``client`` is what a proxy says: who is connected."""

VARIES_WITH_PREFIX = (b"vary", b"X-Forwarded-Prefix")
"""For answers with a path that is made from the request."""

VARIES_WITH_URL = (b"vary", b"Host, Forwarded, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix")
"""For answers with a URL that is made from the request."""


def checked_root_path(path: str) -> str:
    """A prefix as it was set, without a slash at its end; empty for ``/``.

    Raises:
        ConfigurationError: if it is none.
    """
    text = path if path.startswith("/") else f"/{path}"
    if not is_prefix(text):
        raise ConfigurationError(f"root_path={path!r}: must be a path such as '/tools', or '/' for none")
    return text.rstrip("/")


def mount_path(scope: HTTPScope, app: Any) -> str:
    """Where an app is mounted in another one, and what stands before that."""
    root = scope.get("root_path", "").rstrip("/")
    outer: Any = scope.get("litestar_app")
    if outer is None or outer is app:
        return root
    # a Litestar app tells what it has mounted of no root_path, but of the whole path
    whole, own = unquote(scope.get("raw_path", b"").decode("latin-1")).rstrip("/"), scope["path"].rstrip("/")
    mount = whole.removesuffix(own).rstrip("/") if whole.endswith(own) else ""
    return mount if mount.startswith(root) else root + mount


def place(
    scope: HTTPScope, said: Said, *, mount: str, root_path: str, has_route: Callable[[str], bool] | None = None
) -> None:
    """Change a scope to what the client asked for.

    Args:
        scope: The request's; it is changed.
        said: What trusted proxies say of it.
        mount: Where the app is mounted, as `mount_path` says.
        root_path: The prefix that was set, where no proxy says one.
        has_route: Whether the app has a route for a path. None: the path has been routed already, and is left.
    """
    outside = root_path if said.prefix is None else said.prefix
    prefix = joined_prefix(outside, mount)
    if said.scheme is not None:
        scope["scheme"] = said.scheme
    if said.client is not None:
        cast("dict[str, Any]", scope)[_PEER] = scope.get("client")
        scope["client"] = (said.client, 0)
    if said.host is not None:
        host = said.host.encode()
        fields: list[Any] = [field for field in scope["headers"] if field[0] != b"host"]
        scope["headers"] = [(b"host", host), *fields]
    if has_route is not None and (prefix or mount):
        path = _own_path(scope["path"], (prefix, mount, outside), has_route)
        scope["path"] = prefix + path
    scope["root_path"] = prefix


def peer_of(scope: HTTPScope) -> tuple[str, int] | None:
    """Host and port of who is connected, which may be a proxy. None: a unix socket, or a caller in process."""
    return cast("tuple[str, int] | None", scope.get(_PEER, scope.get("client")))


def _own_path(path: str, prefixes: Sequence[str], has_route: Callable[[str], bool]) -> str:
    """The path within the app: some proxies and servers take the prefix away, some don't, and some add it once more."""
    known = sorted({prefix for prefix in prefixes if prefix}, key=len, reverse=True)
    candidates = [path]
    while True:
        shorter = next((rest for prefix in known if (rest := _without(prefix, candidates[-1])) is not None), None)
        if shorter is None:
            break
        candidates.append(shorter)
    found = next((candidate for candidate in candidates[1:] if has_route(candidate)), None)
    if found is not None:
        return found
    return path if len(candidates) == 1 or has_route(path) else candidates[1]


def _without(prefix: str, path: str) -> str | None:
    rest = path.removeprefix(prefix)
    return (rest or "/") if rest != path and rest[:1] in ("", "/") else None


def own_path(scope: HTTPScope, app: Any) -> str:
    """The path of a request as the service has it, without the prefix and without a slash at its end."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.removeprefix(_path_of(app)).rstrip("/") or "/"


def base_path(scope: Scope) -> str:
    """What stands before all paths of the service: where the app is mounted, and the path that the app has itself."""
    return scope.get("root_path", "").rstrip("/") + _path_of(scope["litestar_app"])


def _path_of(app: Any) -> str:
    path: str = app.path
    return path.rstrip("/")


def public_url(scope: HTTPScope) -> str:
    """What to put before a path of the service to get the URL that the client can use, without a slash at its end.

    Only the prefix, where the client's own `Host` could not stand in a URL.
    """
    host = host_of(scope["headers"])
    origin = f"{scope.get('scheme', 'http')}://{host}" if is_host(host) else ""
    return origin + base_path(scope)


def host_of(fields: Any) -> str:
    """The value of the ``Host`` field; empty if there is none."""
    return next((value.decode("latin-1") for name, value in fields if name == b"host"), "")
