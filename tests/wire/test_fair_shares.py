"""Fair shares, seen from outside of real processes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.slow

FILE = Path(__file__).with_name("shares_service.py")
ORIGIN = {"Origin": "https://app.example"}


def of(address: str, **more: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, **more}


@contextmanager
def store_url(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/jobs.db"
    elif kind == "redis":
        with RedisServer(folder) as server:
            yield server.url
    else:
        with PostgresServer() as cluster:
            yield cluster.url


def test_probes_preflights_and_polls_are_never_refused_or_counted() -> None:
    with ServiceProcess(FILE) as service, httpx.Client(base_url=service.url) as client:
        for n in range(3):
            assert client.post("/echo", json={}, headers=of("10.0.0.1", **{"job-id": f"job-{n}"})).status_code == 200
        refused = client.post("/echo", json={}, headers=of("10.0.0.1", **ORIGIN))
        assert (refused.status_code, refused.json()["type"]) == (429, "rate-limited")
        assert refused.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        exposed = refused.headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in ("retry-after", "ratelimit", "ratelimit-policy"))
        preflight = {"Access-Control-Request-Method": "POST", **ORIGIN}
        for _ in range(30):
            assert client.options("/echo", headers=of("10.0.0.1", **preflight)).status_code < 300
            for path in ("/_livez", "/_healtz", "/metrics", "/jobs", "/jobs/job-0", "/jobs/job-0/events", "/echo"):
                assert client.get(path, headers=of("10.0.0.1")).status_code == 200, path
            assert client.delete("/jobs/job-0", headers=of("10.0.0.1")).status_code == 409
        counted = 'lambda_kit_requests_refused_total{reason="rate-limited",tool="echo"} 1.0'
        assert counted in client.get("/metrics").text


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "postgres"])
async def test_who_waits_as_told_gets_in_100_of_100_times(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = [] if kind == "memory" else ["--store", stack.enter_context(store_url(kind, tmp_path))]
        service = stack.enter_context(ServiceProcess(FILE, store, env={"RATE": "0.9", "BURST": "1"}))
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:

            async def waits_as_told(n: int) -> int:
                while (answer := await client.post("/echo", json={}, headers=of(f"10.0.1.{n}"))).status_code == 200:
                    pass
                assert answer.status_code == 429
                await asyncio.sleep(int(answer.headers["retry-after"]))  # what it promises is a time
                return (await client.post("/echo", json={}, headers=of(f"10.0.1.{n}"))).status_code

            codes = await asyncio.gather(*(waits_as_told(n) for n in range(100)))
    assert codes == [200] * 100


@pytest.mark.parametrize(("proxies", "callers"), [("127.0.0.1", 50), ("10.9.9.9", 1)])
def test_only_a_trusted_proxy_says_who_its_clients_are(proxies: str, callers: int) -> None:
    flags = ["--forwarded-allow-ips", proxies]
    with ServiceProcess(FILE, flags, env={"BURST": "1"}) as service, httpx.Client(base_url=service.url) as client:
        codes = [client.post("/echo", json={}, headers=of(f"10.0.1.{n % 50}")).status_code for n in range(100)]
    assert codes.count(200) == callers
    assert codes.count(429) == 100 - callers


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
async def test_two_replicas_have_one_share_for_each_caller(kind: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        flags = ["--store", stack.enter_context(store_url(kind, tmp_path)), "--grace", "0"]
        env = {"BURST": "30", "UNFINISHED": "5"}
        urls = [stack.enter_context(ServiceProcess(FILE, flags, env=env, exit_code=None)).url for _ in range(2)]
        async with httpx.AsyncClient(timeout=60) as client:

            async def posted(path: str, address: str, times: int) -> list[int]:
                posts = (client.post(urls[n % 2] + path, json={}, headers=of(address)) for n in range(times))
                return [answer.status_code for answer in await asyncio.gather(*posts)]

            held = await posted("/hold", "10.0.0.1", 20)
            assert (held.count(204), held.count(429)) == (5, 15)
            echoed = [code for _ in range(12) for code in await posted("/echo", "10.0.0.2", 4)]
            assert (echoed.count(200), echoed.count(429)) == (30, 18)
