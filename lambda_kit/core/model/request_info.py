"""`RequestInfo`: a snapshot of the request that made a job."""

import functools
import re
from collections.abc import Iterable

import msgspec

__all__ = ["RequestInfo", "kept_fields"]

# never stored with a job (docs/wire.md, Authorization)
_CREDENTIAL = re.compile(rb"authorization|cookie|credential|password|secret|token|api-?key|access-?key|private-?key")


@functools.lru_cache(maxsize=1024)  # clients send the same few names again and again
def _is_credential(name: bytes) -> bool:
    return _CREDENTIAL.search(name) is not None


def kept_fields(fields: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that are kept with a job, for every door: all but credentials. Names are in lower case."""
    return tuple([field for field in fields if not _is_credential(field[0])])


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A snapshot of the request that made a job. It also works in other processes.

    Credentials (``Authorization``, ``Proxy-Authorization``, ``Cookie``) are not in it, since it is stored with the job:
    use `JobContext.job_authorization`. Where a job was not made by HTTP, the snapshot is made up from what is known.
    """

    method: str
    """The HTTP method, ``"POST"``."""
    url: str
    """The full URL as the server saw it."""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """The header fields as they came, names in lower case."""
    client: tuple[str, int] | None = None
    """Address and port of the peer, where known."""

    @property
    def headers(self) -> dict[str, str]:
        """Header fields by lower-case name; several fields of one name are joined by ``", "`` (RFC 9110, 5.3)."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers
