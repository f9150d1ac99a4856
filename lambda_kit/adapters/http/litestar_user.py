"""`LitestarUser`: callers that the user's own Litestar middleware has signed in."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any
from uuid import UUID

from lambda_kit.core.errors import AuthenticationError
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.authenticator import Authenticator, Credentials

__all__ = ["LitestarUser"]

logger = logging.getLogger("lambda_kit.auth")

_ID_NAMES = ("id", "sub", "username")
_SCOPE_NAMES = ("scopes", "roles")


class LitestarUser(Authenticator):
    """Lets in who a middleware has put into ``request.user``, such as those of `litestar.security`.

    The user may be a text, or an object or mapping with ``id``, ``sub`` or ``username``: the first that is there, a
    text, a number or a UUID. Its scopes are what is in its ``scopes`` and ``roles``: lists, or texts with spaces
    between. A user whose ``is_authenticated`` is False is none. A principal's id is ``litestar:ID``.

    Args:
        to_principal: Makes a principal of any other user; ``litestar:`` is put before its id. None: nobody is there.
        hand_on: Whether the request's ``Authorization`` is handed on to the tool. Only if the middleware does not read
            it, or its tokens are meant for those whom the tool calls.
        challenges: What a client without credentials is told to send: values of ``WWW-Authenticate``, as the middleware
            has them.
    """

    def __init__(
        self,
        to_principal: Callable[[Any], Principal | None] | None = None,
        *,
        hand_on: bool = False,
        challenges: Sequence[str] = ('Session realm="sign in first"',),
    ) -> None:
        self._to_principal = to_principal
        self.hand_on = hand_on
        self._challenges = tuple(challenges)

    def __repr__(self) -> str:
        return f"LitestarUser(hand_on={self.hand_on})"

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        scope = credentials.transport
        user = scope.get("user") if isinstance(scope, Mapping) else None
        if user is None:
            return None
        try:
            principal = (self._to_principal or _principal_of)(user)
            return None if principal is None else replace(principal, id=f"litestar:{principal.id}")
        except (TypeError, ValueError) as error:
            logger.error(
                "a request is refused, since no principal can be made of its user, a %s (%s): it needs an id, sub or "
                "username of 1 to 500 characters that can be printed; or give LitestarUser(to_principal=...)",
                type(user).__name__,
                type(error).__name__,
                exc_info=self._to_principal is not None,  # else there is no more to say
            )
            raise AuthenticationError("the user has no id that can be kept", challenge=self._challenges) from None

    def challenges(self) -> Sequence[str]:
        return self._challenges


def _principal_of(user: Any) -> Principal | None:
    if isinstance(user, str):
        return Principal(user)
    if _part(user, "is_authenticated") is False:
        return None
    found = next((value for name in _ID_NAMES if (value := _part(user, name)) is not None), "")
    name = _part(user, "name")
    scopes = frozenset(scope for part in _SCOPE_NAMES for scope in _words(_part(user, part)))
    return Principal(_text(found), name=name if isinstance(name, str) else None, scopes=scopes)


def _part(user: Any, name: str) -> Any:
    return user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)


def _words(scopes: Any) -> Iterable[str]:
    if scopes is None:
        return ()
    if isinstance(scopes, str):
        return scopes.split()
    return [_text(scope.value if isinstance(scope, Enum) else scope) for scope in scopes]


def _text(value: Any) -> str:
    """A text, a whole number or a UUID as text.

    Raises:
        TypeError: if it is anything else: its text may not be the same each time.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, UUID)):
        raise TypeError
    return str(value)
