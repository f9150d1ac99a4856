"""Uploads where processes die, start again, or share a store; nothing of them is left behind."""

import contextlib
import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.raw_http import ask
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, eventually, new_id
from tests.wire.uploads import left_in, upload_service

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

SECONDS = 60
LARGE = bytes(range(256)) * 80_000
"""20 MB."""
DIGEST = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def running(file: Path, temporary: Path, *, exit_code: int | None = 0) -> Iterator[tuple[ServiceProcess, httpx.Client]]:
    with (
        ServiceProcess(file, env={"TMPDIR": str(temporary)}, seconds=SECONDS, exit_code=exit_code) as service,
        httpx.Client(base_url=service.url, timeout=SECONDS, headers={"Prefer": "wait=60"}) as client,
    ):
        yield service, client


@contextlib.contextmanager
def a_store(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"'sqlite:///{folder}/jobs.db'"
    elif kind == "redis":
        with new_prefix() as prefix:
            yield f"RedisJobStore({REDIS_URL!r}, prefix={prefix!r})"
    else:
        with new_schema() as schema:
            yield f"PostgresJobStore({POSTGRES_URL!r}, schema={schema!r})"


@pytest.mark.parametrize(
    "kind", ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("redis", "postgres"))]
)
def test_a_large_file_goes_through_every_store_and_to_worker_processes(
    kind: str, tmp_path: Path, temporary: Path
) -> None:
    with (
        a_store(kind, tmp_path) as store,
        running(upload_service(tmp_path, store=store, tools="Look, LookFar, TakeFar"), temporary) as (_, client),
    ):
        headers = {"job-id": new_id()}
        files = [("file", ("a.bin", LARGE, "x/y")), ("more", ("b.txt", b"small", "text/plain"))]
        for path in ("/look", "/look-far"):
            seen = client.post(path, files=files, headers={"job-id": headers["job-id"] + path.replace("/", ".")})
            assert (seen.json()["file"]["sha256"], seen.json()["file"]["suffix"]) == (DIGEST, ".bin"), seen.text
            assert (seen.json()["more"][0]["size"], seen.json()["more"][0]["suffix"]) == (5, ".txt")
        in_json = client.post("/look-far", json={"file": {"filename": "c.csv", "content": "aGk="}}).json()
        assert (in_json["file"]["name"], in_json["file"]["suffix"], in_json["file"]["size"]) == ("c.csv", ".csv", 2)
        named = {"Content-Type": "x/y; z=1", "Content-Disposition": 'attachment; filename="d.bin"'}
        assert client.post("/take-far", content=LARGE[:100], headers=named).text == "x/y; z=1 d.bin 100"
    assert left_in(temporary) == []


def test_a_job_that_waits_has_its_file_after_a_restart(tmp_path: Path, temporary: Path) -> None:
    file = upload_service(tmp_path, store=f"'sqlite:///{tmp_path}/jobs.db'", tools="Hold, Look, LookFar")
    sent = {"file": ("a.bin", LARGE, "x/y")}
    later = {"Prefer": "respond-async"}
    with running(file, temporary, exit_code=None) as (service, client):
        first = client.post("/hold", files=sent, headers=later)
        waiting = client.post("/hold", files=sent, headers=later)
        assert (first.status_code, waiting.status_code) == (204, 204)
        assert len(left_in(temporary)) == 2
        service.stop(signal.SIGKILL)
    assert len(left_in(temporary)) == 2
    with running(file, temporary) as (_, client):
        assert left_in(temporary) == []  # what the killed process had
        url = waiting.headers["location"]
        status = f"/jobs/{waiting.headers['job-id']}/status"
        eventually(lambda: client.get(status), lambda answer: answer.json()["status"] == "executing")
        client.delete(f"/jobs/{waiting.headers['job-id']}")
        eventually(lambda: client.get(url, headers=later), lambda answer: answer.status_code == 410)
        # the same form again attaches to the job that a process before has made
        again = client.post("/hold", files=sent, headers={"job-id": waiting.headers["job-id"]})
        assert again.status_code == 410
    assert left_in(temporary) == []


def test_nothing_is_left_of_a_worker_process_that_is_killed(tmp_path: Path, temporary: Path) -> None:
    with running(upload_service(tmp_path, tools="Die"), temporary) as (_, client):
        files = [("file", ("a.bin", LARGE, "x/y")), ("more", ("b.txt", b"small", "text/plain"))]
        assert_problem(client.post("/die", files=files), 500, job=True)
        eventually(lambda: client.get("/_livez"), lambda _: left_in(temporary) == [])
    assert left_in(temporary) == []


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, temporary: Path) -> None:
    file = upload_service(tmp_path, tools="Look")
    # as if the disk were full behind the second megabyte of each file
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
    file.write_text(limit + file.read_text("utf-8"), "utf-8")
    with running(file, temporary) as (service, client):
        refused = client.post("/look", files={"file": ("a.bin", LARGE, "x/y")})
        assert "no room" in assert_problem(refused, 503)["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        service.wait_for_log("an upload could not be written")
        assert left_in(temporary) == []
        assert client.post("/look", files={"file": ("a.bin", LARGE[:1_500_000], "x/y")}).status_code == 200
    assert left_in(temporary) == []


def test_an_upload_does_not_go_on_when_the_service_stops(tmp_path: Path, temporary: Path) -> None:
    head = b"POST /look HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    with running(upload_service(tmp_path, tools="Hold, Look"), temporary) as (service, client):
        held = client.post("/hold", files={"file": ("a", b"1")}, headers={"Prefer": "respond-async"})

        def upload() -> Iterator[bytes]:
            yield head + f"Content-Length: {2 * len(LARGE)}\r\n\r\n".encode() + part + LARGE[:3_000_000]
            eventually(lambda: client.get("/_livez"), lambda _: len(left_in(temporary)) == 2)
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda: client.get("/_healtz"), lambda answer: answer.status_code == 503)
            for start in range(3_000_000, len(LARGE), 1_000_000):
                yield LARGE[start : start + 1_000_000]

        answer = ask(service.port, upload())
        assert (answer.status, int(answer.headers["retry-after"]) >= 1) == (503, True)
        client.delete(f"/jobs/{held.headers['job-id']}")
        assert service.process.wait(SECONDS) == 0
    assert left_in(temporary) == []
