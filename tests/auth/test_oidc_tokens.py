"""Which tokens `OidcAuthenticator` takes, and whose they are."""

import asyncio
import base64
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from lambda_kit import Principal
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.core.ports.authenticator import Credentials, HeaderFields
from lambda_kit.testing import FakeIssuer
from tests.auth.oidc import AUDIENCE, bearer, refusal, started, status_of


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
async def oidc(issuer: FakeIssuer) -> AsyncIterator[OidcAuthenticator]:
    async with started(issuer.url) as authenticator:
        yield authenticator


def encoded(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def principal(oidc: OidcAuthenticator, token: str) -> Principal:
    found = await status_of(oidc, token)
    assert isinstance(found, Principal), found
    return found


# --- whose it is ---


async def test_a_token_says_whose_it_is_and_what_they_may_do(oidc: OidcAuthenticator, issuer: FakeIssuer):
    token = issuer.token("auth0|ü/1", audience=["other", AUDIENCE], scopes=["read", "write"], name="Ü. Müller")
    for _ in range(2):  # the second time it is known
        found = await principal(oidc, token)
        assert found.id == f"oidc:{issuer.url}#auth0|ü/1"
        assert found.name == "Ü. Müller"
        assert found.scopes == {"read", "write"}


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": None, "scp": ["read", "admin"]}, {"read", "admin"}),
        ({"scope": None, "scp": "read write"}, {"read", "write"}),
        ({"scope": "  read  "}, {"read"}),
        ({"scope": None}, set()),
        ({"scope": [1, None, "read", "a b", ""]}, {"read"}),
        ({"scope": {"read": True}}, set()),
    ],
)
async def test_scopes_are_read_as_providers_write_them(
    oidc: OidcAuthenticator, issuer: FakeIssuer, claims: dict[str, Any], scopes: set[str]
):
    assert (await principal(oidc, issuer.token(audience=AUDIENCE, **claims))).scopes == scopes


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["editor"]}}),
        ("permissions", {"permissions": ["editor"]}),
        ("https://example.org/roles", {"https://example.org/roles": ["editor"]}),
    ],
)
async def test_roles_count_as_scopes_where_it_is_said_which_claim_has_them(
    issuer: FakeIssuer, path: str, claims: dict[str, Any]
):
    token = issuer.token(audience=AUDIENCE, scopes=["read"], **claims)
    async with started(issuer.url, roles_claim=path) as with_roles, started(issuer.url) as without:
        assert (await principal(with_roles, token)).scopes == {"read", "editor"}
        assert (await principal(without, token)).scopes == {"read"}
        assert (await principal(with_roles, issuer.token(audience=AUDIENCE, realm_access=7))).scopes == set()


async def test_the_subject_may_be_in_another_claim(issuer: FakeIssuer):
    async with started(issuer.url, subject_claim="client_id") as oidc:
        assert (await principal(oidc, issuer.token(4, audience=AUDIENCE, client_id="robot"))).id.endswith("#robot")  # type: ignore[arg-type]
        assert "claim client_id is missing" in await refusal(oidc, issuer.token(audience=AUDIENCE))


@pytest.mark.parametrize("subject", [None, 4, True, ["alice"], "", "x" * 256, "x" * 4096, "a\nb", "a\x00", "\ud800"])
async def test_a_subject_that_is_no_short_text_is_refused(oidc: OidcAuthenticator, issuer: FakeIssuer, subject: Any):
    assert "does not say whose it is: the claim sub" in await refusal(oidc, issuer.token(subject, audience=AUDIENCE))


async def test_the_longest_subject_of_the_longest_issuer_can_be_kept(issuer: FakeIssuer):
    with FakeIssuer(path="/" + "x" * (249 - len(issuer.url))) as long_issuer:
        assert len(long_issuer.url) == 250
        async with started(long_issuer.url) as oidc:
            found = await principal(oidc, long_issuer.token("ü" * 255, audience=AUDIENCE))
            assert len(found.id) == 511


# --- what is not ours ---


@pytest.mark.parametrize("value", ["", "Bearer lk_abc", "Bearer a.b", "Bearer a.b.c.d.e", "Basic a.b.c", "Bearer"])
async def test_what_is_no_signed_token_is_left_to_others(oidc: OidcAuthenticator, value: str):
    fields = HeaderFields([(b"authorization", value.encode())])
    assert await oidc.authenticate(Credentials(fields, None)) is None


async def test_each_of_several_issuers_gets_its_own_tokens(issuer: FakeIssuer):
    with FakeIssuer() as other:
        async with started(issuer.url) as first, started(other.url) as second:
            token = other.token(audience=AUDIENCE)
            assert await first.authenticate(bearer(token)) is None
            assert (await principal(second, token)).id == f"oidc:{other.url}#alice"


# --- what is refused ---


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"seconds": -31}, "the token has expired"),
        ({"exp": None}, "the token has no end (exp)"),
        ({"exp": "4102444800"}, "no time in exp"),
        ({"exp": True}, "no time in exp"),
        ({"exp": math.inf}, "no time in exp"),
        ({"exp": math.nan}, "no time in exp"),
        ({"exp": 10**400}, "no time in exp"),
        ({"nbf": time.time() + 600}, "not valid yet"),
        ({"iat": time.time() + 600}, "of the future"),
        ({"audience": "another"}, "not for this service"),
        ({"audience": [f"{AUDIENCE}2"]}, "not for this service"),
        ({"aud": None}, "not for this service"),
        ({"aud": {AUDIENCE: 1}}, "not for this service"),
        ({"iss": None}, "names no issuer"),
        ({"iss": ["x"]}, "names no issuer"),
        ({"at_hash": "x"}, "no access token"),
        ({"typ": "ID"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
        ({"header": {"typ": "logout+jwt"}}, "another type (typ)"),
        ({"header": {"typ": 1}}, "another type (typ)"),
        ({"header": {"crit": ["b64"], "b64": True}}, "critical extensions"),
        ({"header": {"kid": "k" * 513}}, "key id (kid)"),
    ],
)
async def test_a_token_that_is_not_for_us_now_is_refused(
    oidc: OidcAuthenticator, issuer: FakeIssuer, claims: dict[str, Any], reason: str
):
    assert reason in await refusal(oidc, issuer.token(**{"audience": AUDIENCE, **claims}))


async def test_clocks_may_be_apart_by_the_leeway(oidc: OidcAuthenticator, issuer: FakeIssuer):
    await principal(oidc, issuer.token(audience=AUDIENCE, seconds=-10))
    await principal(oidc, issuer.token(audience=AUDIENCE, nbf=time.time() + 10, iat=time.time() + 10))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "AT+JWT", "application/at+jwt"])
async def test_access_tokens_and_unspecific_ones_are_taken(oidc: OidcAuthenticator, issuer: FakeIssuer, typ: str):
    await principal(oidc, issuer.token(audience=AUDIENCE, header={"typ": typ}))


async def test_the_issuer_counts_with_its_slash(oidc: OidcAuthenticator, issuer: FakeIssuer):
    assert "differ in the slash" in await refusal(oidc, issuer.token(audience=AUDIENCE, iss=f"{issuer.url}/"))


def resigned(issuer: FakeIssuer, key: Any, algorithm: str, **header: Any) -> str:
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "mallory", "exp": time.time() + 60}
    return jwt.encode(claims, key, algorithm, headers={"kid": issuer.key_id, **header})


async def test_a_token_that_another_key_has_signed_is_refused(oidc: OidcAuthenticator, issuer: FakeIssuer):
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    header = {"jwk": stranger, "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/", "x5c": ["AAAA"]}
    assert "signature" in await refusal(oidc, resigned(issuer, key, "ES256"))
    assert "signature" in await refusal(oidc, resigned(issuer, key, "ES256", **header))
    head, payload, signature = issuer.token(audience=AUDIENCE).split(".")
    changed = encoded({**json.loads(base64.urlsafe_b64decode(payload + "==")), "sub": "mallory"})
    assert "signature" in await refusal(oidc, f"{head}.{changed}.{signature}")
    assert "signature" in await refusal(oidc, f"{head}.{payload}.")


async def test_an_algorithm_that_is_not_allowed_is_refused(oidc: OidcAuthenticator, issuer: FakeIssuer):
    _, payload, signature = issuer.token(audience=AUDIENCE).split(".")
    for name in ("none", "None", "NONE", "HS256", "HS512", "ES256K", "", "dir"):
        header = encoded({"alg": name, "kid": issuer.key_id})
        assert "algorithm (alg)" in await refusal(oidc, f"{header}.{payload}.{signature}")
        assert "algorithm (alg)" in await refusal(oidc, f"{header}.{payload}.")
    assert "names no algorithm" in await refusal(oidc, f"{encoded({'kid': 'x'})}.{payload}.{signature}")
    # of another family than the key's
    assert "no such key" in await refusal(oidc, f"{encoded({'alg': 'RS256', 'kid': issuer.key_id})}.{payload}.AAAA")
    async with started(issuer.url, algorithms=["EdDSA"]) as only_eddsa:
        assert "none of EdDSA" in await refusal(only_eddsa, issuer.token(audience=AUDIENCE))


async def test_a_public_key_is_no_secret_to_sign_with():
    with FakeIssuer(algorithm="RS256") as issuer:
        del issuer.jwks[0]["alg"]
        public = issuer.private_key.public_key()
        secrets = [
            public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            for encoding in (Encoding.PEM, Encoding.DER)
        ]
        async with started(issuer.url) as oidc:
            await principal(oidc, issuer.token(audience=AUDIENCE))
            for secret in secrets:
                head, payload = (
                    encoded({"alg": "HS256", "kid": issuer.key_id}),
                    issuer.token(audience=AUDIENCE).split(".")[1],
                )
                signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(f"{head}.{payload}".encode(), secret)
                assert "algorithm (alg)" in await refusal(oidc, f"{head}.{payload}.{encoded(signature)}")


@pytest.mark.parametrize(
    "token",
    [
        "..", "a.b.c", "é.é.é", "a b.c.d", "\ud800.a.b", "AAAA.AAAA.AAAA", f"{encoded([])}.{encoded({})}.AAAA",
        f"{encoded(b'{')}.{encoded({})}.AAAA", f"{encoded(b'[' * 9000)}.{encoded({})}.AAAA",
        f"{encoded({'alg': 'ES256'})}.{encoded(b'1' * 5000)}.AAAA", f"{encoded({'alg': 7})}.{encoded({})}.AAAA",
        f"{encoded({'alg': 'ES256', 'kid': 7})}.{encoded({})}.AAAA", f"{encoded({'alg': 'ES256'})}=.{encoded({})}.AAAA",
    ],
)  # fmt: skip
async def test_what_is_malformed_is_refused(oidc: OidcAuthenticator, token: str):
    await refusal(oidc, token)


async def test_a_token_of_more_than_16_kib_is_refused(oidc: OidcAuthenticator, issuer: FakeIssuer):
    token = issuer.token(audience=AUDIENCE, padding="x" * 10_000)
    assert len(token) <= 16 * 1024
    await principal(oidc, token)
    assert "longer than" in await refusal(oidc, issuer.token(audience=AUDIENCE, padding="x" * 16_000))


# --- keys of all kinds ---


async def test_each_algorithm_is_verified_with_its_own_kind_of_key():
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rsa_jwk = RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True)
    keys: dict[str, tuple[Any, dict[str, Any]]] = dict.fromkeys(
        ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), (rsa_key, rsa_jwk)
    )
    for name, curve in (("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())):
        key = ec.generate_private_key(curve)
        keys[name] = (key, ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
    edwards = ed25519.Ed25519PrivateKey.generate()
    keys["EdDSA"] = (edwards, OKPAlgorithm.to_jwk(edwards.public_key(), as_dict=True))
    with FakeIssuer() as several:
        several.jwks += [{**jwk, "kid": name} for name, (_, jwk) in keys.items()]
        async with started(several.url) as oidc:
            for name, (key, _) in keys.items():
                assert (await principal(oidc, resigned(several, key, name, kid=name))).id.endswith("#mallory")


async def test_a_token_that_names_no_key_is_tried_with_those_that_fit():
    with FakeIssuer() as several:
        unnamed = {**several.public_jwk()}
        del unnamed["kid"]
        several.rotate()
        key = several.private_key
        several.jwks = [unnamed, several.public_jwk()]
        async with started(several.url) as oidc:
            claims = {"iss": several.url, "aud": AUDIENCE, "sub": "bob", "exp": time.time() + 60}
            assert (await principal(oidc, jwt.encode(claims, key, "ES256"))).id.endswith("#bob")
            stranger = ec.generate_private_key(ec.SECP256R1())
            assert "signature" in await refusal(oidc, jwt.encode(claims, stranger, "ES256"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "name", "preferred_username", "roles", "typ", "jti")
FIELDS = ("alg", "kid", "typ", "crit", "b64", "jku", "jwk", "x5c", "cty")


@pytest.fixture(scope="module")
def ask(issuer: FakeIssuer) -> Iterator[Callable[[str], Any]]:
    """What becomes of a token, with an authenticator that runs all the while."""
    with asyncio.Runner() as runner:
        running = started(issuer.url, roles_claim="roles.x")
        oidc = runner.run(running.__aenter__())
        yield lambda token: runner.run(status_of(oidc, token))
        runner.run(running.__aexit__(None, None, None))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claims=st.dictionaries(st.sampled_from(CLAIMS), JSON, max_size=3),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
)
def test_whatever_a_token_says_it_is_taken_or_refused(
    issuer: FakeIssuer, ask: Callable[[str], Any], claims: dict[str, Any], fields: dict[str, Any]
):
    for header in ({}, fields):
        payload = {"iss": issuer.url, "sub": "a", "aud": AUDIENCE, "exp": time.time() + 60, **claims}
        signed = f"{encoded({'alg': 'ES256', 'kid': issuer.key_id, **header})}.{encoded(payload)}"
        signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), issuer.private_key)  # type: ignore[arg-type]
        found = ask(f"{signed}.{encoded(signature)}")
        assert found in (None, 401) or isinstance(found, Principal)
