"""What is read in the URL of a `PostgresJobStore`, so that no password is shown."""

import re
from urllib.parse import parse_qs

from lambda_kit.core.errors import ConfigurationError

__all__ = ["check_url", "redacted", "wrong_url"]

# a password with a character that should have been quoted makes another text of it, which must not be shown
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[\w.%-]*)(:[0-9]+)?"
_URL = re.compile(
    rf"postgres(ql)?://([^/?#@]*@)?(?P<hosts>{_HOST}(,{_HOST})*)(?P<path>/[^/?#@]*)?(\?(?P<options>[^@]*))?\Z"
)
_PLACES = {"host", "database", "dbname", "service"}  # options that say where
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def redacted(url: str) -> str:
    """Where a URL leads to, without the user, the password and the options; nothing of a URL that can't be read."""
    match = _URL.match(url)
    return "a URL that is not shown" if match is None else f"postgresql://{match['hosts']}{match['path'] or ''}"


def wrong_url(where: str) -> ConfigurationError:
    """The error for a URL that the driver can't read. It does not repeat it."""
    # the driver's own text may quote the URL, and the password with it
    return ConfigurationError(
        f"the URL of the job store at {where} is wrong; its form is postgresql://user:password@host:port/database,"
        " with other characters than letters and digits quoted as in any URL"
    )


def check_url(url: str) -> None:
    """Refuse a URL that can be read and leads nowhere; one that can't be read is refused when the store is opened.

    Raises:
        ConfigurationError: says what is missing or wrong.
    """
    match = _URL.match(url)
    if match is None:
        return
    options = parse_qs(match["options"] or "", keep_blank_values=True)
    if not (match["hosts"] or (match["path"] or "/") != "/" or _PLACES & options.keys()):
        raise ConfigurationError(
            "the URL of the PostgreSQL store names neither a host nor a database: its form is "
            "postgresql://user:password@host:port/database"
        )
    if options.get("sslmode", ["prefer"])[-1].replace("_", "-") not in _SSL_MODES:
        raise ConfigurationError(
            f"an option in the URL of the PostgreSQL store is wrong: sslmode must be one of {', '.join(_SSL_MODES)}"
        )
