"""Small functions that services import from here."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lambda_kit.core.tools.path_title import path_title

__all__ = ["find_first", "get_forwarded_header", "get_public_url_prefix", "get_title_from_path"]

T = TypeVar("T")


def get_title_from_path(path: str) -> tuple[str, str]:
    """The last segment of a path in words, in the singular: with a small letter first, and with a capital one."""
    return path_title(path) if path.strip("/") else ("", "")


def find_first(iterable: Iterable[T], condition: Callable[[T], object]) -> T | None:
    """The first item for which the condition holds, or None."""
    return next((item for item in iterable if condition(item)), None)


def get_public_url_prefix(req: Any) -> str:
    """What to put before a path of the service to get a URL that its clients can use.

    ``Forwarded`` and ``X-Forwarded-*`` of trusted proxies are in it already (docs/behind-a-proxy.md); those of others
    are not believed.

    Args:
        req: The request of FastAPI or Starlette.
    """
    return str(req.base_url).rstrip("/")


def get_forwarded_header(request: Any) -> dict[str, str] | None:
    """The parameters of the ``Forwarded`` field (RFC 7239), of its first element; names in lower case.

    Args:
        request: The request of FastAPI or Starlette.

    Returns:
        None, where there is no such field. Anybody can send one: see `get_public_url_prefix`.
    """
    value: str | None = request.headers.get("forwarded")
    if not value:
        return None
    pairs = (part.partition("=") for part in value.partition(",")[0].split(";"))
    return {name.strip().lower(): text.strip().strip('"') for name, equals, text in pairs if equals}
