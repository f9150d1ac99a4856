"""The version of the service that is run (docs/wire.md, Routes)."""

import functools
import json
import os
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ivcap_service

__all__ = ["UNKNOWN_VERSION", "service_version"]

UNKNOWN_VERSION = "unknown"


def service_version(service: ivcap_service.Service, file: str | None) -> str:
    """The version of a service: the same in health, the OpenAPI document and the log.

    Args:
        service: The service.
        file: The service file. None: there is none, as in a notebook.

    Returns:
        ``$VERSION``, else the version that the author gave to `Service`, else that of the installed distribution which
        the file belongs to, else ``"unknown"``.
    """
    given = service.version if "version" in service.model_fields_set else None
    return os.environ.get("VERSION") or given or (file and _version_of_file(file)) or UNKNOWN_VERSION


@functools.cache  # what is installed does not change while a process runs
def _version_of_file(file: str) -> str | None:
    path = Path(file).resolve()
    for found in distributions():
        # an example in a checkout of lambda_kit is a service of its own; names last, which take longest to read
        if _holds(found, path) and found.name != "lambda-kit":
            return found.version
    return None


def _holds(distribution: Distribution, file: Path) -> bool:
    """Whether a distribution brought a file, or is installed in editable mode from a directory above it."""
    root = _resolved(str(distribution.locate_file("")))
    if file.is_relative_to(root):
        record = distribution.read_text("RECORD") or ""
        return f"\n{file.relative_to(root).as_posix()}," in f"\n{record}"
    origin: dict[str, Any] = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return False
    return file.is_relative_to(Path(unquote(urlsplit(origin["url"]).path)))


@functools.cache  # of hundreds of distributions, most are in one place
def _resolved(path: str) -> Path:
    return Path(path).resolve()
