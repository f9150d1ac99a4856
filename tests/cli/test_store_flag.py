"""``--store URL`` and ``$LAMBDA_KIT_STORE``: which store is taken, what is said of one that can't be, and no password.

Then a store that is away when the service starts, or later.
"""

import contextlib
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.service_command import ROOT, run_to_end
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shouting_service import service_file
from tests.wire.answers import eventually

pytestmark = pytest.mark.timeout(120)

SECONDS = 60.0
QUOTED = "open%2Fsesame%401"
WRONG, WRONG_QUOTED = "not/the@one", "not%2Fthe%40one"
LATER = {"Prefer": "respond-async"}

_TOOLS = '''
from lambda_kit import JobContext, JobSettings
from tests.support.gate import pass_gate

class Ask(BaseModel):
    port: int

class Guarded(LambdaTool):
    """Wait at the gate, twice"""

    def run(self, req: Ask, ctx: JobContext) -> str:
        for n in range(2):
            ctx.progress(n, 2)
            pass_gate(req.port)
        return "done"
'''


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


def a_file(folder: Path, *, store: str | None = None, **settings: float) -> Path:
    """A service file, whose server is made with a store and these settings."""
    values = ", ".join(f"{name}={value}" for name, value in settings.items())
    options = f"settings=JobSettings({values})" + ("" if store is None else f", store={store!r}")
    return service_file(folder, body=_TOOLS, tools="Shout, Guarded", options=options)


def jobs_in(path: Path) -> int:
    """How many jobs are in an SQLite file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
    return count


# --- which ---


@pytest.mark.parametrize(
    ("flag", "constructor", "variable", "expected"),
    [
        ("flag", "constructor", "variable", "flag"),
        (None, "constructor", "variable", "constructor"),
        (None, None, "variable", "variable"),
        ("flag", None, None, "flag"),
        (None, None, None, None),
    ],
)
def test_the_flag_wins_over_the_constructor_and_that_over_the_environment(
    flag: str | None, constructor: str | None, variable: str | None, expected: str | None, tmp_path: Path
) -> None:
    def url(name: str) -> str:
        return f"sqlite:///{tmp_path}/{name}.db"

    file = a_file(tmp_path, store=constructor and url(constructor))
    args = [] if flag is None else ["--store", url(flag)]
    with ServiceProcess(file, args, env={"LAMBDA_KIT_STORE": url(variable) if variable else ""}) as service:
        assert httpx.post(f"{service.url}/shout", json={"text": "hi"}).text == "HI"
    assert {path.stem: jobs_in(path) for path in tmp_path.glob("*.db")} == ({expected: 1} if expected else {})


def test_jobs_are_there_after_a_restart(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    args = ["--store", f"sqlite:///{tmp_path}/jobs.db"]
    with ServiceProcess(file, args) as service:
        assert httpx.post(f"{service.url}/shout", json={"text": "hi"}, headers={"job-id": "one"}).text == "HI"
    with ServiceProcess(file, args) as service:
        assert httpx.get(f"{service.url}/jobs/one").text == "HI"


# --- what it can't take ---


def run(file: Path, *args: str, by_new_interpreter: bool = False, **env: str) -> tuple[int, str]:
    """Run a service that ends by itself; returns the exit code, and all that it has written."""
    ended = run_to_end(
        file,
        *("--host", "127.0.0.1", "--port", str(free_port()), *args),
        env={"PYTHONPATH": str(ROOT), **env},
        cwd=file.parent,
        by_new_interpreter=by_new_interpreter,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{QUOTED}@host/db",
        f"sqlite://user:{QUOTED}@host/jobs.db",
        f"sqlite:///jobs.db?password={QUOTED}",
        f"redis://user:{PASSWORD}@host:port/0",
        f"redis://user:{QUOTED}@host/0?no_such_option={QUOTED}",
        f"user:{PASSWORD}://host",
        QUOTED,
    ],
)
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_url_that_is_wrong_exits_with_1_and_a_reason_without_the_password(
    url: str, workers: list[str], tmp_path: Path
) -> None:
    code, text = run(a_file(tmp_path), "--store", url, *workers)
    assert code == 1
    assert "error: " in text
    assert "Traceback" not in text
    assert PASSWORD not in text
    assert QUOTED not in text


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [("redis", "redis://127.0.0.1", "redis"), ("asyncpg", "postgresql://127.0.0.1/test", "postgres")],
)
def test_a_driver_that_is_missing_exits_with_1_and_the_command_that_installs_it(
    module: str, url: str, extra: str, tmp_path: Path
) -> None:
    file = a_file(tmp_path)
    file.write_text(f"import sys\nsys.modules[{module!r}] = None\n" + file.read_text())
    code, text = run(file, "--store", url)
    assert code == 1
    assert f"pip install 'lambda-kit[{extra}]'" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("url", ["jobs.db", "mysql://127.0.0.1/jobs", "sqlite://"])
def test_a_variable_that_names_no_store_is_told_when_the_store_is_needed(url: str, tmp_path: Path) -> None:
    file = a_file(tmp_path)
    code, text = run(file, LAMBDA_KIT_STORE=url)
    assert code == 1
    assert "$LAMBDA_KIT_STORE: " in text
    assert "sqlite:///jobs.db" in text
    assert "Traceback" not in text
    code, text = run(file, "--list-services", LAMBDA_KIT_STORE=url)
    assert (code, text.split()) == (0, ["shout", "guarded"])
    with ServiceProcess(file, ["--store", "memory://"], env={"LAMBDA_KIT_STORE": url}) as service:
        service.assert_alive()


@pytest.mark.parametrize("user", ["", "user"])
@pytest.mark.parametrize("form", ["redis://{}@127.0.0.1:{}/0", "postgresql://{}@127.0.0.1:{}/db?sslmode=require"])
def test_the_password_of_a_store_that_is_not_there_is_not_shown(form: str, user: str, tmp_path: Path) -> None:
    url = form.format(f"{user}:{QUOTED}", free_port())
    code, text = run(a_file(tmp_path, store_wait_seconds=0.3), LAMBDA_KIT_STORE=url, LOG_LEVEL="DEBUG")
    assert code == 3
    assert "the store can't be reached, for 0.3 s now" in text
    assert "127.0.0.1" in text
    assert "Traceback" not in text
    assert PASSWORD not in text
    assert QUOTED not in text
    code, text = run(a_file(tmp_path), "--help", LAMBDA_KIT_STORE=url)
    assert code == 0
    assert QUOTED not in text


def test_a_wrong_password_of_redis_is_refused_and_not_shown(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", PASSWORD) as server:
        url = server.url.replace("redis://", f"redis://:{WRONG_QUOTED}@")
        _assert_refused(a_file(tmp_path), url)
        right = server.url.replace("redis://", f"redis://:{QUOTED}@")
        _assert_it_is_not_shown(a_file(tmp_path), right)


def test_a_wrong_password_of_postgres_is_refused_and_not_shown(tmp_path: Path) -> None:
    with PostgresServer() as server:
        _assert_refused(a_file(tmp_path), server.url.replace(QUOTED, WRONG_QUOTED))
        _assert_it_is_not_shown(a_file(tmp_path), server.url)


def _assert_refused(file: Path, url: str) -> None:
    code, text = run(file, "--store", url)
    assert code == 3  # it can't be known before the store is opened
    assert "password" in text
    assert "Traceback" not in text
    for secret in (WRONG, WRONG_QUOTED, PASSWORD, QUOTED):
        assert secret not in text


def _assert_it_is_not_shown(file: Path, url: str) -> None:
    with ServiceProcess(file, ["--store", url, "--job-list", "--debug"], env={"LOG_LEVEL": "DEBUG"}) as service:
        answers = [
            httpx.post(f"{service.url}/shout", json={"text": "hi"}, headers={"job-id": "one"}),
            httpx.post(f"{service.url}/shout", json={"text": 7}),
            *(
                httpx.get(service.url + path)
                for path in ("/metrics", "/_healtz", "/jobs", "/jobs/one", "/jobs/two", "/jobs/one/status", "/shout")
            ),
        ]
        assert answers[0].text == "HI"
    for text in (service.log, *(answer.text for answer in answers)):
        assert PASSWORD not in text
        assert QUOTED not in text


@pytest.mark.parametrize("scheme", ["rediss", "postgresql"])
def test_tls_that_is_asked_for_is_tried(scheme: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        port = listener.getsockname()[1]
        url = (
            f"rediss://127.0.0.1:{port}/0"
            if scheme == "rediss"
            else f"postgresql://u@127.0.0.1:{port}/d?sslmode=require"
        )

        def first_bytes() -> bytes:
            listener.settimeout(SECONDS)
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(SECONDS)
                return sock.recv(8)

        asked = pool.submit(first_bytes)
        code, text = run(a_file(tmp_path, store_wait_seconds=0.5), "--store", url)
        # a TLS handshake, and PostgreSQL's request for one
        assert asked.result(SECONDS)[:8].startswith(
            b"\x16\x03" if scheme == "rediss" else b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        )
    assert code == 3, text


# --- away at the start ---


@contextlib.contextmanager
def a_server(kind: str, folder: Path) -> Iterator[RedisServer | PostgresServer]:
    """One that does not run."""
    if kind == "redis":
        server = RedisServer(folder)
        try:
            yield server
        finally:
            server.kill()
    else:
        with PostgresServer() as cluster:
            cluster.kill()
            yield cluster


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_service_waits_for_a_store_that_is_away_at_its_start(kind: str, tmp_path: Path) -> None:
    with a_server(kind, tmp_path) as server:
        with ServiceProcess(
            a_file(tmp_path), ["--store", server.url], ready_path="/_livez", seconds=SECONDS
        ) as service:
            service.wait_for_log("the store is away")
            service.assert_alive()
            health = eventually(
                lambda: httpx.get(f"{service.url}/_healtz"), lambda answer: "waits for its store" in answer.text
            )
            refused = httpx.post(f"{service.url}/shout", json={"text": "hi"})
            for answer in (health, refused):
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert QUOTED not in answer.text
            server.start()
            service.wait_for_log("ready: jobs are taken", seconds=SECONDS)
            assert httpx.get(f"{service.url}/_healtz").status_code == 200
            assert httpx.post(f"{service.url}/shout", json={"text": "hi"}).text == "HI"
        assert "Traceback" not in service.log


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_store_that_stays_away_ends_the_start_with_3(workers: list[str], tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    file = a_file(tmp_path, store_wait_seconds=0.5)
    code, text = run(file, "--store", url, *workers, by_new_interpreter=bool(workers))
    assert code == 3
    assert "the store can't be reached, for 0.5 s now" in text
    assert "JobSettings.store_wait_seconds" in text
    assert "Traceback" not in text


def test_a_service_that_waits_for_its_store_can_be_ended(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with ServiceProcess(a_file(tmp_path), ["--store", url], ready_path="/_livez", seconds=SECONDS) as service:
        service.wait_for_log("the store is away")
    assert "Traceback" not in service.log


# --- away later ---


class Stream:
    """Reads the events of a job on a thread, until the service closes the stream."""

    def __init__(self, url: str, pool: ThreadPoolExecutor) -> None:
        self._has_begun, self._is_away = threading.Event(), threading.Event()
        self._events = pool.submit(self._read, url)

    def _read(self, url: str) -> list[dict[str, Any]]:
        events = []
        with httpx.stream("GET", url, timeout=SECONDS) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    events.append(json.loads(line[5:]))
                    self._has_begun.set()
                elif line == ": the job store is away":
                    self._is_away.set()
        return events

    def wait_for_begin(self) -> None:
        """Wait for the first event."""
        assert self._has_begun.wait(SECONDS)

    def wait_until_away(self) -> None:
        """Wait until it says that the store is away."""
        assert self._is_away.wait(SECONDS)

    def result(self) -> list[dict[str, Any]]:
        """The events."""
        return self._events.result(SECONDS)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_while_its_store_is_away_a_service_lives_and_what_runs_is_kept(kind: str, gate: Gate, tmp_path: Path) -> None:
    with a_server(kind, tmp_path) as server, ThreadPoolExecutor(2) as pool:
        server.start()
        file = a_file(tmp_path, lease_seconds=60.0, heartbeat_seconds=1.0)
        with ServiceProcess(file, ["--store", server.url], seconds=SECONDS) as service:
            headers = {**LATER, "job-id": "one"}
            assert httpx.post(f"{service.url}/guarded", json={"port": gate.port}, headers=headers).status_code == 204
            first = gate.wait_for_arrival()
            stream = Stream(f"{service.url}/jobs/one/events", pool)
            stream.wait_for_begin()
            server.kill()
            refused = httpx.post(f"{service.url}/shout", json={"text": "hi"}, timeout=SECONDS)
            unknown = httpx.get(f"{service.url}/jobs/one", timeout=SECONDS)
            for answer in (refused, unknown):
                assert answer.status_code == 503, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) >= 1
                assert QUOTED not in answer.text
            service.assert_alive()
            first.release()
            gate.wait_for_arrival().release()  # it goes on to its end
            service.wait_for_log("job one: its events: the store is away", seconds=SECONDS)
            if kind == "redis":  # with PostgreSQL the stream need not even notice
                stream.wait_until_away()
            server.start()
            ended = eventually(
                lambda: httpx.get(f"{service.url}/jobs/one", headers={"Prefer": "wait=5"}, timeout=SECONDS),
                lambda answer: answer.status_code not in (503, 204),
            )
            assert (ended.status_code, ended.text) == (200, "done")
            events = stream.result()
            assert [int(event["SeqID"]) for event in events] == list(range(1, len(events) + 1))
            assert [event["data"].get("status") for event in events][-1] == "succeeded"
            assert httpx.post(f"{service.url}/shout", json={"text": "hi"}, timeout=SECONDS).text == "HI"
    assert "Traceback" not in service.log
    assert QUOTED not in service.log
