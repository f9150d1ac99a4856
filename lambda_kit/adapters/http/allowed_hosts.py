"""The hosts by which a service may be called (docs/wire.md, 403)."""

import functools
import re
from collections.abc import Sequence

from lambda_kit.core.errors import ConfigurationError

__all__ = ["AllowedHosts"]

_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")
_PORT = re.compile(r":[0-9]*\Z")


class AllowedHosts:
    """Decides whether a request's ``Host`` is one of the service's: so no foreign name that resolves to it is served.

    Args:
        names: Host names or addresses; with a port only that port is meant, else any. ``*.example.com`` stands for all
            names below it, ``*`` for everything. Comma-separated, or as a list.
        setting: How the error calls them.

    Raises:
        ConfigurationError: if one is no name of a host.
    """

    def __init__(self, names: str | Sequence[str], setting: str = "allowed_hosts") -> None:
        parts = names.split(",") if isinstance(names, str) else names
        known = {part.strip().lower() for part in parts} - {""}
        for name in known - {"*"}:
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"{setting}: {name!r} is no host: name one such as 'api.example.com', '*.example.com', "
                    "'localhost:8090' or '[::1]', without a scheme or a path"
                )
        if not known:
            raise ConfigurationError(f"{setting}: names no host: leave it out to allow all")

        @functools.lru_cache(maxsize=256)
        def is_allowed(host: str) -> bool:
            name = _PORT.sub("", host)
            port = host[len(name) :]
            wildcards = [f"*{name[dot.start() :]}" for dot in re.finditer(r"\.", name)]
            return any(found in known or f"{found}{port}" in known for found in ("*", name, *wildcards))

        self._is_allowed = is_allowed

    def allows(self, host: str) -> bool:
        """Whether a request with this ``Host`` is answered."""
        return self._is_allowed(host.lower())
