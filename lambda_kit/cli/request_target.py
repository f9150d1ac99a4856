"""The absolute form of a request target, ``GET http://host/path``, in place of ``GET /path`` (RFC 9112, 3.2.2)."""

import re
from typing import NamedTuple

__all__ = ["AbsoluteTarget", "absolute_target"]

_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#@]+)([/?][^#]*)?")  # without userinfo (RFC 9110, 4.2.4)


class AbsoluteTarget(NamedTuple):
    """The parts of one."""

    host: bytes
    """With the port, where it has one."""
    origin_form: bytes
    """The path, with the query."""


def absolute_target(target: bytes) -> AbsoluteTarget | None:
    """Take a request target apart that is in the absolute form. None: it is none, or malformed."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        return None
    host, rest = found.groups()
    return AbsoluteTarget(host, rest if rest and rest[:1] == b"/" else b"/" + (rest or b""))
