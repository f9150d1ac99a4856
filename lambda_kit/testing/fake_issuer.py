"""`FakeIssuer`: a stand-in for an OpenID Connect provider."""

import json
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any, Literal

from lambda_kit.core.errors import MissingExtraError
from lambda_kit.testing.recording_server import Answer
from lambda_kit.testing.stand_in import StandIn

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm
except ImportError:
    raise MissingExtraError("FakeIssuer", "auth") from None

__all__ = ["FakeIssuer"]

_RSA_BITS = 2048


class FakeIssuer(StandIn):
    """An OpenID Connect provider for tests: a real HTTP server on a port of 127.0.0.1 that has keys and signs tokens.

    ::

        with FakeIssuer() as issuer:
            server = ToolServer(service, authenticator=OidcAuthenticator(issuer.url, audience="my-service"))
            ...
            headers = {"Authorization": f"Bearer {issuer.token('alice', audience='my-service', scopes=['write'])}"}

    It answers unless it is told to `fail`, `hang` or `vanish`; `heal` and `come_back` end that. All methods may be
    called from any thread. With pytest the fixture ``fake_issuer`` is one that runs. Needs the extra ``auth``.

    Args:
        port: The port. 0: any that is free.
        path: The path of the issuer's URL, such as ``/realms/staff``.
        algorithm: With which it signs.
    """

    def __init__(self, port: int = 0, *, path: str = "", algorithm: Literal["ES256", "RS256"] = "ES256") -> None:
        super().__init__(port)
        self._path = path
        self._algorithm = algorithm
        self._changing = threading.Lock()
        self._calls: list[str] = []
        self._failure: Answer | None = None
        self._is_hanging = False
        self.private_key, self.key_id = self._new_key()
        self.jwks: list[Any] = [self.public_jwk()]
        """The keys that it publishes, as JWKs. Tests may change it."""
        self.metadata: dict[str, Any] = {}
        """What its document says beside the URLs, or instead of them. Tests may change it."""

    # --- what it is ---

    @property
    def url(self) -> str:
        """The issuer. It stays the same when the provider vanishes and comes back."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def calls(self) -> list[str]:
        """The paths that were asked for so far, in that order."""
        with self._changing:
            return list(self._calls)

    @property
    def key_fetches(self) -> int:
        """How often its keys were asked for."""
        return sum(path.endswith("/keys") for path in self.calls)

    # --- tokens ---

    def token(
        self,
        subject: str | None = "alice",
        *,
        audience: str | list[str],
        scopes: Iterable[str] = (),
        seconds: float = 3600.0,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Sign an access token.

        Args:
            subject: Whose it is.
            audience: Whom it is for.
            scopes: What its bearer may do.
            seconds: How long it is valid from now on; less than 0: it has expired.
            header: Members of the header beside, or instead of, ``alg``, ``typ`` and ``kid``.
            claims: Claims beside, or instead of, the usual ones; those that are None are left out.
        """
        now = int(time.time())
        usual = {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + int(seconds),
            "scope": " ".join(scopes),
            "jti": str(uuid.uuid4()),
        }
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        fields = {"typ": "at+jwt", "kid": self.key_id, **(header or {})}
        return jwt.PyJWS().encode(json.dumps(payload).encode(), self.private_key, self._algorithm, headers=fields)

    def rotate(self, *, keep_old: bool = False) -> None:
        """Sign with a new key from now on.

        Args:
            keep_old: Publish the old keys as well, so that their tokens stay valid.
        """
        key, key_id = self._new_key()
        with self._changing:
            self.private_key, self.key_id = key, key_id
            self.jwks = [self.public_jwk(), *(self.jwks if keep_old else ())]

    def public_jwk(self) -> dict[str, Any]:
        """The public part of the key with which it signs."""
        public = self.private_key.public_key()
        members = (
            RSAAlgorithm.to_jwk(public, as_dict=True)
            if isinstance(public, rsa.RSAPublicKey)
            else ECAlgorithm.to_jwk(public, as_dict=True)
        )
        return {**members, "kid": self.key_id, "use": "sig", "alg": self._algorithm}

    # --- what it does ---

    def fail(self, status: int, body: bytes = b"", *, headers: Mapping[str, str] | None = None) -> None:
        """Answer with this status, body and header fields, whatever is asked for."""
        self._failure = Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def hang(self) -> None:
        """Take calls and never answer them."""
        self._is_hanging = True

    def heal(self) -> None:
        """Answer as a provider does."""
        self._failure, self._is_hanging = None, False

    # --- inside ---

    def _new_key(self) -> tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, str]:
        key_id = uuid.uuid4().hex
        if self._algorithm == "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS), key_id
        return ec.generate_private_key(ec.SECP256R1()), key_id

    def _on_request(self, method: str, path: str, headers: "Message[str, str]", body: bytes) -> Answer | None:
        with self._changing:
            self._calls.append(path)
        if self._is_hanging:
            self._closing.wait()
            return None
        if self._failure is not None:
            return self._failure
        documents = {"/.well-known/openid-configuration": self._document, "/keys": self._key_set}
        base = self._path.rstrip("/")
        document = documents.get(path.removeprefix(base)) if path.startswith(base) else None
        if document is None:
            return Answer(404, {}, b"")
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(document()).encode())

    def _document(self) -> dict[str, Any]:
        base = self.url.rstrip("/")
        return {
            "issuer": self.url,
            "jwks_uri": f"{base}/keys",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self._algorithm],
            **self.metadata,
        }

    def _key_set(self) -> dict[str, Any]:
        with self._changing:
            return {"keys": list(self.jwks)}
