"""The origins whose pages may use a part of the service, as they are named on the command line."""

import re
from collections.abc import Sequence

from lambda_kit.adapters.http.origins import origin_of
from lambda_kit.core.errors import ConfigurationError

__all__ = ["AllowedOrigins"]

_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^\s/?#@,*]+)")


class AllowedOrigins:
    """Decides whether a request's ``Origin`` is one of those that were named.

    Args:
        names: Such as ``https://app.example.com``, ``http://localhost:3000`` or ``vscode-webview://abc``; ``*`` stands
            for all. Comma-separated, or as a list.
        setting: How the error calls them.

    Raises:
        ConfigurationError: if one is no origin.
    """

    def __init__(self, names: str | Sequence[str], setting: str) -> None:
        parts = names.split(",") if isinstance(names, str) else names
        known = {part.strip().lower() for part in parts} - {""}
        self._is_for_all = "*" in known
        self._known = {_checked(name, setting) for name in known - {"*"}}
        if not known:
            raise ConfigurationError(f"{setting}: names no origin: leave it out if there is none")

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin are among them. ``null``, which is any page's that hides its own, never is."""
        lowered = origin.lower()
        return lowered in self._known or (self._is_for_all and lowered != b"null")


def _checked(name: str, setting: str) -> bytes:
    found = _ORIGIN.fullmatch(name)
    if found is None:
        raise ConfigurationError(
            f"{setting}: {name!r} is no origin: write it as browsers do, such as 'https://app.example.com' or "
            "'http://localhost:3000', with a scheme and without a path, or '*' for all"
        )
    return origin_of(found["scheme"], found["host"])
