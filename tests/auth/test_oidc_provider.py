"""How `OidcAuthenticator` gets on with its provider: away, slow, hostile, with new keys."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lambda_kit import ConfigurationError, Principal
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import FakeIssuer
from tests.auth.oidc import AUDIENCE, bearer, refusal, started, status_of


async def until(holds: Callable[[], Awaitable[bool]], within_seconds: float = 20.0) -> None:
    """Ask again until it is so."""
    async with asyncio.timeout(within_seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def until_taken(oidc: OidcAuthenticator, token: str) -> None:
    async def is_taken() -> bool:
        return isinstance(await status_of(oidc, token), Principal)

    await until(is_taken)


# --- the issuer ---


@pytest.mark.parametrize("path", ["", "/", "/realms/staff", "/o/app/"])
async def test_the_issuer_is_found_with_and_without_a_slash(path: str):
    with FakeIssuer(path=path) as issuer:
        async with started(issuer.url) as oidc:
            assert isinstance(await status_of(oidc, issuer.token(audience=AUDIENCE)), Principal)
            assert oidc.authorization_servers() == (issuer.url,)
        assert issuer.calls[0] == f"{path.rstrip('/')}/.well-known/openid-configuration"
        assert not [called for called in issuer.calls if "//" in called]


@pytest.mark.parametrize("path", ["", "/", "/o/app", "/o/app/"])
async def test_a_setting_with_the_other_slash_fails_at_the_start_and_names_both(path: str):
    with FakeIssuer(path=path) as issuer:
        set_wrong = issuer.url[:-1] if path.endswith("/") else f"{issuer.url}/"
        oidc = OidcAuthenticator(set_wrong, audience=AUDIENCE)
        with pytest.raises(ConfigurationError, match="slash") as caught:
            await oidc.start()
        assert repr(set_wrong) in str(caught.value)
        assert repr(issuer.url) in str(caught.value)


async def test_a_provider_of_another_name_fails_the_start(fake_issuer: FakeIssuer):
    fake_issuer.metadata["issuer"] = "https://login.example.org"
    with pytest.raises(ConfigurationError, match=r"https://login\.example\.org"):
        await OidcAuthenticator(fake_issuer.url, audience=AUDIENCE).start()


@pytest.mark.parametrize(
    "issuer",
    [
        "", "login.example.org", "http://login.example.org", "ftp://localhost", "https://", "https://u:p@example.org",
        "https://example.org/?a=b", "https://example.org/#a", "https://example.org:x", "https://example.org/ü",
        "https://example.org/a b", "https://example.org//", "https://example.org/" + "x" * 250, None, 7,
        "http://127.0.0.1.example.org",
    ],
)  # fmt: skip
def test_what_is_no_issuer_is_refused_when_it_is_set(issuer: Any):
    with pytest.raises(ConfigurationError, match=r"OidcAuthenticator\(issuer="):
        OidcAuthenticator(issuer, audience=AUDIENCE)


@pytest.mark.parametrize(
    "settings",
    [
        {"audience": ""}, {"audience": None}, {"subject_claim": ""}, {"roles_claim": ""}, {"algorithms": []},
        {"algorithms": ["HS256"]}, {"algorithms": ["none"]}, {"algorithms": "HS256"}, {"leeway_seconds": -1},
        {"leeway_seconds": 301}, {"renew_seconds": 0}, {"cool_down_seconds": -1}, {"keep_keys_seconds": float("nan")},
    ],
)  # fmt: skip
def test_a_setting_that_can_not_work_is_named(settings: dict[str, Any]):
    (name,) = settings
    with pytest.raises(ConfigurationError, match=rf"OidcAuthenticator\({name}="):
        OidcAuthenticator("https://login.example.org", **{"audience": AUDIENCE, **settings})


# --- new keys ---


async def test_a_new_key_is_asked_for_at_once_and_an_old_one_counts_no_more(fake_issuer: FakeIssuer):
    async with started(fake_issuer.url) as oidc:
        old = fake_issuer.token(audience=AUDIENCE)
        assert isinstance(await status_of(oidc, old), Principal)
        fake_issuer.rotate()
        new = [fake_issuer.token(f"user{n}", audience=AUDIENCE) for n in range(50)]
        assert all(isinstance(found, Principal) for found in await asyncio.gather(*(status_of(oidc, t) for t in new)))
        assert fake_issuer.key_fetches == 2
        assert "no such key" in await refusal(oidc, old)  # though it had been verified before


async def test_keys_are_renewed_without_being_asked_for(fake_issuer: FakeIssuer):
    async with started(fake_issuer.url, renew_seconds=0.05) as oidc:
        old = fake_issuer.token(audience=AUDIENCE)
        assert isinstance(await status_of(oidc, old), Principal)
        fake_issuer.rotate()

        async def is_refused() -> bool:
            return await status_of(oidc, old) == 401

        await until(is_refused)
        fetches = fake_issuer.key_fetches

        async def is_asked_on() -> bool:
            return fake_issuer.key_fetches >= fetches + 2

        await until(is_asked_on)


async def test_500_invented_keys_make_one_fetch(fake_issuer: FakeIssuer):
    async with started(fake_issuer.url) as oidc:
        good = fake_issuer.token(audience=AUDIENCE)
        tokens = [fake_issuer.token(audience=AUDIENCE, header={"kid": f"k{n}"}) for n in range(500)]
        found = await asyncio.gather(*(status_of(oidc, token) for token in tokens), status_of(oidc, good))
        assert found[:500] == [401] * 500
        assert isinstance(found[500], Principal)
        assert fake_issuer.key_fetches == 2  # one at the start


async def test_after_the_cool_down_an_unknown_key_is_asked_for_again(fake_issuer: FakeIssuer):
    async with started(fake_issuer.url, cool_down_seconds=0.2) as oidc:
        loop = asyncio.get_running_loop()
        begin, fetches = loop.time(), fake_issuer.key_fetches
        unknown = fake_issuer.token(audience=AUDIENCE, header={"kid": "unknown"})
        while fake_issuer.key_fetches < fetches + 3:
            assert await status_of(oidc, unknown) == 401
        assert loop.time() - begin >= 0.4
        fake_issuer.rotate()
        await until_taken(oidc, fake_issuer.token(audience=AUDIENCE))


async def test_a_broken_or_unknown_key_spoils_nothing(fake_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture):
    good = fake_issuer.public_jwk()
    fake_issuer.jwks = [
        {}, 7, None, {"kty": ["EC"]}, {"kty": "oct", "k": "AAAA", "kid": "a"}, {"kty": "XYZ", "kid": "b"},
        {"kty": "RSA", "kid": "c"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "d"}, {**good, "x": "!"},
        {**good, "crv": "P-999"}, {**good, "y": good["x"]}, {**good, "kid": 7}, {**good, "alg": "HS256"},
        {**good, "alg": ["ES256"]}, {**good, "use": "enc"}, {"kty": "OKP", "crv": "X25519", "x": "AAAA"}, good,
    ]  # fmt: skip
    async with started(fake_issuer.url) as oidc:
        assert isinstance(await status_of(oidc, fake_issuer.token(audience=AUDIENCE)), Principal)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "unusable keys are ignored: key 1 " in warning


async def test_the_private_part_of_a_published_key_is_ignored(fake_issuer: FakeIssuer):
    fake_issuer.jwks[0]["d"] = "AAAA"
    async with started(fake_issuer.url) as oidc:
        assert isinstance(await status_of(oidc, fake_issuer.token(audience=AUDIENCE)), Principal)


# --- a provider that is away ---


async def test_a_provider_that_is_away_at_the_start_is_found_later(fake_issuer: FakeIssuer):
    token = fake_issuer.token(audience=AUDIENCE)
    fake_issuer.vanish()
    async with started(fake_issuer.url) as oidc:
        assert await status_of(oidc, token) == 503
        assert await oidc.authenticate(bearer("lk_key")) is None  # the others are asked as ever
        assert "is malformed" in await refusal(oidc, "é.é.é")
        fake_issuer.come_back()
        await until_taken(oidc, token)


async def test_a_provider_that_goes_away_later_is_not_missed(fake_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture):
    async with started(fake_issuer.url, renew_seconds=0.05, cool_down_seconds=0.05) as oidc:
        fake_issuer.vanish()

        async def is_noticed() -> bool:
            return "can't be asked" in caplog.text

        await until(is_noticed)
        for n in range(10):
            assert isinstance(await status_of(oidc, fake_issuer.token(f"user{n}", audience=AUDIENCE)), Principal)
        fake_issuer.rotate()
        new = fake_issuer.token(audience=AUDIENCE)
        assert await status_of(oidc, new) == 503  # it may be right
        fake_issuer.come_back()
        await until_taken(oidc, new)
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(warnings) == 1  # for the whole outage


async def test_known_keys_are_not_used_for_ever(fake_issuer: FakeIssuer):
    async with started(fake_issuer.url, renew_seconds=0.05, keep_keys_seconds=1.0) as oidc:
        token = fake_issuer.token(audience=AUDIENCE)
        assert isinstance(await status_of(oidc, token), Principal)
        fake_issuer.vanish()

        async def is_over() -> bool:
            return await status_of(oidc, token) == 503

        await until(is_over)
        fake_issuer.come_back()
        await until_taken(oidc, token)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""), (404, b"{}"), (204, b""), (302, b""), (200, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}"),
        (200, b'{"keys": []}'), (200, b'{"keys": 7}'), (200, b"[" * 100_000), (200, b"\xff\xfe"),
        (200, b'{"a": "' + b"x" * 10_000_000 + b'"}'),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
async def test_a_provider_that_answers_nonsense_counts_as_away(fake_issuer: FakeIssuer, status: int, body: bytes):
    token = fake_issuer.token(audience=AUDIENCE)
    fake_issuer.fail(status, body)
    async with started(fake_issuer.url) as oidc:
        assert await status_of(oidc, token) == 503
    fake_issuer.heal()
    async with started(fake_issuer.url, renew_seconds=0.05) as oidc:
        fake_issuer.fail(status, body)
        fetches = len(fake_issuer.calls)

        async def is_asked() -> bool:
            return len(fake_issuer.calls) > fetches

        await until(is_asked)
        assert isinstance(await status_of(oidc, token), Principal)


@pytest.mark.slow
async def test_a_provider_that_hangs_holds_up_a_start_for_a_few_seconds_only(fake_issuer: FakeIssuer):
    token = fake_issuer.token(audience=AUDIENCE)
    fake_issuer.hang()
    async with asyncio.timeout(15), started(fake_issuer.url) as oidc:
        assert await status_of(oidc, token) == 503
        fake_issuer.heal()
        await until_taken(oidc, token)
        fake_issuer.hang()
        assert isinstance(await status_of(oidc, token), Principal)  # the one that is known
        unknown = fake_issuer.token(audience=AUDIENCE, header={"kid": "unknown"})
        assert await asyncio.gather(*(status_of(oidc, unknown) for _ in range(20))) == [503] * 20


async def test_a_redirect_leads_nowhere(fake_issuer: FakeIssuer):
    with FakeIssuer() as elsewhere:
        elsewhere.metadata["issuer"] = fake_issuer.url
        fake_issuer.fail(302, headers={"Location": f"{elsewhere.url}/.well-known/openid-configuration"})
        async with started(fake_issuer.url) as oidc:
            assert await status_of(oidc, fake_issuer.token(audience=AUDIENCE)) == 503
        assert elsewhere.calls == []


@pytest.mark.parametrize("uri", ["http://example.org/keys", "file:///etc/passwd", "ftp://127.0.0.1/", "keys", 7, None])
async def test_keys_are_taken_from_safe_places_only(fake_issuer: FakeIssuer, uri: Any):
    fake_issuer.metadata["jwks_uri"] = uri
    async with started(fake_issuer.url) as oidc:
        assert await status_of(oidc, fake_issuer.token(audience=AUDIENCE)) == 503
    assert fake_issuer.key_fetches == 0


async def test_proxy_variables_do_not_catch_a_provider_on_this_machine(
    fake_issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{dead.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        async with started(fake_issuer.url) as oidc:
            assert isinstance(await status_of(oidc, fake_issuer.token(audience=AUDIENCE)), Principal)


# --- its life ---


async def test_it_can_be_started_again_and_leaves_no_task_behind(fake_issuer: FakeIssuer):
    oidc = OidcAuthenticator(fake_issuer.url, audience=AUDIENCE)
    before = asyncio.all_tasks()
    for _ in range(3):
        await oidc.start()
        assert isinstance(await status_of(oidc, fake_issuer.token(audience=AUDIENCE)), Principal)
        await oidc.stop()
        assert asyncio.all_tasks() == before
    await oidc.stop()


# --- what it tells clients ---


async def test_clients_are_told_where_to_log_in_once_that_is_known():
    with FakeIssuer(path="/realms/staff") as issuer:
        oidc = OidcAuthenticator(issuer.url, audience=AUDIENCE)
        assert oidc.challenges() == ('Bearer realm="lambda_kit"',)
        ((name, scheme),) = oidc.security_schemes().items()
        assert name == f"oidc-127.0.0.1-{issuer.url.split(':')[2].replace('/', '-')}"
        assert scheme["type"] == "openIdConnect"
        assert scheme["openIdConnectUrl"] == f"{issuer.url}/.well-known/openid-configuration"
        await oidc.start()
        try:
            ((same_name, scheme),) = oidc.security_schemes().items()
        finally:
            await oidc.stop()
        assert same_name == name
        assert scheme["type"] == "oauth2"
        flow = scheme["flows"]["authorizationCode"]
        assert flow["authorizationUrl"] == f"{issuer.url}/authorize"
        assert flow["tokenUrl"] == f"{issuer.url}/token"


async def test_neither_log_nor_object_has_a_token(fake_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with started(fake_issuer.url) as oidc:
        good, bad = fake_issuer.token(audience=AUDIENCE), fake_issuer.token(audience="another")
        await status_of(oidc, good)
        await refusal(oidc, bad)
        for part in (*good.split("."), *bad.split(".")):
            assert part not in caplog.text
            assert part not in repr(vars(oidc))
