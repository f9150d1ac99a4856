"""Credentials that no proper client sends, for hypothesis: header fields, and who may be let in by them."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import HealthCheck
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from lambda_kit.testing import FakeIssuer

__all__ = ["AUDIENCE", "SLOW_OR_LARGE", "Fuzzed", "Known", "fuzzed_fields"]

AUDIENCE = "callers"

SLOW_OR_LARGE = (
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
    HealthCheck.too_slow,
)
"""Checks of hypothesis that don't suit examples of 60 KB, sent to a service."""

_ES256: Any = ECAlgorithm(ECAlgorithm.SHA256)
_LONGEST = 60_000
_SCHEMES = ("Bearer", "bearer", "BEARER", "bEaReR", "Basic", "Digest", "ApiKey", "Negotiate", "Bearer:", "Bearer,", "")
_GAPS = (" ", "  ", "     ", "\t", " \t ", "", ",", "=", ", ", "\xa0", "\x0b", "\x85")


@dataclass(frozen=True)
class Known:
    """The right credentials, and whose they are."""

    key: str
    key_principal: str
    issuer: FakeIssuer
    subject: str
    token_principal: str
    token: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", self.sign())

    def sign(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token with other members; signed here, since PyJWT signs nothing that it would refuse."""
        head, payload, _ = self.issuer.token(self.subject, audience=AUDIENCE).split(".")
        signed = f"{_encoded(_with(head, header or {}))}.{_encoded(_with(payload, claims))}"
        return f"{signed}.{_encoded(_ES256.sign(signed.encode(), self.issuer.private_key))}"


class Fuzzed(NamedTuple):
    """Header fields, and the ids of the principals who may be let in by them."""

    fields: list[tuple[bytes, bytes]]
    may_be: frozenset[str] = frozenset()


# Everything that HTTP lets through: obs-text too, and the control characters that some servers do not refuse.
_TEXT = st.one_of(
    st.binary(max_size=60).map(lambda given: given.translate(None, b"\0\r\n")),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60).map(
        lambda given: given.encode("latin-1")
    ),
    st.text(max_size=30).map(lambda given: given.encode().translate(None, b"\0\r\n")),
)
_LONG = st.builds(
    lambda unit, size: (unit * (size // len(unit) + 1))[:size],
    _TEXT.filter(bool),
    st.integers(0, _LONGEST),
)
_JUNK = st.one_of(_TEXT, _TEXT, _LONG, st.binary(max_size=90).map(base64.b64encode))


def _encoded(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _with(part: str, members: Mapping[str, Any]) -> dict[str, Any]:
    return {**json.loads(_decoded(part)), **members}


def _flipped(known: Known, at: int, bit: int) -> str:
    """The token with one bit of one part changed."""
    parts = known.token.split(".")
    which = at % 3
    content = bytearray(_decoded(parts[which]))
    content[at % len(content)] ^= 1 << bit
    parts[which] = _encoded(bytes(content))
    return ".".join(parts)


def _confused(known: Known, algorithm: str) -> str:
    """Signed with the public key as the secret of an HMAC."""
    public = json.dumps(known.issuer.public_jwk()).encode()
    head = _encoded({"alg": algorithm, "typ": "at+jwt", "kid": known.issuer.key_id})
    signed = f"{head}.{known.token.split('.')[1]}"
    return f"{signed}.{_encoded(hmac.digest(public, signed.encode(), 'sha256'))}"


_DEEP = 30_000
_BOMBS: tuple[bytes, ...] = (
    b"[" * _DEEP,
    b'{"a":' * (_DEEP // 5),
    b'{"iss":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"exp":' + b"9" * 5000 + b"}",
    b'{"exp":1e999,"iss":NaN}',
    b'"\\ud800"',
    b'{"iss":"\\ud800","kid":"\\udfff"}',
    b"\xff\xfe{\0}\0",
    b"null",
    b"",
)
_HEADERS: tuple[dict[str, Any], ...] = (
    {"crit": ["exp"]},
    {"crit": []},
    {"jku": "http://127.0.0.1:9/keys"},
    {"x5u": "file:///etc/passwd", "x5c": ["AAAA"]},
    {"jwk": {"kty": "oct", "k": "AAAA"}},
    {"kid": "k" * 10_000},
    {"kid": "../../../etc/passwd"},
    {"kid": "' OR 1=1 --\x00"},
    {"kid": {"a": 1}},
    {"kid": 4},
    {"zip": "DEF"},
    {"typ": "JWE"},
    {"typ": 7},
    {"b64": False, "crit": ["b64"]},
    {"cty": "JWT"},
    {"alg": None},
    {"alg": "none"},
    {"alg": "NoNe"},
    {"alg": ["ES256"]},
    {"alg": "ES384"},
    {"alg": "RS256"},
    {"alg": "é" * 900},
)
_CLAIMS: tuple[dict[str, Any], ...] = (
    {"sub": 4},
    {"sub": ["ann"]},
    {"sub": ""},
    {"sub": "s" * 5000},
    {"sub": "a\nb"},
    {"sub": "a\ud800"},
    {"aud": "another"},
    {"aud": {AUDIENCE: AUDIENCE}},
    {"aud": [[AUDIENCE]]},
    {"iss": "http://127.0.0.1:9"},
    {"iss": {}},
    {"exp": 1},
    {"exp": True},
    {"exp": "9999999999"},
    {"exp": 10**400},
    {"exp": float("nan")},
    {"exp": float("inf")},
    {"nbf": 4_000_000_000},
    {"iat": 4_000_000_000},
    {"iat": []},
    {"at_hash": "x"},
    {"typ": "Refresh"},
)
_HARMLESS = ("jku", "x5u", "x5c", "jwk", "zip", "cty", "alg", "kid")
"""Members of a header that are not looked at, and those by which another, or no, key is chosen."""


def _tokens(known: Known) -> st.SearchStrategy[tuple[str, bool]]:
    """Tokens, and whether one may be right."""
    parts = known.token.split(".")
    return st.one_of(
        st.builds(lambda at, bit: (_flipped(known, at, bit), False), st.integers(0, 4000), st.integers(0, 7)),
        st.sampled_from(("HS256", "HS384", "HS512", "none", "")).map(lambda name: (_confused(known, name), False)),
        st.sampled_from(_HEADERS).map(lambda more: (known.sign(more), more.keys() <= set(_HARMLESS))),
        st.sampled_from(_HEADERS).map(
            lambda more: (f"{_encoded({'alg': 'ES256', **more})}.{parts[1]}.{parts[2]}", False)
        ),
        st.sampled_from(_CLAIMS).map(lambda more: (known.sign(**more), False)),
        st.sampled_from(_BOMBS).map(lambda bomb: (f"{_encoded(bomb)}.{parts[1]}.{parts[2]}", False)),
        st.sampled_from(_BOMBS).map(lambda bomb: (f"{parts[0]}.{_encoded(bomb)}.{parts[2]}", False)),
        st.permutations([*parts, "", parts[0]]).map(lambda given: (".".join(given), False)),
        st.integers(0, len(known.token) - 1).map(lambda end: (known.token[:end], False)),
        st.sampled_from(
            (f"{parts[0]}.{parts[1]}.", f".{parts[1]}.{parts[2]}", "..", "...", ". .", known.token + "A")
        ).map(lambda token: (token, False)),
    )


def _keys(known: Known) -> st.SearchStrategy[bytes]:
    key = known.key.encode()
    return st.one_of(
        st.integers(0, len(key) - 1).map(lambda at: key[:at] + bytes([key[at] ^ 1]) + key[at + 1 :]),
        st.integers(0, len(key) - 1).map(lambda end: key[:end]),
        st.sampled_from([key + b"x", key.upper(), key[::-1], b"lk_", b"lk_" + b"a" * 49, b'"' + key + b'"', key * 2]),
        st.tuples(_TEXT, _TEXT).map(lambda two: two[0] + b"," + key + b"," + two[1]),
    )


def _authorizations(known: Known) -> st.SearchStrategy[tuple[bytes, bool]]:
    parameters = st.one_of(
        _tokens(known).map(lambda two: (two[0].encode("utf-8", "surrogatepass"), two[1])),
        _keys(known).map(lambda key: (key, False)),
        _JUNK.map(lambda junk: (junk, False)),
        st.tuples(_JUNK, _JUNK).map(lambda two: (two[0] + b", Bearer " + two[1], False)),
    )
    return st.builds(
        lambda scheme, gap, parameter: (scheme.encode() + gap.encode("latin-1") + parameter[0], parameter[1]),
        st.sampled_from(_SCHEMES),
        st.sampled_from(_GAPS),
        parameters,
    )


@st.composite
def fuzzed_fields(draw: st.DrawFn, known: Known) -> Fuzzed:
    """Some of ``Authorization``, ``X-API-Key``, ``X-Forwarded-User`` and ``Cookie``, none of them right."""
    fields: list[tuple[bytes, bytes]] = []
    may_be = set()
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from((b"authorization", b"authorization", b"x-api-key", b"x-forwarded-user", b"cookie")))
        if name == b"authorization":
            value, is_maybe_right = draw(_authorizations(known))
            if is_maybe_right:
                may_be.add(known.token_principal)
        elif name == b"x-api-key":
            value = draw(st.one_of(_keys(known), _JUNK))
        else:
            value = draw(_JUNK)
        fields.append((name, value))
    return Fuzzed(fields, frozenset(may_be))
