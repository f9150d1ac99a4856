"""The store in Redis, and a server that is killed, silent, full, or does not let everybody in."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lambda_kit import ConfigurationError, JobStatus, UnavailableError
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Change
from tests.core.running_tools import until
from tests.support.missing_service import missing_service
from tests.support.redis_jobs import REQUEST, RESULT, a_job, claimed
from tests.support.redis_server import RedisServer
from tests.support.service_process import free_port

ROOT = Path(__file__).parents[2]

WRITER = """
import asyncio, sys
from lambda_kit.adapters.stores.redis import RedisJobStore
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.ports.store import Lease

async def main():
    async with RedisJobStore(sys.argv[1]) as store:
        async def write(worker):
            for n in range(1_000_000):
                job_id = f"{worker}-{n}"
                await store.create(Job(id=job_id, tool="t", requested_at=0.0), Payload(b"{}", "application/json"))
                claim = await store.claim(job_id, worker_id="w", lease_seconds=60)
                await store.finish(Lease(job_id, claim.job.lease_token), Payload(job_id.encode(), "text/plain"))
                print(job_id, flush=True)
        await asyncio.gather(*(write(worker) for worker in range(8)))

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Watch:
    """Waits for a change."""

    def __init__(self, store: RedisJobStore, wanted: Change) -> None:
        self._wanted = wanted
        self._was_told = asyncio.Event()
        store.subscribe(self)

    def __call__(self, change: Change) -> None:
        if change == self._wanted:
            self._was_told.set()

    async def wait(self) -> None:
        async with asyncio.timeout(60):
            await self._was_told.wait()


class Notice(logging.Filter):
    """Waits for a line in the log."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def filter(self, record: logging.LogRecord) -> bool:
        self._lines.put_nowait(record.getMessage())
        return True

    async def wait(self, text: str) -> None:
        async with asyncio.timeout(60):
            while text not in await self._lines.get():
                pass


async def test_a_crash_of_redis_loses_nothing_that_was_acknowledged(server: RedisServer) -> None:
    done: set[str] = set()
    failures: list[Exception] = []
    enough = asyncio.Event()

    async with RedisJobStore(server.url) as store, RedisJobStore(server.url) as other:
        gaps = [Watch(each, Change(None)) for each in (store, other)]

        async def write(worker: int) -> None:
            for n in range(1_000_000):
                job_id = f"{worker}-{n}"
                try:
                    lease = await claimed(store, job_id)
                    await store.finish(lease, Payload(job_id.encode(), "text/plain"))
                except UnavailableError as error:
                    failures.append(error)
                    return
                done.add(job_id)
                if len(done) >= 500:
                    enough.set()

        writers = [asyncio.create_task(write(worker)) for worker in range(16)]
        async with asyncio.timeout(60):
            await enough.wait()
            server.kill()
            await asyncio.gather(*writers)
        assert len(failures) == 16
        with pytest.raises(UnavailableError):
            await store.get("0-0")

        await asyncio.to_thread(server.start)
        for gap in gaps:
            await gap.wait()
        for job_id in done:
            assert await store.get_result(job_id) == Payload(job_id.encode(), "text/plain")
        told = Watch(other, Change("after", JobStatus.PENDING))
        await store.create(a_job("after"), REQUEST)
        await told.wait()


def test_a_writing_process_that_is_killed_loses_nothing_that_was_acknowledged(server: RedisServer) -> None:
    command = [sys.executable, "-c", WRITER, server.url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        written = [process.stdout.readline().strip() for _ in range(300)]
        process.kill()
        written += [line.strip() for line in process.stdout if line.endswith("\n")]

    async def read() -> None:
        async with RedisJobStore(server.url) as store:
            for job_id in written:
                assert await store.get_result(job_id) == Payload(job_id.encode(), "text/plain")
            ended = (await store.counts())["t", JobStatus.SUCCEEDED]
            assert len(written) <= ended <= len(written) + 8

    asyncio.run(read())


async def test_a_redis_that_is_away_at_the_start_can_come_later(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = RedisJobStore(server.url)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{server.port} is away"):
            await store.start()
    with server:
        async with store:
            assert (await store.create(a_job(), REQUEST)).is_new


async def test_a_silent_redis_is_away_after_the_time_limit_and_back_when_it_speaks(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    notice = Notice()
    with caplog.filtering(notice):
        async with RedisJobStore(server.url, timeout_seconds=0.5) as store:
            gap = Watch(store, Change(None))
            lease = await claimed(store)
            server.signal(signal.SIGSTOP)
            try:
                gets = [store.get(f"job-{n}") for n in range(1000)]
                async with asyncio.timeout(60):  # one after the other, they would take 500 s
                    answers = await asyncio.gather(store.finish(lease, RESULT), *gets, return_exceptions=True)
                assert all(isinstance(answer, UnavailableError) for answer in answers)
                await notice.wait("lost the subscription")
            finally:
                server.signal(signal.SIGCONT)
            await gap.wait()
            assert await store.get("job-1") is not None


async def test_a_write_whose_answer_was_lost_is_told_when_it_is_made(server: RedisServer) -> None:
    async with RedisJobStore(server.url, timeout_seconds=0.5) as store, RedisJobStore(server.url) as other:
        told = [Watch(each, Change("job-1", JobStatus.PENDING)) for each in (store, other)]
        look = Watch(store, Change("job-1"))
        await store.create(a_job("other"), REQUEST)  # now the server knows the script
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(UnavailableError):
                await store.create(a_job(), REQUEST)
            await look.wait()
        finally:
            server.signal(signal.SIGCONT)
        for watch in told:
            await watch.wait()
        assert await store.get("job-1") == a_job()


async def test_connections_that_redis_closed_while_nobody_called_are_made_again(server: RedisServer) -> None:
    async with RedisJobStore(server.url) as store:
        gap = Watch(store, Change(None))
        await asyncio.gather(*(store.create(a_job(f"job-{n}"), REQUEST) for n in range(500)))
        with server.client as raw:
            raw.client_kill_filter(_type="normal", skipme=True)
            raw.client_kill_filter(_type="pubsub")
        await gap.wait()
        for n in range(500):
            assert await store.get(f"job-{n}") is not None


async def test_a_connection_that_is_lost_costs_what_was_sent_on_it_and_no_other_call(server: RedisServer) -> None:
    async with RedisJobStore(server.url, max_connections=2) as store:
        await store.create(a_job("other"), REQUEST)  # now the server knows the script
        with server.client as raw:
            raw.execute_command("CLIENT PAUSE 60000 WRITE")
            creates = [asyncio.create_task(store.create(a_job(f"job-{n}"), REQUEST)) for n in range(1000)]

            def senders() -> list[str]:
                return [client["id"] for client in raw.client_list() if client["cmd"] == "evalsha"]

            await until(lambda: len(senders()) == 2)
            raw.client_kill_filter(_id=senders()[0])
            raw.execute_command("CLIENT UNPAUSE")
            async with asyncio.timeout(60):
                answers = await asyncio.gather(*creates, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(failure) for failure in failures} == {UnavailableError}
    assert len(failures) <= 128, "more than one batch"


async def test_a_thousand_watches_and_callers_share_a_few_connections(server: RedisServer) -> None:
    async with RedisJobStore(server.url, max_connections=2) as store:
        watches = [Watch(store, Change("job-1", JobStatus.PENDING)) for _ in range(1000)]
        await asyncio.gather(*(store.get(f"job-{n}") for n in range(1000)))
        await store.create(a_job(), REQUEST)
        await asyncio.gather(*(watch.wait() for watch in watches))
        with server.client as raw:
            clients = raw.client_list()
            assert len(raw.client_list(_type="pubsub")) == 1
        assert len(clients) <= 4  # one of them is the one that asks
    with server.client as raw:
        assert len(raw.client_list()) == 1


async def test_a_wrong_password_is_not_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path, "--requirepass", "right") as server:
        url = server.url.replace("//", "//:secret%21@")
        store = RedisJobStore(url)
        with pytest.raises(ConfigurationError, match="refuses the user or the password") as caught:
            await store.start()
        for text in (str(caught.value), repr(store), caplog.text):
            assert "secret" not in text
        with pytest.raises(ConfigurationError):
            await RedisJobStore(server.url).start()
        async with RedisJobStore(server.url.replace("//", "//:right@")) as store:
            assert (await store.create(a_job(), REQUEST)).is_new


async def test_tls_is_used_and_who_is_not_trusted_is_refused(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        missing_service("the program openssl")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    made = f"req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=127.0.0.1"
    subprocess.run(  # noqa: ASYNC221 - nothing else runs on this loop
        [openssl, *made.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    with RedisServer(tmp_path, "--tls-port", str(port), "--tls-auth-clients", "no", *files):
        async with RedisJobStore(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as store:
            await store.finish(await claimed(store), RESULT)
        with pytest.raises(ConfigurationError, match="ssl_ca_certs"):
            await RedisJobStore(f"rediss://127.0.0.1:{port}").start()


async def test_a_user_needs_no_more_rights_than_the_stores_own(server: RedisServer) -> None:
    with server.client as raw:
        raw.execute_command("ACL SETUSER reader on >secret ~* &* +@read +@connection +eval +evalsha")
        rules = "on >secret ~{mine}:* &{mine}:* -@all +@read +@write +@connection +@scripting +subscribe +publish +time"
        raw.execute_command(f"ACL SETUSER worker {rules}")
    with pytest.raises(ConfigurationError, match=r"does not let this user|can't do") as caught:
        await RedisJobStore(server.url.replace("//", "//reader:secret@")).start()
    assert "secret" not in str(caught.value)
    url = server.url.replace("//", "//worker:secret@")
    with pytest.raises(ConfigurationError):
        await RedisJobStore(url, prefix="others").start()
    async with RedisJobStore(url, prefix="mine") as store:
        await store.finish(await claimed(store), RESULT)


async def test_who_may_drop_jobs_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path, "--maxmemory-policy", "allkeys-lru") as server, caplog.at_level(logging.WARNING):
        async with RedisJobStore(server.url):
            assert "allkeys-lru" in caplog.text
