"""`TrustedHeader`: behind a gateway that signs people in."""

import logging
import re
from collections.abc import Sequence

from lambda_kit.adapters.auth.key_file import has_key
from lambda_kit.core.errors import AuthenticationError, ConfigurationError
from lambda_kit.core.model.principal import Principal, is_scope
from lambda_kit.core.model.trusted_proxies import TrustedProxies, address_of
from lambda_kit.core.ports.authenticator import Authenticator, Credentials, HeaderFields

__all__ = ["TrustedHeader"]

logger = logging.getLogger("lambda_kit.auth")

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_SECRET_FIELDS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


class TrustedHeader(Authenticator):
    """Lets in who a gateway in front of the service says has signed in.

    The gateway must set each of these header fields itself, on every request, so that none of a client's own is passed
    on. A field of anybody but the listed proxies counts for nothing. A principal's id is ``header:VALUE``.

    Args:
        name: The header field with the user's id.
        proxies: The gateways: IP addresses, networks, and ``unix`` (whoever can connect to the unix socket).
        name_from: The field with a name for people, such as ``X-Forwarded-Email``. None: there is none.
        scopes_from: The field with the user's groups, which are their scopes: a comma-separated list. Who is in a group
            ``admin`` sees the jobs of all. None: nobody has scopes.

    Raises:
        ConfigurationError: if there are no such proxies or header fields.
    """

    def __init__(
        self,
        name: str = "X-Forwarded-User",
        *,
        proxies: str | Sequence[str],
        name_from: str | None = None,
        scopes_from: str | None = None,
    ) -> None:
        for argument, field in (("name", name), ("name_from", name_from), ("scopes_from", scopes_from)):
            if field is not None and (not _FIELD_NAME.fullmatch(field) or field.lower() in _SECRET_FIELDS):
                raise ConfigurationError(
                    f"TrustedHeader({argument}={field!r}): must be a header field that only the gateway sets, such as "
                    "'X-Forwarded-User'"
                )
        listed = [word.strip() for word in (proxies.split(",") if isinstance(proxies, str) else proxies)]
        if not any(listed) or "*" in listed:
            raise ConfigurationError(
                f"TrustedHeader(proxies={proxies!r}): must list the gateways, such as '10.0.0.5', '10.0.0.0/8' or "
                "'unix'; with '*' anybody could be anybody"
            )
        try:
            self._proxies = TrustedProxies(listed)
        except ConfigurationError as error:
            raise ConfigurationError(f"TrustedHeader(proxies={proxies!r}): {error}") from None
        self._name = name
        self._name_from = name_from
        self._scopes_from = scopes_from
        self._has_warned = False

    def __repr__(self) -> str:
        return f"TrustedHeader({self._name!r})"

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if self._name not in credentials.headers:
            return None
        peer = credentials.peer
        is_replaced = peer is not None and bool(peer[0]) and (peer[1] == 0 or _is_forwarded(peer[0], credentials))
        if is_replaced or not self._is_gateway(peer):
            self._warn(peer, is_replaced=is_replaced)
            return None
        value = self._value(credentials, self._name)
        if not value:  # the gateway says that nobody has signed in
            return None
        if "," in value:
            # a list, or a client's own value to which the gateway has added
            raise self._refusal(self._name, "has a comma, as if there were two users")
        name = self._value(credentials, self._name_from)
        groups = self._value(credentials, self._scopes_from) or ""
        # no tool can ask for a group such as "Domain Users"
        scopes = frozenset(filter(is_scope, map(str.strip, groups.split(","))))
        try:
            return Principal(f"header:{value}", name=name or None, scopes=scopes)
        except ValueError:
            raise self._refusal(self._name, "is too long, or has characters that can't be printed") from None

    def _is_gateway(self, peer: tuple[str, int] | None) -> bool:
        if peer is None or not peer[0]:
            return self._proxies.trusts_peer(None)  # a unix socket
        address = address_of(peer[0])
        return address is not None and self._proxies.trusts(address)

    def _warn(self, peer: tuple[str, int] | None, *, is_replaced: bool) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        if peer is None or not peer[0]:
            who, remedy = "a unix socket", "if only the gateway can connect to it, add 'unix' to"
        elif is_replaced:
            who = "a peer whose address the ASGI server has replaced"
            remedy = "start that with --no-proxy-headers, so that the gateway's own address is compared with"
        else:
            who, remedy = peer[0], "if that is the gateway, add its address or network to"
        logger.warning(
            "%s from %s is ignored: %s TrustedHeader(proxies=...). This is logged once", self._name, who, remedy
        )

    def _value(self, credentials: Credentials, field: str | None) -> str | None:
        """The value of a field that may be sent once. Text is UTF-8 there, as gateways send it.

        Raises:
            AuthenticationError: if it is there twice, so that one may be the client's, or is no text.
        """
        headers = credentials.headers
        if field is None or field not in headers:
            return None
        sent = headers.all_of(field) if isinstance(headers, HeaderFields) else [headers[field]]
        if len(sent) > 1:
            raise self._refusal(field, "was sent twice, and one may be the client's own")
        try:
            value = sent[0].strip(" \t").encode("latin-1").decode()
        except UnicodeError:
            raise self._refusal(field, "is no UTF-8") from None
        if value and not value.isprintable():
            raise self._refusal(field, "has characters that can't be printed")
        return value

    def _refusal(self, field: str, why: str) -> AuthenticationError:
        return AuthenticationError(f"the header field {field} {why}", challenge=self.challenges())

    def reads_authorization(self, credentials: Credentials) -> bool:
        # it reads none; but a key is for this service alone, and `ApiKeys`, which would say so, may not be asked
        return has_key(credentials.headers.get("authorization", ""))

    def challenges(self) -> Sequence[str]:
        return ('Gateway realm="sign in at the gateway of this service"',)


def _is_forwarded(host: str, credentials: Credentials) -> bool:
    """Whether an ASGI server may have put this host in the place of who is connected, who is not known any more then.

    It has, where the port is 0. uvicorn takes the port too, where X-Forwarded-For has one: from its elements
    ``HOST:PORT`` and ``[HOST]:PORT``, as they are read here.
    """
    for element in credentials.headers.get("x-forwarded-for", "").split(","):
        named, colon, _ = element.strip().rpartition(":")
        if colon and host in (named, named.removeprefix("[").partition("]")[0]):
            return True
    return False
