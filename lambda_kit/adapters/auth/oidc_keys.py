"""The keys that verify a provider's tokens (JWK Set, RFC 7517)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from lambda_kit.adapters.auth.oidc_algorithms import ALGORITHMS
from lambda_kit.adapters.auth.oidc_refusals import refused

__all__ = ["KeySet", "VerificationKey"]

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_MOST_KEYS = 100
_MOST_TRIED = 4
"""How many keys are tried for a token that names none."""
_FEWEST_RSA_BITS, _MOST_RSA_BITS = 2048, 8192  # RFC 7518, 3.3; verification takes the longer the longer the key
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")
_BY_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
_BY_RSA = frozenset(name for name in ALGORITHMS if name.startswith(("RS", "PS")))
_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}

_jws = jwt.PyJWS(algorithms=ALGORITHMS)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """One key."""

    key_id: str | None
    algorithms: frozenset[str]
    public: PublicKey
    identity: str
    """Its id and its public members: the same each time that the same key is read."""


class KeySet:
    """The keys of a provider at one time.

    Args:
        keys: Those that can verify tokens.
        problems: What is wrong with those that can't.
    """

    def __init__(self, keys: Iterable[VerificationKey], problems: Iterable[str] = ()) -> None:
        self.keys = tuple(keys)
        self.problems = tuple(problems)
        self._ids = frozenset(key.key_id for key in self.keys)

    @classmethod
    def of_document(cls, document: object) -> "KeySet":
        """Read a JWK Set. A key that is unknown or broken is left out: it spoils nothing.

        Raises:
            ValueError: if it is no JWK Set, or has no key that can verify a token.
        """
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("it has no list of keys")
        keys: list[VerificationKey] = []
        problems: list[str] = []
        for number, each in enumerate(listed[:_MOST_KEYS], 1):
            try:
                if (key := _read(each)) is not None:
                    keys.append(key)
            except Exception as error:  # noqa: BLE001 - whatever a broken key makes the readers raise
                problems.append(f"key {number} ({type(error).__name__}: {error})")
        if not keys:
            raise ValueError(
                f"none of its {len(listed)} keys can verify a token: {'; '.join(problems) or 'no such use'}"
            )
        return cls(keys, problems)

    def knows(self, key_id: str | None) -> bool:
        """Whether one has this id. A token without one may be of any key."""
        return key_id is None or key_id in self._ids

    def verified_payload(self, token: str, key_id: str | None, algorithm: str) -> bytes:
        """The payload of a token that one of the keys has signed.

        Args:
            token: The token.
            key_id: As its header has it. None: it names none, and all keys for the algorithm may be right.
            algorithm: As its header has it; one that is allowed. A key serves the algorithms of its own family only.

        Raises:
            AuthenticationError: if none of them has.
        """
        candidates = self._candidates(key_id, algorithm)
        if not candidates:
            raise refused("the provider has no such key (kid) for this algorithm")
        for key in candidates:
            try:
                payload: bytes = _jws.decode_complete(token, key.public, algorithms=[algorithm])["payload"]
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError):
                raise refused("the token is malformed") from None
            return payload
        raise refused("the signature of the token is not right")

    def _candidates(self, key_id: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        fitting = (key for key in self.keys if algorithm in key.algorithms and key_id in (None, key.key_id))
        return tuple(fitting)[:_MOST_TRIED]

    def lost_since(self, before: "KeySet") -> bool:
        """Whether a key of an earlier set is no longer in this one."""
        return not {key.identity for key in before.keys} <= {key.identity for key in self.keys}


def _read(jwk: Any) -> VerificationKey | None:
    """A key for signatures. None: it is for something else.

    Raises:
        Exception: if it is broken.
    """
    if not isinstance(jwk, Mapping):
        raise TypeError("it is no object")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    kind = jwk.get("kty")
    if kind not in _READERS:
        raise ValueError("its type (kty) is not supported")
    members = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
    public = _READERS[kind](members)
    algorithms = _BY_RSA if kind == "RSA" else frozenset({_BY_CURVE[jwk["crv"]]})
    if (only := jwk.get("alg")) is not None:
        algorithms &= {"EdDSA" if only in ("Ed25519", "Ed448") else only}
    if not algorithms:
        raise ValueError("its algorithm (alg) is not supported")
    if not isinstance(public, PublicKey):
        raise TypeError("it is not public")
    if isinstance(public, RSAPublicKey) and not _FEWEST_RSA_BITS <= public.key_size <= _MOST_RSA_BITS:
        raise ValueError(f"it has {public.key_size} bits: {_FEWEST_RSA_BITS} to {_MOST_RSA_BITS} are taken")
    key_id = jwk.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise TypeError("its id (kid) is no text")
    return VerificationKey(key_id, algorithms, public, json.dumps([key_id, members], sort_keys=True))
