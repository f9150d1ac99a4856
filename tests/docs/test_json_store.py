"""The store of docs/stores.md, a directory of JSON files, keeps every promise of the port."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from docs_src import greet
from docs_src.json_store import JsonFilesJobStore
from lambda_kit import ConfigurationError, Job, JobStatus, ToolServer, UnavailableError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.ports.store import Lease
from lambda_kit.testing import JobStoreContract, ManualClock, TestClient
from lambda_kit.testing.store_machine import JobStoreMachine, job_store_machine_test
from tests.support.service_command import ROOT

REQUEST = Payload(b'{"name": "Ada"}', "application/json")
RESULT = Payload(b"\xff\x00", "application/octet-stream")


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, and to wait for the disk takes minutes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


# --8<-- [start:contract]
class TestJsonFilesJobStore(JobStoreContract):
    event_log_size = 50

    @pytest.fixture
    async def store(self, clock: ManualClock, tmp_path: Path) -> AsyncIterator[JsonFilesJobStore]:
        async with JsonFilesJobStore(tmp_path, clock=clock, event_log_size=50) as store:
            yield store


class JsonFilesMachine(JobStoreMachine):
    def new_store(self, clock: ManualClock) -> JsonFilesJobStore:
        self.directory = tempfile.TemporaryDirectory()
        return JsonFilesJobStore(self.directory.name, clock=clock)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


TestRandomOperations = job_store_machine_test(JsonFilesMachine)
# --8<-- [end:contract]

pytest.mark.slow(pytest.mark.timeout(300)(TestRandomOperations))


def a_job(job_id: str, **members: object) -> Job:
    return Job(**{"id": job_id, "tool": "greet", "requested_at": 0.0, **members})  # type: ignore[arg-type]


async def test_another_process_finds_all_that_was_written(tmp_path: Path) -> None:
    async with JsonFilesJobStore(tmp_path) as store:
        await store.register_sink("sink")
        for job_id in ("waits", "runs", "ended"):
            await store.create(a_job(job_id, request_digest=b"\x00\xff", assigned_worker="me"), REQUEST)
        for job_id in ("runs", "ended"):
            assert await store.claim(job_id, worker_id="me", lease_seconds=1000.0)
        await store.finish(Lease("ended", 1), RESULT)
        before = {job.id: job for job in (await store.list_jobs()).jobs}
        told = await store.undelivered("sink")
        log = await store.read_events("ended")
    async with JsonFilesJobStore(tmp_path) as store:
        assert {job.id: job for job in (await store.list_jobs()).jobs} == before
        assert [job.id for job in (await store.list_jobs()).jobs] == ["ended", "runs", "waits"]
        assert await store.get_result("ended") == RESULT
        assert await store.read_events("ended") == log
        assert await store.undelivered("sink") == told
        assert [job.id for job in await store.adopt("other", tools=["greet"])] == ["waits"]
        assert (await store.finish(Lease("runs", 1), RESULT)).status is JobStatus.SUCCEEDED


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from docs_src.json_store import JsonFilesJobStore
from lambda_kit import Job
from lambda_kit.core.model.job import Payload

async def main():
    async with JsonFilesJobStore(sys.argv[1]) as store:
        for n in range(1_000_000):
            await store.create(Job(id=str(n), tool="t", requested_at=0.0), Payload(b"{}", "application/json"))
            print(n, flush=True)

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().decode().strip() for _ in range(20)]
        process.kill()
        acknowledged += process.stdout.read().decode().split("\n")[:-1]

    async def ids() -> set[str]:
        async with JsonFilesJobStore(tmp_path) as store:
            return {job.id for job in (await store.list_jobs(limit=1000)).jobs}

    assert acknowledged[:20] == [str(n) for n in range(20)]
    assert set(acknowledged) <= asyncio.run(ids())


async def test_one_process_has_the_directory_until_it_stops(tmp_path: Path) -> None:
    first, second = JsonFilesJobStore(tmp_path), JsonFilesJobStore(tmp_path)
    await first.start()
    with pytest.raises(UnavailableError, match="can't be used now"):
        await second.start()
    with pytest.raises(UnavailableError, match="not open"):
        await second.get("job")
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "000000000001.json").write_text('{"number": 1, "job"')
    with pytest.raises(ConfigurationError, match=r"000000000001\.json is damaged: restore it"):
        await JsonFilesJobStore(tmp_path).start()


async def test_a_write_that_failed_has_changed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: object) -> None:
        raise OSError(28, "No space left on device")

    async with JsonFilesJobStore(tmp_path) as store:
        await store.create(a_job("job"), REQUEST)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", no_space)
            with pytest.raises(UnavailableError, match="No space left on device"):
                await store.claim("job", worker_id="me", lease_seconds=10.0)
        job = await store.get("job")
        assert job is not None
        assert job.status is JobStatus.PENDING
        assert await store.claim("job", worker_id="me", lease_seconds=10.0)


def test_a_service_keeps_its_jobs_there(tmp_path: Path) -> None:
    for _ in range(2):
        server = ToolServer(greet.service, tools=[greet.Greet], store=JsonFilesJobStore(tmp_path))
        assert not server.has_shared_store
        with TestClient(server) as client:
            answer = client.post("/greet", json={"name": "Ada", "count": 1}, headers={"job-id": "once"})
            assert answer.json()["greeting"] == "Hello, Ada!"
    assert [path.name for path in tmp_path.glob("*.json")] == ["000000000001.json"]
