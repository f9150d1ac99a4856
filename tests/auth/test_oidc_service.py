"""A service of its own process, with a provider."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another process does it

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit.testing import FakeIssuer
from tests.auth.oidc import AUDIENCE
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.processes

FILE = Path(__file__).with_name("oidc_service.py")
COOL_DOWN = 0.3
PATH = "/who-am-i"


@contextmanager
def running_service(issuer: FakeIssuer, **env: str) -> Iterator[ServiceProcess]:
    env = {"ISSUER": issuer.url, "COOL_DOWN": str(COOL_DOWN), "LOG_LEVEL": "DEBUG", **env}
    with ServiceProcess(FILE, env=env) as service:
        yield service


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def service(issuer: FakeIssuer) -> Iterator[ServiceProcess]:
    with running_service(issuer) as service:
        yield service


def sent(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}, "json": {}}


def test_who_has_a_token_gets_in(service: ServiceProcess, issuer: FakeIssuer):
    answer = httpx.post(service.url + PATH, **sent(issuer.token("Ünal", audience=AUDIENCE)))
    assert (answer.status_code, answer.text) == (200, f"oidc:{issuer.url}#Ünal")
    assert httpx.post(service.url + PATH, json={}).status_code == 401


def test_a_wrong_token_is_told_what_is_wrong_with_it_and_where_to_get_one(service: ServiceProcess, issuer: FakeIssuer):
    good = issuer.token(audience=AUDIENCE)
    wrong = {
        issuer.token(audience=AUDIENCE, seconds=-60): "the token has expired",
        issuer.token(audience=AUDIENCE, nbf=time.time() + 999): "the token is not valid yet (nbf)",
        issuer.token(audience="another"): "the token is not for this service: its audience (aud) is another",
        good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"): "the signature of the token is not right",
        "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".": "the algorithm (alg) of the token is none of ",
        issuer.token(4, audience=AUDIENCE): "the token does not say whose it is: the claim sub is no text",  # type: ignore[arg-type]
        issuer.token(audience=AUDIENCE, padding="x" * 20_000): "the token is longer than 16384 characters",
        "a.b.c": "the token is malformed",
    }
    metadata = f'resource_metadata="{service.url}/.well-known/oauth-protected-resource"'
    for token, reason in wrong.items():
        answer = httpx.post(service.url + PATH, **sent(token))
        assert (answer.status_code, answer.json()["type"]) == (401, "unauthenticated")
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith(f'Bearer realm="lambda_kit", error="invalid_token", error_description="{reason}')
        assert challenge.endswith(metadata)
        service.wait_for_log(reason)
    answer = httpx.post(service.url + PATH, **sent(issuer.token(audience=AUDIENCE, iss="https://another.example.org")))
    assert answer.headers["www-authenticate"] == f'Bearer realm="lambda_kit", {metadata}'
    for token in wrong:
        for part in token.split("."):
            assert len(part) < 8 or part not in service.log


async def test_keys_are_rotated_under_load_and_nobody_with_a_good_token_notices(
    service: ServiceProcess, issuer: FakeIssuer
):
    statuses: list[int] = []
    loop = asyncio.get_running_loop()
    is_over = False

    async def keep_asking(client: httpx.AsyncClient, number: int) -> None:
        while not is_over:
            token = issuer.token(f"user{number}-{len(statuses)}", audience=AUDIENCE)
            statuses.append((await client.post(PATH, **sent(token))).status_code)

    begin, fetches = loop.time(), issuer.key_fetches
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client, asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(keep_asking(client, number))
        for _ in range(4):
            before, asked_for, next_at = len(statuses), issuer.key_fetches, loop.time() + 2 * COOL_DOWN
            issuer.rotate(keep_old=True)
            async with asyncio.timeout(60):
                while len(statuses) < before + 20 or issuer.key_fetches == asked_for or loop.time() < next_at:
                    await asyncio.sleep(0.01)
        is_over = True
    assert set(statuses) == {200}
    assert 4 <= issuer.key_fetches - fetches <= (loop.time() - begin) / COOL_DOWN + 1


@pytest.mark.slow
async def test_500_invented_keys_make_no_more_than_one_fetch_in_each_cool_down(
    service: ServiceProcess, issuer: FakeIssuer
):
    begin, fetches = time.monotonic(), issuer.key_fetches
    good = issuer.token(audience=AUDIENCE)
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        asked = [
            client.post(PATH, **sent(issuer.token(audience=AUDIENCE, header={"kid": f"k{n}"}))) for n in range(500)
        ]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {401}
        assert (await client.post(PATH, **sent(good))).status_code == 200
    assert issuer.key_fetches - fetches <= (time.monotonic() - begin) / COOL_DOWN + 1


@pytest.mark.slow
def test_without_its_provider_a_service_starts_and_asks_for_patience(fake_issuer: FakeIssuer):
    token = fake_issuer.token(audience=AUDIENCE)
    fake_issuer.vanish()
    with running_service(fake_issuer) as service:
        assert httpx.get(service.url + "/_healtz").status_code == 200
        answer = httpx.post(service.url + PATH, **sent(token))
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["detail"] == "the credentials can't be checked now: try again later"
        assert httpx.post(service.url + PATH, json={}).status_code == 401  # for this no provider is needed
        fake_issuer.come_back()
        deadline = time.monotonic() + 30
        while (status := httpx.post(service.url + PATH, **sent(token)).status_code) == 503:
            assert time.monotonic() < deadline
        assert status == 200
        fake_issuer.vanish()
        assert httpx.post(service.url + PATH, **sent(fake_issuer.token("bob", audience=AUDIENCE))).status_code == 200
        assert len(re.findall("the identity provider can't be asked", service.log)) >= 1


@pytest.mark.slow
def test_a_wrong_issuer_ends_the_start_and_says_how_to_mend_it(fake_issuer: FakeIssuer):
    service = ServiceProcess(FILE, env={"ISSUER": f"{fake_issuer.url}/"})
    with pytest.raises(AssertionError, match="they differ in the slash at the end; set the issuer exactly"), service:
        pass
