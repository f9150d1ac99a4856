"""`OidcAuthenticator`: takes the access tokens of an OpenID Connect provider. Needs the extra ``auth``."""

import importlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lambda_kit.adapters.auth.oidc_algorithms import ALGORITHMS, checked_algorithms
from lambda_kit.adapters.auth.oidc_cache import VerifiedTokens
from lambda_kit.adapters.auth.oidc_claims import ClaimRules
from lambda_kit.adapters.auth.oidc_metadata import checked_issuer, discovery_url
from lambda_kit.adapters.auth.oidc_refusals import BEARER_CHALLENGE, refused
from lambda_kit.adapters.auth.oidc_token import json_object, look_at
from lambda_kit.core.errors import ConfigurationError, MissingExtraError
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.authenticator import Authenticator, Credentials

if TYPE_CHECKING:
    from lambda_kit.adapters.auth.oidc_provider import Provider

__all__ = ["OidcAuthenticator"]


class OidcAuthenticator(Authenticator):
    """Takes signed access tokens (JWT, RFC 9068) of an OpenID Connect provider, as ``Authorization: Bearer``.

    The provider's keys are found by discovery, renewed in the background, and asked for at once where a token names one
    that is unknown. A provider that is away holds up neither the start nor those whose keys are known.

    A principal's id is ``oidc:<issuer>#<sub>``, its name `name` or `preferred_username`, its scopes those of `scope` or
    `scp` and, if you say where, its roles. **Whoever has the scope or role** ``admin`` **sees the jobs of all.**

    Args:
        issuer: The provider's, exactly as its tokens have it, with or without the slash at the end. An https URL; http
            for loopback only.
        audience: What tokens for this service have in ``aud``. Tokens for others are refused.
        hand_on: Whether the token is handed on to the tool, to sinks and with outgoing calls. Right only where those
            are in the token's audience, too.
        subject_claim: The claim that says whose a token is, a text that never changes.
        roles_claim: A claim whose words count as scopes, too, by its name or by a path: ``"realm_access.roles"`` for
            Keycloak, ``"permissions"`` for Auth0.
        client_id: As which client of the provider the page at ``/api`` logs people in: a public one, without a secret,
            which uses PKCE. None: they type it in.
        algorithms: Of signatures: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA, or some of
            them.
        leeway_seconds: How far the clocks of provider and service may be apart, 0 to 300.
        renew_seconds: Between renewals of the provider's keys.
        cool_down_seconds: Between fetches for unknown keys: that many at most, whatever tokens are sent.
        keep_keys_seconds: How long known keys are used while the provider is away.

    Raises:
        MissingExtraError: if PyJWT or cryptography is not installed.
        ConfigurationError: if an argument can't work.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str,
        hand_on: bool = False,
        subject_claim: str = "sub",
        roles_claim: str | None = None,
        client_id: str | None = None,
        algorithms: Iterable[str] = ALGORITHMS,
        leeway_seconds: float = 30.0,
        renew_seconds: float = 600.0,
        cool_down_seconds: float = 30.0,
        keep_keys_seconds: float = 86400.0,
    ) -> None:
        self.hand_on = hand_on
        self._issuer = checked_issuer(issuer)
        self._algorithms = checked_algorithms(algorithms)
        _check_text("audience", audience)
        _check_text("subject_claim", subject_claim)
        if roles_claim is not None:
            _check_text("roles_claim", roles_claim)
        if client_id is not None:
            _check_text("client_id", client_id)
        self._client_id = client_id
        if not 0 <= leeway_seconds <= 300:
            raise ConfigurationError(f"OidcAuthenticator(leeway_seconds={leeway_seconds!r}): must be 0 to 300")
        self._rules = ClaimRules(
            issuer=issuer,
            audience=audience,
            leeway_seconds=leeway_seconds,
            subject_claim=subject_claim,
            roles_claim=roles_claim,
        )
        self._tokens = VerifiedTokens()
        times = {"renew": renew_seconds, "cool_down": cool_down_seconds, "keep": keep_keys_seconds}
        for name, seconds in times.items():
            if not 0 < seconds < math.inf:
                setting = "keep_keys_seconds" if name == "keep" else f"{name}_seconds"
                raise ConfigurationError(f"OidcAuthenticator({setting}={seconds!r}): must be more than 0")
        self._provider = _new_provider(issuer, times, self._tokens.clear)

    async def start(self) -> None:
        await self._provider.start()

    async def stop(self) -> None:
        await self._provider.stop()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        token = credentials.bearer
        if token is None or token.count(".") != 2:
            return None
        if self._provider.is_usable and (principal := self._tokens.get(token)) is not None:
            return principal
        return await self._verify(token)

    async def _verify(self, token: str) -> Principal | None:
        unverified = look_at(token)
        if unverified.issuer != self._issuer:
            if unverified.issuer.rstrip("/") == self._issuer.rstrip("/"):
                raise refused("the issuer (iss) of the token and that of the service differ in the slash at the end")
            return None
        if unverified.algorithm not in self._algorithms:
            raise refused(f"the algorithm (alg) of the token is none of {', '.join(sorted(self._algorithms))}")
        keys = await self._provider.keys_for(unverified.key_id)
        claims = json_object(keys.verified_payload(token, unverified.key_id, unverified.algorithm), "payload")
        until = self._rules.check(claims)
        principal = self._rules.principal(claims)
        self._tokens.put(token, principal, until)
        return principal

    def challenges(self) -> Sequence[str]:
        return (BEARER_CHALLENGE,)

    def security_schemes(self) -> Mapping[str, Mapping[str, Any]]:
        page = {"x-audience": self._rules.audience, **({"x-client-id": self._client_id} if self._client_id else {})}
        name = "oidc-" + re.sub(r"[^A-Za-z0-9._-]+", "-", self._issuer.partition("://")[2]).strip("-")
        text = f"An access token of {self._issuer}, for the audience `{self._rules.audience}`."
        metadata = self._provider.metadata
        if metadata is None or metadata.authorization_endpoint is None or metadata.token_endpoint is None:
            url = discovery_url(self._issuer)
            return {name: {"type": "openIdConnect", "openIdConnectUrl": url, "description": text, **page}}
        flow = {
            "authorizationUrl": metadata.authorization_endpoint,
            "tokenUrl": metadata.token_endpoint,
            "scopes": {"openid": "Log in"},
        }
        return {name: {"type": "oauth2", "description": text, "flows": {"authorizationCode": flow}, **page}}

    def authorization_servers(self) -> Sequence[str]:
        return (self._issuer,)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ConfigurationError(f"OidcAuthenticator({name}={value!r}): must be a text that is not empty")


def _new_provider(issuer: str, times: Mapping[str, float], on_lost_key: Any) -> "Provider":
    try:
        importlib.import_module("jwt")
        importlib.import_module("cryptography")
    except ImportError:
        raise MissingExtraError("OidcAuthenticator", "auth") from None
    from lambda_kit.adapters.auth.oidc_provider import Provider, ProviderTimes  # noqa: PLC0415 - only who uses it pays

    return Provider(issuer, ProviderTimes(**times), on_lost_key)
