"""`HttpLimits`: what a connection may take of the service."""

from dataclasses import dataclass, fields

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.tools.options import require_number

__all__ = ["HttpLimits"]


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What one connection may take, in bytes, header fields and seconds (`docs/wire.md`).

    They hold where the service is run from its file, on uvicorn's ``httptools`` protocol. Under another server, or
    ``http="h11"``, that server's own limits hold. They never cut a request whose answer is waited for, such as a long
    poll or an event stream.

    Raises:
        ConfigurationError: if a value is no positive number, of bytes and fields a whole one.
    """

    header_bytes: int = 64 * 1024
    """A longer request target is refused with 414, a longer header section with 431."""

    header_fields: int = 200
    """More header fields are refused with 431."""

    header_seconds: float = 10.0
    """For how long a client may take for its header section, from its first byte on, or from the connection on if it
    never sends one; then it gets 408."""

    body_seconds: float = 30.0
    """The longest pause between two pieces of a body; after so long in all, a body must have come at 1 KiB/s at least.
    Else the client gets 408."""

    idle_seconds: float = 75.0
    """For how long a connection is kept open after an answer. Longer than clients pause between polls, since a request
    that meets the close is lost."""

    def __post_init__(self) -> None:
        for field in fields(self):
            is_duration = field.name.endswith("_seconds")
            require_number(
                "HttpLimits",
                field.name,
                getattr(self, field.name),
                minimum=0.001 if is_duration else 1,
                whole=not is_duration,
                allows_none=False,
                error=ConfigurationError,
            )
