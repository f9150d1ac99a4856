"""Stores by URL: ``memory://``, ``sqlite:///jobs.db``, ``redis://…``, ``postgresql://…``."""

import os
import re
from urllib.parse import unquote, urlsplit

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.tool_binding import require_instance
from lambda_kit.core.ports.store import JobStore

__all__ = ["as_store", "store_from_url", "store_of_environment"]

_FORMS = (
    "memory://, sqlite:///jobs.db (four slashes for an absolute path), redis://host:6379/0, rediss://… (TLS), "
    "postgresql://user@host/database"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}")  # anything else may be a part of a password


def store_from_url(url: str) -> JobStore:
    """Make the store that a URL names; it is not opened yet.

    Raises:
        ConfigurationError: if it names none; the text does not repeat what may be a password.
        MissingExtraError: if the store's driver is not installed.
    """
    named_scheme, separator, rest = url.partition("://")
    scheme = named_scheme.lower()  # RFC 3986, 3.1: in either case
    url = f"{scheme}{separator}{rest}"
    # each driver is imported for its own URLs only
    if scheme == "memory" and separator:
        from lambda_kit.adapters.stores.memory import MemoryJobStore  # noqa: PLC0415

        return MemoryJobStore()
    if scheme == "sqlite" and separator:
        from lambda_kit.adapters.stores.sqlite import SqliteJobStore  # noqa: PLC0415

        return SqliteJobStore(_sqlite_path(url))
    if scheme in ("redis", "rediss") and separator:
        from lambda_kit.adapters.stores.redis import RedisJobStore  # noqa: PLC0415

        return RedisJobStore(url)
    if scheme in ("postgresql", "postgres") and separator:
        from lambda_kit.adapters.stores.postgres import PostgresJobStore  # noqa: PLC0415

        return PostgresJobStore(url)
    if not separator:
        named = "a URL without '://'"
    else:
        named = f"'{named_scheme}://'" if _SCHEME.fullmatch(named_scheme) else "a URL that is not shown"
    raise ConfigurationError(f"there is no store for {named}: use one of {_FORMS}")


def as_store(store: JobStore | str) -> JobStore:
    """The store itself, or the one that a URL names.

    Raises:
        ConfigurationError: if it is neither, or as `store_from_url`.
        MissingExtraError: as `store_from_url`.
    """
    if isinstance(store, str):
        return store_from_url(store)
    require_instance("store", store, JobStore)
    return store


def store_of_environment() -> tuple[JobStore, ConfigurationError | None]:
    """The store that ``$LAMBDA_KIT_STORE`` names, and, where it names none, what a start is to be refused with.

    A service that only prints a description, or is given another store, does not need that one.
    """
    try:
        return store_from_url(os.environ.get("LAMBDA_KIT_STORE") or "memory://"), None
    except ConfigurationError as error:
        return store_from_url("memory://"), ConfigurationError(f"$LAMBDA_KIT_STORE: {error}")


def _sqlite_path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "the URL of the SQLite store has options, and there are none: leave out what follows the file's name "
            "(a '?' or '#' in the name is written %3F or %23)"
        )
    if parts.netloc or len(path) < 2:
        raise ConfigurationError(
            "the URL of the SQLite store names no file: write sqlite:///jobs.db for a file in this folder, "
            "sqlite:////var/lib/jobs.db for an absolute path; it has neither host nor options"
        )
    return path[1:]
