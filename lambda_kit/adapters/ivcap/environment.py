"""What the environment says of the platform."""

import os
import re
from urllib.parse import urlsplit

from lambda_kit.core.errors import ConfigurationError

__all__ = ["SIDECAR_VARIABLE", "sidecar_url"]

SIDECAR_VARIABLE = "IVCAP_BASE_URL"
_SECRET_PARTS = re.compile(r"(?<=//).*@|^[^/]*@|(?<=[?#]).*", re.DOTALL)
"""What a URL may have of users, passwords and keys, also where it is no proper URL."""


def sidecar_url(given: str | None = None) -> str | None:
    """The URL of the sidecar, without a slash at its end. None: there is no sidecar.

    A user and a password in it are left out: they would take the place of the job's own ``Authorization``, and be in
    every line of the log that names the URL.

    Args:
        given: The URL. None: what ``$IVCAP_BASE_URL`` says.

    Raises:
        ConfigurationError: if it is no URL of HTTP.
    """
    url = (os.environ.get(SIDECAR_VARIABLE, "") if given is None else given).strip()
    if not url and given is None:
        return None
    if not _is_base(url):
        what = f"${SIDECAR_VARIABLE}" if given is None else "IvcapSidecarSink"
        shown = _SECRET_PARTS.sub("***", url)
        raise ConfigurationError(
            f"{what}: {shown!r} is not the URL of a sidecar: it must be like http://ivcap.local or http://127.0.0.1:8088"
        )
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_address and not (parts.query or parts.fragment)
