"""`Access`: who may come in, by the authenticators of a service."""

import asyncio
import logging
import re
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from lambda_kit.core.errors import (
    AuthenticationError,
    ConfigurationError,
    LambdaKitError,
    NotServingError,
    PermissionDeniedError,
    UnavailableError,
)
from lambda_kit.core.jobs import audit
from lambda_kit.core.jobs.observers import Observers
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.model.refusal_reasons import reason_of
from lambda_kit.core.ports.authenticator import Authenticator, Credentials, HeaderFields
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.turns import FairTurns
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["OPEN_ROUTES", "Access", "Caller", "check_scopes"]

logger = logging.getLogger("lambda_kit.access")

OPEN_ROUTES = ("descriptions", "openapi", "metrics")
"""The kinds of routes that can be open to everybody. Health always is; those of jobs never are."""


_NOTHING = Credentials(HeaderFields(()), None)

_STOP_SECONDS = 5.0
"""An authenticator whose `stop` takes longer is left, so that the process ends."""

_CHALLENGE = re.compile(r"[\x20-\x7e]+")
"""What can be a value of ``WWW-Authenticate``."""


class Caller(NamedTuple):
    """Who asks."""

    principal: Principal
    authorization: str | None
    """The ``Authorization`` that is handed on to the tool. None: there is none, or it was meant for this service."""
    address: str | None
    """The IP address from which it asks. None: it has none."""


class Access:
    """Finds out who asks. Every door uses it, and none has rules of its own.

    Args:
        authenticators: Asked in this order.
        open_routes: Of `OPEN_ROUTES`, those that need no credentials.

    Raises:
        ConfigurationError: if there is no such kind of route.
    """

    def __init__(self, authenticators: Sequence[Authenticator], open_routes: Collection[str]) -> None:
        if isinstance(open_routes, str) or not set(open_routes) <= set(OPEN_ROUTES):
            raise ConfigurationError(
                f"ToolServer(open_routes={open_routes!r}): must be a list of {', '.join(OPEN_ROUTES)}; health is "
                "always open, and the routes of jobs never are"
            )
        self.authenticators = tuple(authenticators)
        self._open = frozenset(open_routes)
        self._turns = FairTurns()
        self._observers = Observers(())

    async def start(self, opened: AsyncExitStack, observers: Observers) -> None:
        """Start the authenticators.

        Args:
            opened: When it is closed, they are stopped.
            observers: See the refusals.

        Raises:
            ConfigurationError: if one can never work as it is set up.
        """
        self._observers = observers
        for authenticator in self.authenticators:
            opened.push_async_callback(_stop, authenticator)
            await authenticator.start()

    @property
    def hands_on(self) -> bool:
        """Whether an ``Authorization`` ever reaches a tool."""
        return any(one.hand_on or not one.reads_authorization(_NOTHING) for one in self.authenticators)

    def is_open(self, kind: str) -> bool:
        """Whether routes of this kind need no credentials."""
        return kind in self._open

    async def identify(self, credentials: Credentials) -> Caller:
        """Say who asks. Where several principals have requests at the same time, these go on in turn.

        Raises:
            AuthenticationError: if there are no credentials, or wrong ones.
            NotServingError: if that can't be found out now.
        """
        try:
            caller = await self._identify(credentials)
        except LambdaKitError as error:
            self._observers.refused(None, reason_of(error))
            audit.refused(error, None, credentials.client)
            raise
        if (turn := self._turns.take(caller.principal.id)) is not None:  # others have the event loop between
            await turn
        return caller

    async def _identify(self, credentials: Credentials) -> Caller:
        for authenticator in self.authenticators:
            try:
                principal = await _asked(authenticator, credentials)
            except AuthenticationError as error:
                logger.info("credentials of %s are refused: %s", credentials.client or "a local client", error)
                # what can't be sent would make of the refusal a failure of the service
                challenge = tuple(filter(_CHALLENGE.fullmatch, error.challenges)) or self.challenges()
                raise AuthenticationError(str(error), challenge=challenge) from error
            except UnavailableError as error:  # what is away, and where, is not for clients
                logger.info("credentials can't be checked: %s", error)
                text = "the credentials can't be checked now: try again later"
                raise NotServingError(text, error.retry_after_seconds) from error
            except LambdaKitError:
                raise
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise  # the request itself, and not only what an authenticator waits for, with others, say
                # whatever odd bytes a client sends: that is no fault of the service, and nobody is let in by it
                _log_failure(authenticator, error)
                raise AuthenticationError("the credentials can't be read", challenge=self.challenges()) from error
            if principal is not None:
                return Caller(principal, self._handed_on(authenticator, credentials), credentials.client)
        challenges = self.challenges()
        remedy = ": send what WWW-Authenticate asks for" if challenges else ""
        raise AuthenticationError(f"no credentials were sent that this service takes{remedy}", challenge=challenges)

    def check_scopes(self, tool: BoundTool, caller: Caller) -> None:
        """Refuse who may not run a tool, before its request is read.

        Raises:
            PermissionDeniedError: if it lacks one of `ToolOptions.scopes`.
        """
        try:
            check_scopes(tool, caller.principal)
        except PermissionDeniedError as error:
            self._observers.refused(tool.name, reason_of(error))
            audit.refused(error, caller.principal, caller.address, tool=tool.name)
            raise

    def challenges(self) -> tuple[str, ...]:
        """What a client without credentials is told to send."""
        return tuple(dict.fromkeys(one for each in self.authenticators for one in each.challenges()))

    def security_schemes(self) -> dict[str, Mapping[str, Any]]:
        """How clients authenticate, as Security Scheme Objects of OpenAPI 3.1, by name. Any of them is enough."""
        return {name: scheme for one in self.authenticators for name, scheme in one.security_schemes().items()}

    def authorization_servers(self) -> tuple[str, ...]:
        """The issuers whose tokens are taken."""
        return tuple(dict.fromkeys(one for each in self.authenticators for one in each.authorization_servers()))

    @staticmethod
    def _handed_on(authenticator: Authenticator, credentials: Credentials) -> str | None:
        authorization = credentials.headers.get("authorization")
        if authorization is None or authenticator.hand_on or not authenticator.reads_authorization(credentials):
            return authorization
        return None


async def _stop(authenticator: Authenticator) -> None:
    await bounded(f"{type(authenticator).__name__}.stop", authenticator.stop(), seconds=_STOP_SECONDS)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _log_failure(authenticator: Authenticator, error: BaseException) -> None:
    """Log where it failed, without the error's text: that of a `KeyError` may be the token itself."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error(
        "%s failed: the request is refused (%s)\n%s", type(authenticator).__name__, type(error).__name__, where
    )


async def _asked(authenticator: Authenticator, credentials: Credentials) -> Principal | None:
    """What an authenticator says.

    Raises:
        TypeError: if that is no principal.
    """
    principal: object = await authenticator.authenticate(credentials)
    if principal is None or isinstance(principal, Principal):
        return principal
    raise TypeError("an authenticator must return a Principal, or None")


def check_scopes(tool: BoundTool, principal: Principal | None) -> None:
    """Refuse a principal that may not run the tool.

    Raises:
        PermissionDeniedError: if it lacks one of `ToolOptions.scopes`.
    """
    scopes = tool.options.scopes
    if principal is None or not scopes or not (missing := principal.lacks(scopes)):
        return
    raise PermissionDeniedError(
        f"tool '{tool.name}' needs the scope{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
        scope=" ".join(scopes),
    )
