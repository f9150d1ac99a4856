"""Fair shares: what one caller may ask for, over HTTP and in the process."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar.config.cors import CORSConfig
from pydantic import BaseModel

from lambda_kit import (
    Authenticator,
    CallerLimits,
    ConfigurationError,
    Credentials,
    JobObserver,
    JobSettings,
    LambdaTool,
    MemoryJobStore,
    Principal,
    RateLimitedError,
    Service,
    ToolOptions,
    ToolServer,
)
from lambda_kit.spi import Payload
from lambda_kit.testing import ManualClock, TestClient

SERVICE = Service(name="Shares", contact={"name": "A", "email": "a@example.com"})
ORIGIN = {"Origin": "https://app.example"}


class Text(BaseModel):
    text: str = "x"


class Echo(LambdaTool):
    """Says it again"""

    async def run(self, req: Text) -> str:
        return req.text


class Hold(LambdaTool):
    """Goes on until it is cancelled"""

    options = ToolOptions(max_wait_time=0)

    async def run(self, req: Text) -> str:
        await asyncio.Event().wait()
        return req.text


class ByName(Authenticator):
    """Believes a header."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        name = credentials.headers.get("x-name")
        return None if name is None else Principal(f"test:{name}")


class Refusals(JobObserver):
    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []

    def refused(self, tool: str | None, reason: str) -> None:
        self.seen.append((tool, reason))


def a_server(limits: CallerLimits | None, **options: Any) -> ToolServer:
    options = {"store": MemoryJobStore(), "settings": JobSettings(grace_seconds=0), **options}
    return ToolServer(SERVICE, [Echo, Hold], caller_limits=limits, **options)


def of(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(clock: ManualClock) -> Iterator[TestClient]:
    limits = CallerLimits(rate_per_second=0.5, burst=3, by_address=True)
    cors = CORSConfig(allow_origins=["https://app.example"])
    with TestClient(a_server(limits, store=MemoryJobStore(clock=clock), job_list=True, cors=cors)) as client:
        yield client


def post(client: TestClient, path: str = "/echo", address: str = "10.0.0.1", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, json={"text": "x"}, headers={**of(address), **named})


# --- what can be set ---


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"max_unfinished": 0}, r"CallerLimits\(max_unfinished=0\): must be a whole number of at least 1"),
        ({"max_unfinished": 1.5}, r"max_unfinished=1.5\): must be a whole number"),
        ({"rate_per_second": 0}, r"CallerLimits\(rate_per_second=0\): must be a number of at least 1e-06"),
        ({"rate_per_second": float("inf")}, r"rate_per_second=inf\): must be a number"),
        ({"rate_per_second": True}, r"rate_per_second=True\): must be a number"),
        ({"rate_per_second": 1, "burst": 0}, r"CallerLimits\(burst=0\): must be a whole number of at least 1"),
        ({"burst": 3}, r"CallerLimits\(burst=3\): says nothing without a rate: set rate_per_second too"),
        ({"by_address": "yes"}, r"CallerLimits\(by_address='yes'\): must be True or False"),
    ],
)
def test_limits_that_can_not_be_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        CallerLimits(**values)


def test_what_is_no_caller_limits_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="caller_limits"):
        ToolServer(SERVICE, [Echo], caller_limits={"burst": 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(("rate", "size"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_a_burst_is_what_one_second_brings_unless_it_is_set(rate: float, size: int) -> None:
    assert CallerLimits(rate_per_second=rate).bucket_size == size
    assert CallerLimits(rate_per_second=rate, burst=7).bucket_size == 7


def test_a_store_that_does_not_count_the_jobs_of_one_caller_is_refused() -> None:
    class Older(MemoryJobStore):
        counts_shares = False

    a_server(CallerLimits(rate_per_second=1), store=Older())
    limits, complaint = CallerLimits(max_unfinished=1), r"max_unfinished=1\): Older does not count .* counts_shares"
    with pytest.raises(ConfigurationError, match=complaint):
        a_server(limits, store=Older())
    with pytest.raises(ConfigurationError, match=complaint):
        a_server(limits).enable(store=Older())


# --- the rate ---


def test_who_asks_too_often_is_told_when_to_come_back(client: TestClient, clock: ManualClock) -> None:
    assert [post(client).status_code for _ in range(3)] == [200, 200, 200]
    refused = post(client, job_id="mine", Origin="https://app.example")
    assert refused.status_code == 429
    problem = refused.json()
    assert (problem["type"], problem["code"]) == ("rate-limited", 429)
    assert problem["detail"] == "you may start one job every 2 seconds, and 3 at once: come back later"
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["ratelimit-policy"] == '"caller";q=3;w=6'
    assert refused.headers["ratelimit"] == '"caller";r=0;t=2'
    assert refused.headers["access-control-allow-origin"] == "https://app.example"
    exposed = {name.strip().lower() for name in refused.headers["access-control-expose-headers"].split(",")}
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= exposed
    assert client.get("/jobs/mine").status_code == 404  # nothing is left of it
    clock.advance(1.0)
    assert post(client).headers["retry-after"] == "1"
    clock.advance(1.0)
    assert post(client, job_id="mine").status_code == 200
    assert post(client).status_code == 429


def test_who_waits_as_told_gets_in_each_time(client: TestClient, clock: ManualClock) -> None:
    while (answer := post(client)).status_code == 200:
        clock.advance(0.37)
    for n in range(100):
        clock.advance(int(answer.headers["retry-after"]))
        assert post(client).status_code == 200, n
        while (answer := post(client)).status_code == 200:
            pass
        clock.advance(0.013 * n % 0.4)
        answer = post(client)
        assert answer.status_code == 429


def test_nothing_else_is_counted_or_refused(client: TestClient) -> None:
    kept = [post(client, job_id=f"job-{n}") for n in range(3)]
    assert [answer.status_code for answer in kept] == [200, 200, 200]
    assert post(client).status_code == 429
    preflight = {"Access-Control-Request-Method": "POST", **ORIGIN}
    for _ in range(20):
        assert client.options("/echo", headers={**of("10.0.0.1"), **preflight}).status_code < 400
        for path in (
            "/_livez",
            "/_healtz",
            "/metrics",
            "/echo",
            "/jobs",
            "/jobs/job-0",
            "/jobs/job-0/status",
            "/jobs/job-0/events",
            "/openapi.json",
        ):
            assert client.get(path, headers=of("10.0.0.1")).status_code == 200, path
        assert client.delete("/jobs/job-0", headers=of("10.0.0.1")).status_code == 409
        # a request that was made before attaches
        assert post(client, job_id="job-1").status_code == 200


def test_who_attaches_to_a_known_job_is_not_counted(client: TestClient) -> None:
    for _ in range(10):
        assert post(client, Idempotency_Key="order").status_code == 200
    assert [post(client).status_code for _ in range(3)] == [200, 200, 429]


def test_a_request_that_can_not_be_read_is_counted(client: TestClient) -> None:
    wrong = [client.post("/echo", content=b"{", headers=of("10.0.0.1")).status_code for _ in range(4)]
    assert wrong == [422, 422, 422, 429]


def test_the_refusals_are_counted() -> None:
    refusals = Refusals()
    with TestClient(a_server(CallerLimits(rate_per_second=0.001, by_address=True), observers=[refusals])) as client:
        assert [post(client).status_code for _ in range(3)] == [200, 429, 429]
        counted = 'lambda_kit_requests_refused_total{reason="rate-limited",tool="echo"} 2.0'
        assert counted in client.get("/metrics").text
    assert refusals.seen == [("echo", "rate-limited")] * 2


# --- who is one caller ---


def test_each_address_has_its_own_share(client: TestClient) -> None:
    for n in range(50):
        assert [post(client, address=f"10.0.1.{n}").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_an_ipv6_network_is_one_caller(client: TestClient) -> None:
    hosts = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"]
    assert [post(client, address=host).status_code for host in hosts] == [200, 200, 200]
    assert post(client, address="[2001:db8:0:1::4]:9000").status_code == 429
    assert post(client, address="2001:db8:0:2::1").status_code == 200


def test_an_ipv4_address_is_one_caller_in_both_forms(client: TestClient) -> None:
    addresses = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:4711", "::ffff:192.0.2.1"]
    assert [post(client, address=address).status_code for address in addresses] == [200, 200, 200, 429]


def test_requests_without_an_address_are_not_limited_and_that_is_said_once(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "lambda_kit.access"):
        for _ in range(10):
            assert client.post("/echo", json={"text": "x"}).status_code == 200
    warnings = [record.getMessage() for record in caplog.records if record.name == "lambda_kit.access"]
    assert len(warnings) == 1
    assert "--forwarded-allow-ips unix" in warnings[0]


def test_without_by_address_nobody_without_a_principal_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(a_server(CallerLimits(rate_per_second=0.001))) as client:
        assert {post(client).status_code for _ in range(5)} == {200}
    assert "caller_limits limit nobody who comes over HTTP" in caplog.text
    assert "by_address=True" in caplog.text


def test_a_principal_has_one_share_wherever_it_calls_from() -> None:
    limits = CallerLimits(rate_per_second=0.001, burst=2, by_address=True)
    with TestClient(a_server(limits, authenticator=ByName())) as client:
        for name in ("ann", "bob"):
            codes = [post(client, address=f"10.0.0.{n}", x_name=name).status_code for n in range(3)]
            assert codes == [200, 200, 429]
        assert post(client).status_code == 401  # not counted, for there is nobody to count


async def test_the_services_own_code_is_never_limited_and_a_principal_is() -> None:
    limits = CallerLimits(rate_per_second=0.001, max_unfinished=1, by_address=True)
    body = Payload(b'{"text": "x"}', "application/json")
    async with a_server(limits) as server:
        for _ in range(5):
            assert await server.run_tool(Echo, {"text": "x"}) == "x"
            await server.jobs.submit("echo", body)
        ann = server.jobs.acting_for(Principal("ann"))
        await ann.submit("echo", body, job_id="one")
        with pytest.raises(RateLimitedError) as refused:
            await ann.submit("echo", body)
        assert 999 < refused.value.retry_after_seconds <= 1000
        assert (await ann.submit("echo", body, job_id="one")).id == "one"
        await server.jobs.acting_for(Principal("bob")).submit("echo", body)


# --- unfinished jobs ---


def test_a_caller_has_so_many_unfinished_jobs_and_no_more() -> None:
    limits = CallerLimits(max_unfinished=2, by_address=True)
    with TestClient(a_server(limits)) as client:
        made = [post(client, "/hold", job_id=f"job-{n}").status_code for n in range(3)]
        assert made == [204, 204, 429]
        refused = post(client, "/echo")  # of all tools together
        assert (refused.status_code, refused.json()["type"]) == (429, "rate-limited")
        assert "2 of your jobs are waiting or running" in refused.json()["detail"]
        assert refused.headers["ratelimit-policy"] == '"caller-unfinished";q=2;qu="concurrent-requests"'
        assert refused.headers["ratelimit"] == f'"caller-unfinished";r=0;t={refused.headers["retry-after"]}'
        assert client.get("/jobs/job-2").status_code == 404
        assert post(client, "/hold", job_id="job-0").status_code == 204  # attaches
        assert post(client, address="10.0.0.2").status_code == 200
        assert client.delete("/jobs/job-0").status_code in (200, 202)
        assert client.get("/jobs/job-0", headers={"Prefer": "wait=20"}).status_code == 410
        assert post(client, "/hold", job_id="job-2").status_code == 204


def test_both_policies_are_named() -> None:
    limits = CallerLimits(rate_per_second=100, burst=10, max_unfinished=1, by_address=True)
    with TestClient(a_server(limits)) as client:
        assert [post(client, "/hold").status_code for _ in range(2)] == [204, 429]
        policy = '"caller";q=100;w=1, "caller-unfinished";q=1;qu="concurrent-requests"'
        assert post(client).headers["ratelimit-policy"] == policy


async def test_what_is_kept_of_a_share_tells_nobody_whose_it_is() -> None:
    store = MemoryJobStore()
    body = Payload(b'{"text": "x"}', "application/json")
    async with a_server(CallerLimits(max_unfinished=5, by_address=True), store=store) as server:
        jobs = {
            "own": await server.jobs.submit("echo", body),
            "ann": await server.jobs.acting_for(Principal("ann")).submit("echo", body),
            "there": await server.jobs.acting_for(None, address="10.0.0.1").submit("echo", body),
        }
        again = await server.jobs.acting_for(Principal("ann")).submit("echo", body)
    shares = {name: job.share for name, job in jobs.items()}
    assert shares["own"] is None
    assert shares["ann"] == again.share
    assert len({shares["ann"], shares["there"], jobs["ann"].caller}) == 3
    assert all(len(share) == 16 and b"10.0" not in share for share in shares.values() if share is not None)


async def test_without_limits_nothing_is_kept() -> None:
    body = Payload(b'{"text": "x"}', "application/json")
    for limits in (None, CallerLimits(), CallerLimits(rate_per_second=100)):
        async with a_server(limits) as server:
            assert (await server.jobs.acting_for(Principal("ann")).submit("echo", body)).share is None
