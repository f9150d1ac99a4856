"""The `Authenticator` port: finds out who sent a request."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_kit.core.model.principal import Principal

__all__ = ["Authenticator", "Credentials", "HeaderFields"]


@functools.lru_cache(maxsize=256)  # authenticators ask for the same few names again and again
def _in_lower_case(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


class HeaderFields(Mapping[str, str]):
    """The header fields of a request, by name in any case; those of one name are joined by a comma (RFC 9110, 5.3).

    Args:
        raw: As ASGI has them: the names in lower case.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        values = self.all_of(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name, or else the default."""
        # each request asks for several, so the fields are gone through once, and decoded is what was asked for
        wanted = _in_lower_case(name)
        found: bytes | None = None
        for given, value in self._raw:
            if given == wanted:
                if found is not None:
                    return self[name]
                found = value
        return default if found is None else found.decode("latin-1")

    def all_of(self, name: str) -> list[str]:
        """The values of a name, as they were sent: who takes one only can refuse two."""
        wanted = _in_lower_case(name)
        return [value.decode("latin-1") for given, value in self._raw if given == wanted]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self._raw))

    def __len__(self) -> int:
        return len({name for name, _ in self._raw})

    def __repr__(self) -> str:
        return f"HeaderFields({', '.join(self)})"  # the values may be secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of its sender."""

    headers: Mapping[str, str]
    """The header fields, by name in any case."""
    client: str | None
    """The client's IP address, as trusted proxies say it. None: it has none, as on a unix socket or in process."""
    transport: Any = None
    """The connection as the web framework has it: over HTTP the ASGI scope, with ``user`` and ``state``."""
    peer: tuple[str, int] | None = None
    """Host and port of who is connected: a proxy's, where there is one. None: a unix socket, or a caller in process."""

    @property
    def bearer(self) -> str | None:
        """What follows ``Bearer`` in ``Authorization`` (RFC 6750, 2.1). None: there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip(" ") if scheme.lower() == "bearer" else None

    def __repr__(self) -> str:
        return f"Credentials(client={self.client!r}, headers={self.headers!r})"  # no value of a field


class Authenticator(ABC):
    """Makes a `Principal` of the credentials of a request.

    It is asked for each request but those to open routes, so it must be quick, and must not block the event loop.
    `lambda_kit.testing.AuthenticatorContract` tests what is promised here.
    """

    hand_on: bool = False
    """Whether an ``Authorization`` that this one has read and accepted is handed on to the tool
    (`JobContext.job_authorization`), to sinks and with outgoing calls. Right only for tokens that are meant for those
    too, as the platform's own; else a tool could act as its caller elsewhere."""

    async def start(self) -> None:  # noqa: B027 - optional hook
        """Open what is needed; called when the server starts, on its event loop.

        Raises:
            ConfigurationError: if it can never work as it is set up; says how to mend it.
        """

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """Release what `start` opened. After 5 s it is cancelled, and the server's stop goes on."""

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Say who asks.

        Returns:
            None: there are no credentials of this kind; the next authenticator is asked.

        Raises:
            AuthenticationError: if the credentials are of this kind and not right. No other is asked.
            UnavailableError: if that can't be found out now, since who has to say it is away.
        """

    def reads_authorization(self, credentials: Credentials) -> bool:
        """Whether what it accepts of these credentials is their ``Authorization``, and not another header field."""
        return True

    def challenges(self) -> Sequence[str]:
        """What a client without credentials is told to send: values of ``WWW-Authenticate`` (RFC 9110, 11.6.1)."""
        return ()

    def security_schemes(self) -> Mapping[str, Mapping[str, Any]]:
        """How clients authenticate, as Security Scheme Objects of OpenAPI 3.1, by name. Any of them is enough.

        Those of OAuth 2 and OpenID Connect may have ``x-client-id`` and ``x-audience``: as which client, and for which
        audience, the page at ``/api`` logs people in.
        """
        return {}

    def authorization_servers(self) -> Sequence[str]:
        """The issuers whose tokens it takes, for the protected resource's metadata (RFC 9728, 2)."""
        return ()
