"""Requests and results of 50 MB, with every store; what is too large for one is refused, and nothing else waits."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import pytest

from lambda_kit import Job, JobStatus, PayloadTooLargeError
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease
from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL, RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file
from tests.wire.answers import assert_problem

pytestmark = pytest.mark.timeout(180)

SECONDS = 120.0
PULSE_SECONDS = 15.0
"""After so long the client that asks whether the service lives gives up. On an idle machine it waits 0.3 s."""
LARGE = 50_000_000
LIMIT = 51_000_000

_TOOLS = '''
from lambda_kit import BinaryResult
from lambda_kit.adapters.stores.postgres import PostgresJobStore
from lambda_kit.adapters.stores.redis import RedisJobStore

class Echo(LambdaTool):
    """Say it again"""

    def run(self, req: Text) -> str:
        return req.text

class Size(BaseModel):
    size: int

class Make(LambdaTool):
    """Make a large result of a small request"""

    def run(self, req: Size) -> BinaryResult:
        return BinaryResult(content=b"x" * req.size, content_type="application/octet-stream")
'''


@contextlib.contextmanager
def a_store(kind: str, folder: Path) -> Iterator[str]:
    """The text of an expression for a store of the test's own."""
    if kind == "memory":
        yield "'memory://'"
    elif kind == "sqlite":
        yield f"'sqlite:///{folder}/jobs.db'"
    elif kind == "redis":
        with new_prefix() as prefix:
            yield f"RedisJobStore({REDIS_URL!r}, prefix={prefix!r})"
    else:
        with new_schema() as schema:
            yield f"PostgresJobStore({POSTGRES_URL!r}, schema={schema!r})"


# that these stores keep as much, their own tests show
IN_DATABASES = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("sqlite", "redis", "postgres")]


@pytest.fixture(params=["memory", *IN_DATABASES])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceProcess]:
    with a_store(request.param, tmp_path) as store:
        file = service_file(tmp_path, body=_TOOLS, tools="Echo, Make", options=f"store={store}, max_body_bytes={LIMIT}")
        with ServiceProcess(file, seconds=SECONDS) as service:
            yield service


class Pulse:
    """Asks again and again whether the service lives, and counts the answers. The block fails if one does not come."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.answers = 0

    def __enter__(self) -> Self:
        self._asking = self._pool.submit(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        with self._pool:
            self._asking.result(SECONDS)

    def _ask(self) -> None:
        with httpx.Client(timeout=PULSE_SECONDS) as client:
            while not self._end.wait(0.01):
                assert client.get(f"{self._service.url}/_livez").status_code == 200
                self.answers += 1


def test_fifty_megabytes_go_in_and_out_and_nobody_else_waits(service: ServiceProcess) -> None:
    text = "y" * LARGE
    with Pulse(service) as pulse, httpx.Client(base_url=service.url, timeout=SECONDS) as client:
        headers = {"job-id": "large", "Prefer": "wait=60"}
        answer = client.post("/echo", json={"text": text}, headers=headers)
        assert (answer.status_code, len(answer.content)) == (200, LARGE)
        assert answer.text == text
        again = client.get("/jobs/large")
        assert again.content == answer.content
        made = client.post("/make", json={"size": LARGE}, headers={"Prefer": "wait=60"})
        assert (made.status_code, made.content == b"x" * LARGE) == (200, True)
    assert pulse.answers


def test_a_body_over_the_limit_is_refused_and_leaves_nothing(service: ServiceProcess) -> None:
    with httpx.Client(base_url=service.url, timeout=SECONDS) as client:
        body = b'{"text": "' + b"y" * LIMIT + b'"}'
        refused = client.post("/echo", content=body, headers={"job-id": "huge"})
        assert_problem(refused, 413)
        assert client.get("/jobs/huge").status_code == 404


def test_what_is_larger_than_a_store_keeps_is_refused_or_fails_the_job(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--proto-max-bulk-len", "1mb") as server:
        file = service_file(tmp_path, body=_TOOLS, tools="Echo, Make", options=f"store={server.url!r}")
        with (
            ServiceProcess(file, seconds=SECONDS) as service,
            httpx.Client(base_url=service.url, timeout=SECONDS) as client,
        ):
            refused = client.post("/echo", json={"text": "y" * 1_100_000}, headers={"job-id": "huge"})
            assert "more than a job store in Redis keeps" in assert_problem(refused, 413)["detail"]
            assert client.get("/jobs/huge").status_code == 404
            failed = client.post("/make", json={"size": 1_100_000}, headers={"job-id": "one", "Prefer": "wait=60"})
            for answer in (failed, client.get("/jobs/one")):
                problem = assert_problem(answer, 500, job=True)
                assert problem["type"] == "result-too-large"
                assert (
                    "the result can't be kept: 1100000 bytes are more than a job store in Redis keeps"
                    in problem["detail"]
                )
            assert client.get("/jobs/one/status").json()["status"] == "failed"
            assert client.post("/make", json={"size": 1_000_000}).status_code == 200
        assert "Traceback" not in service.log


@pytest.fixture
def schema() -> Iterator[str]:
    with new_schema() as schema:
        yield schema


async def test_what_is_larger_than_a_database_keeps_is_refused(schema: str) -> None:
    too_large = Payload(bytes(1_000_000_001), "application/octet-stream")  # zeros take no memory until they are read
    async with PostgresJobStore(POSTGRES_URL, schema=schema) as store:
        with pytest.raises(PayloadTooLargeError):
            await store.create(Job(id="one", tool="t", requested_at=0.0), too_large)
        assert await store.get("one") is None
        await store.create(Job(id="one", tool="t", requested_at=0.0), Payload(b"{}", "application/json"))
        claim = await store.claim("one", worker_id="w", lease_seconds=60)
        assert claim is not None
        lease = Lease("one", claim.job.lease_token)
        with pytest.raises(PayloadTooLargeError):
            await store.finish(lease, too_large)
        assert (await store.finish(lease, Payload(b"1", "application/json"))).status is JobStatus.SUCCEEDED
