"""Several processes on one port (``--workers N``): clients can't tell them from one, and no end of any loses a job."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit import JobStatus, SqliteJobStore
from tests.support.gate import Gate
from tests.support.redis_server import RedisServer
from tests.support.service_command import ROOT, run_to_end
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shouting_service import service_file

pytestmark = pytest.mark.timeout(120)

SECONDS = 60.0
LATER = {"Prefer": "respond-async"}
SETTINGS = "settings=JobSettings(lease_seconds=3.0, heartbeat_seconds=0.5, grace_seconds=25.0)"

_TOOLS = '''
import asyncio, signal
from lambda_kit import ExecutorOpts, JobContext, JobSettings, ToolOptions
from tests.support.gate import pass_gate, pass_gate_async

class Ask(BaseModel):
    port: int
    number: int = 0

class Guarded(LambdaTool):
    """Wait at the gate"""

    def run(self, req: Ask, ctx: JobContext) -> dict:
        with ctx.report.step("wait", "at the gate"):
            pass_gate(req.port)
        return {"number": req.number, "pid": os.getpid()}

class GuardedAsync(LambdaTool):
    """Wait at the gate, on the event loop"""

    async def run(self, req: Ask) -> dict:
        await pass_gate_async(req.port)
        return {"number": req.number, "pid": os.getpid()}

class Two(Guarded):
    """Never more than two at once"""

    options = ToolOptions(max_concurrency=2)

class Where(LambdaTool):
    """Which process this is"""

    async def run(self, req: Ask) -> int:
        return os.getpid()

class Queued(GuardedAsync):
    """One at once, wherever"""

    options = ToolOptions(max_concurrency=1)

class InProcess(LambdaTool):
    """In a process of its own"""

    options = ToolOptions(executor="process", executor_opts=ExecutorOpts(max_workers=1))

    def run(self, req: Ask) -> list[int]:
        return [os.getpid(), os.getppid()]
'''

_NAMES = "Shout, Guarded, GuardedAsync, Two, Where, Queued"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return service_file(tmp_path, body=_TOOLS, tools=_NAMES, options=SETTINGS)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store of the test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db"
    else:
        with RedisServer(tmp_path) as server:
            yield server.url


def workers(
    file: Path, count: int = 2, *args: str, store: str | None = None, exit_code: int | None = 0
) -> ServiceProcess:
    """A service of so many processes, which answers when it is entered."""
    url = store or f"sqlite:///{file.parent}/jobs.db"
    return ServiceProcess(file, ["--workers", str(count), "--store", url, *args], seconds=SECONDS, exit_code=exit_code)


# --- requests, each on a connection of its own, so that any worker may get it ---


def ask(service: ServiceProcess, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, service.url + path, timeout=SECONDS, **options)


def submit(service: ServiceProcess, path: str, gate: Gate, number: int = 0) -> str:
    """Have a job made, and return where its result will be."""
    answer = ask(service, "POST", path, json={"port": gate.port, "number": number}, headers=LATER)
    assert answer.status_code == 204, answer.text
    return str(answer.headers["location"])


def fetch(service: ServiceProcess, place: str) -> httpx.Response:
    return ask(service, "GET", place, headers={"Prefer": "wait=30"})


def fetch_while_workers_end(service: ServiceProcess, place: str) -> httpx.Response:
    """As `fetch`; the connection may come to a worker that is just ending: then ask again, as clients do."""
    try:
        return fetch(service, place)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return fetch(service, place)


def record(service: ServiceProcess, place: str) -> dict[str, Any]:
    answer: dict[str, Any] = ask(service, "GET", f"/jobs/{place.rsplit('/', 1)[1]}/status").json()
    return answer


def read_events(service: ServiceProcess, place: str) -> list[dict[str, Any]]:
    """All events of a job, until the stream is closed."""
    text = ask(service, "GET", f"/jobs/{place.rsplit('/', 1)[1]}/events").text
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]


def where(service: ServiceProcess) -> int:
    """The process that a new connection came to."""
    answer = ask(service, "POST", "/where", json={"port": 1})
    assert answer.status_code == 200, answer.text
    pid: int = answer.json()
    return pid


# --- processes ---


def children(pid: int) -> set[int]:
    """The processes that one has started and that run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@contextmanager
def watched(*pids: int) -> Iterator[Callable[[float], None]]:
    """Yields a function that waits for the end of all of them, which need not be children of this process."""
    descriptors = [os.pidfd_open(pid) for pid in pids]

    def wait(seconds: float) -> None:
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], seconds)[0], f"one of {pids} still runs"

    try:
        yield wait
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def wait_until_all_are_ready(service: ServiceProcess, count: int) -> None:
    service.wait_for_log(lambda log: log.count("ready: jobs are taken") == count, seconds=SECONDS)


# --- any worker answers ---


def test_a_job_can_be_polled_followed_and_cancelled_wherever_it_is(file: Path, gate: Gate, store: str) -> None:
    with workers(file, 3, store=store) as service, ThreadPoolExecutor(48) as pool:
        ran_in: set[int] = set()
        for _ in range(10):  # where there is nothing else to do, one worker may take all connections
            ran_in |= poll_follow_and_cancel(service, gate, pool)
            if len(ran_in) > 1:
                break
        assert len(ran_in) > 1, "one worker has run all"
    assert "Traceback" not in service.log


def poll_follow_and_cancel(service: ServiceProcess, gate: Gate, pool: ThreadPoolExecutor) -> set[int]:
    """Have jobs run, and look at them from connections that any worker may get; returns where they ran."""
    wanted = [(path, n) for n in range(12) for path in ("/guarded", "/guarded-async")]
    places = list(pool.map(lambda it: submit(service, it[0], gate, it[1]), wanted))
    held = [gate.wait_for_arrival() for _ in places]
    waits: list[Future[httpx.Response]] = [pool.submit(fetch, service, place) for place in places]
    streams = [pool.submit(read_events, service, place) for place in places]
    assert {ask(service, "GET", place, headers=LATER).status_code for place in places for _ in range(3)} == {204}
    assert {record(service, place)["status"] for place in places} == {"executing"}
    cancelled = places[:6]
    for place in cancelled:
        answer = ask(service, "DELETE", f"/jobs/{place.rsplit('/', 1)[1]}")
        assert answer.status_code in (200, 202), answer.text
    for tool in held:
        tool.release()
    answers = [wait.result(SECONDS) for wait in waits]
    assert [answer.status_code for answer in answers] == [410] * 6 + [200] * (len(places) - 6)
    assert [answer.json()["number"] for answer in answers[6:]] == [n // 2 for n in range(6, len(places))]
    for place, stream in zip(places, streams, strict=True):
        events = stream.result(SECONDS)
        assert events[-1]["data"]["status"] == ("cancelled" if place in cancelled else "succeeded")
        assert [event["SeqID"] for event in events] == [f"{n:08d}" for n in range(1, len(events) + 1)]
    return {answer.json()["pid"] for answer in answers[6:]}


def test_no_more_jobs_of_a_tool_run_at_once_than_may_in_all_processes(file: Path, gate: Gate, store: str) -> None:
    with workers(file, 3, store=store) as service:
        places = [submit(service, "/two", gate, n) for n in range(8)]
        held = [gate.wait_for_arrival(), gate.wait_for_arrival()]
        for _ in range(6):
            statuses = [record(service, place)["status"] for place in places]
            assert statuses.count("executing") <= 2
            assert gate.arrivals_without_waiting() == 0
            held.pop(0).release()
            held.append(gate.wait_for_arrival())
        for last in held:
            last.release()
        assert [fetch(service, place).json()["number"] for place in places] == list(range(8))


def test_tools_of_their_own_processes_are_run_by_each_worker(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=_TOOLS, tools="InProcess, Where", options=SETTINGS)
    with workers(file) as service:
        pids = children(service.process.pid)
        found: set[int] = set()
        while not found >= pids:
            answer = ask(service, "POST", "/in-process", json={"port": 1})
            assert answer.status_code == 200, answer.text
            pid, parent = answer.json()
            assert pid not in pids
            found.add(parent)
        assert found == pids
        everybody = pids.union(*map(children, pids))
        with watched(*everybody) as wait_for_ends:
            assert service.stop() == 0
            wait_for_ends(SECONDS)


def test_each_worker_says_whether_it_is_ready(file: Path) -> None:
    with workers(file) as service:
        wait_until_all_are_ready(service, 2)
        pids = children(service.process.pid)
        found: set[int] = set()
        while found != pids:
            found.add(where(service))
            assert ask(service, "GET", "/_healtz").status_code == 200
            assert ask(service, "GET", "/_livez").status_code == 200


# --- what is refused ---


def command(file: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_to_end(file, "--host", "127.0.0.1", *args, env={"PYTHONPATH": str(ROOT), **env})


@pytest.mark.parametrize("args", [[], ["--store", "memory://"]])
def test_a_store_in_memory_is_refused_with_a_reason(args: list[str], file: Path) -> None:
    ended = command(file, "--workers", "2", *args, "--port", str(free_port()))
    assert ended.returncode == 1
    assert "error: --workers 2: each process would have jobs of its own in its memory" in ended.stderr
    assert "sqlite:///jobs.db" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_exits_with_2(count: str, file: Path) -> None:
    ended = command(file, f"--workers={count}")
    assert ended.returncode == 2
    assert f"argument --workers: {count!r}: must be a whole number, at least 1" in ended.stderr


def test_one_worker_with_a_store_in_memory_is_a_plain_service(file: Path) -> None:
    with ServiceProcess(file, ["--workers", "1"], seconds=SECONDS) as service:
        assert where(service) == service.process.pid


def test_a_port_that_is_taken_exits_with_3(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = command(file, "--workers", "2", "--store", "sqlite:///jobs.db", "--port", port)
    assert ended.returncode == 3
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_setup_that_fails_ends_the_service_with_3_and_names_the_tool(tmp_path: Path, gate: Gate) -> None:
    body = f'''{_TOOLS}
class Broken(Shout):
    """Can't be set up"""

    def setup(self) -> None:
        pass_gate({gate.port})
        raise OSError("no model at /models/small")
'''
    file = service_file(tmp_path, body=body, tools="Broken")
    process = workers(file, exit_code=3)
    process._ready_path = "/_livez"
    with process as service:
        assert ask(service, "GET", "/_healtz").status_code == 503
        gate.wait_for_arrival()
        gate.wait_for_arrival()
        gate.release_all()
        assert service.process.wait(SECONDS) == 3
    assert "tool 'broken': setup failed: OSError: no model at /models/small" in service.log
    assert service.log.count("a worker can't be started: stopping") == 1
    assert "another is started" not in service.log
    assert "ready: " not in service.log
    assert "Traceback" not in service.log


# --- the end ---


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_after_a_signal_all_workers_run_their_jobs_and_results_are_fetched(
    signal_number: signal.Signals, file: Path, gate: Gate
) -> None:
    with workers(file, 3) as service, ThreadPoolExecutor(30) as pool:
        places = [submit(service, path, gate, n) for n in range(12) for path in ("/guarded", "/guarded-async")]
        for _ in places:
            gate.wait_for_arrival()
        wait_until_all_are_ready(service, 3)
        pids = children(service.process.pid)
        waits = [pool.submit(fetch, service, place) for place in places[::2]]
        with watched(*pids) as wait_for_ends:
            service.process.send_signal(signal_number)
            service.wait_for_log(lambda log: log.count("SIGTERM: stopping when the jobs") == 3)
            assert ask(service, "POST", "/shout", json={"text": "hi"}).status_code == 503
            assert ask(service, "GET", places[1], headers=LATER).status_code == 204
            gate.release_all()
            # at once: an end waits 5 s for results of which its worker does not know that another one gave them
            answers = pool.map(partial(fetch_while_workers_end, service), places[1::2])
            results = [answer.json()["number"] for answer in answers]
            assert results == list(range(12))
            assert [wait.result(SECONDS).json()["number"] for wait in waits] == list(range(12))
            assert service.process.wait(SECONDS) == 0
            wait_for_ends(SECONDS)
    assert "Traceback" not in service.log


def test_ctrl_c_for_all_processes_of_the_terminal_is_one_signal_for_each(file: Path, gate: Gate) -> None:
    process = workers(file)
    # a group of its own, as a shell gives to each of its commands
    process.command[:0] = [
        sys.executable,
        "-c",
        "import os, sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    with process as service:
        wait_until_all_are_ready(service, 2)
        place = submit(service, "/guarded", gate)
        with gate.holding():
            os.killpg(service.process.pid, signal.SIGINT)
            service.wait_for_log(lambda log: log.count("SIGTERM: stopping when the jobs") == 2)
            assert ask(service, "GET", place, headers=LATER).status_code == 204
        assert fetch(service, place).json()["number"] == 0
        assert service.process.wait(SECONDS) == 0
    assert "again" not in service.log


@pytest.mark.parametrize("second", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_a_second_signal_ends_all_at_once(second: signal.Signals, file: Path, gate: Gate) -> None:
    with workers(file, 2, "--grace", "600", exit_code=None) as service:
        for path in ("/guarded", "/guarded-async"):
            submit(service, path, gate)
            gate.wait_for_arrival()
        with watched(*children(service.process.pid)) as wait_for_ends:
            service.process.send_signal(signal.SIGTERM)
            service.wait_for_log("SIGTERM: the workers stop")
            assert service.stop(second) == 128 + second
            wait_for_ends(SECONDS)
    assert f"{second.name} again: ending at once" in service.log


_LONG_END = """
import threading

class Slow(Shout):
    \"\"\"Is torn down for as long as it may be\"\"\"

    def teardown(self) -> None:
        threading.Event().wait()
"""


@pytest.mark.slow
def test_the_end_of_a_worker_is_not_cut_short(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=_LONG_END, tools="Slow")
    with workers(file, 2, "--grace", "0") as service:
        wait_until_all_are_ready(service, 2)
        assert service.stop() == 0
    assert service.log.count("tool 'slow': teardown is not done") == 2
    assert "killed" not in service.log


def test_a_worker_that_can_not_end_is_killed_and_that_is_told_by_the_exit_code(tmp_path: Path, gate: Gate) -> None:
    body = f'''{_TOOLS}
class Blocking(LambdaTool):
    """Blocks the event loop"""

    async def run(self, req: Ask) -> None:
        pass_gate(req.port)
'''
    bounds = "close_seconds=0.6, leftovers_seconds=0.1, spare_seconds=0.2"
    file = service_file(tmp_path, body=body, tools="Blocking", bounds=bounds)
    with workers(file, 2, "--grace", "0", exit_code=None) as service, ThreadPoolExecutor(1) as pool:
        wait_until_all_are_ready(service, 2)
        pool.submit(ask, service, "POST", "/blocking", json={"port": gate.port})
        gate.wait_for_arrival()
        with watched(*children(service.process.pid)) as wait_for_ends:
            assert service.stop() == 128 + signal.SIGKILL
            wait_for_ends(SECONDS)
    assert "workers that have not ended in time are killed, with what they did: 1" in service.log


# --- who is killed ---


def test_another_worker_takes_the_place_and_the_jobs_of_one_that_is_killed(file: Path, gate: Gate) -> None:
    with workers(file, 2) as service:
        running = submit(service, "/queued", gate, 1)
        with gate.holding():
            waiting = [submit(service, "/queued", gate, n) for n in range(2, 8)]
            before = children(service.process.pid)
            # the process that runs it: the one that the lease names
            victim = int(_assigned_worker(file.parent / "jobs.db").split("/")[2])
            assert victim in before
            os.kill(victim, signal.SIGKILL)
            lost = fetch(service, running)
            assert (lost.status_code, lost.json()["type"]) == (500, "worker-lost")
        for _ in waiting:
            gate.wait_for_arrival().release()
        assert [fetch(service, place).json()["number"] for place in waiting] == list(range(2, 8))
        assert record(service, running)["status"] == "error"
        service.wait_for_log("a worker has ended (exit code -9): another is started")
        wait_until_all_are_ready(service, 3)
        after = children(service.process.pid)
        assert len(after) == 2
        assert victim not in after
        while where(service) not in after - before:  # the new one answers, too
            continue
    assert "Traceback" not in service.log


def _assigned_worker(path: Path) -> str:
    async def read() -> str:
        async with SqliteJobStore(path) as store:
            [job] = (await store.list_jobs(statuses=[JobStatus.EXECUTING])).jobs
            assert job.assigned_worker is not None
            return job.assigned_worker

    return asyncio.run(read())


def test_workers_whose_parent_is_killed_end_themselves(file: Path, gate: Gate) -> None:
    with workers(file, 2, exit_code=None) as service:
        wait_until_all_are_ready(service, 2)
        place = submit(service, "/guarded", gate)
        with watched(*children(service.process.pid)) as wait_for_ends:
            with gate.holding():
                service.process.kill()
                service.wait_for_log(lambda log: log.count("the process that had started this worker is gone") == 2)
            assert fetch(service, place).json()["number"] == 0  # what was accepted is run all the same
            wait_for_ends(SECONDS)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", service.port))


def test_who_was_told_that_the_service_is_ready_meets_no_worker_that_is_not(tmp_path: Path, gate: Gate) -> None:
    body = f'''{_TOOLS}
class Slow(Shout):
    """Ready when the gate opens"""

    def setup(self) -> None:
        pass_gate({gate.port})
'''
    process = workers(service_file(tmp_path, body=body, tools="Slow, Where", options=SETTINGS))
    process._ready_path = "/_livez"
    with process as service:
        held = [gate.wait_for_arrival(), gate.wait_for_arrival()]
        assert ask(service, "GET", "/_healtz").status_code == 503
        for one in held:
            one.release()
        wait_until_all_are_ready(service, 2)
        pids = children(service.process.pid)
        victim = where(service)
        os.kill(victim, signal.SIGKILL)
        with gate.holding():  # the next one is being set up
            assert {where(service) for _ in range(20)} == pids - {victim}
            assert ask(service, "GET", "/_healtz").status_code == 200
        wait_until_all_are_ready(service, 3)


# --- how it is started ---


def test_a_module_of_a_package_can_be_served(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    service_file(package, body=_TOOLS, tools="Where", options=SETTINGS)
    process = workers(package / "my_service.py")
    process.command[1:2] = ["-m", "pkg.my_service"]
    process._env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    with process as service:
        assert where(service) in children(service.process.pid)


def test_any_free_port_is_one_for_all(file: Path) -> None:
    process = workers(file)
    process.command[process.command.index("--port") + 1] = "0"
    started = subprocess.Popen(process.command, env=process._env, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stderr is not None
        line = next(line for line in started.stderr if "http://127.0.0.1:" in line)
        process.url = "http://127.0.0.1:" + line.split("http://127.0.0.1:")[1].split()[0].rstrip("/")
        ready = 0
        while ready < 2:
            ready += "ready: " in next(started.stderr)
        pids = children(started.pid)
        found: set[int] = set()
        while found != pids:
            found.add(where(process))
    finally:
        started.terminate()
        _, rest = started.communicate(timeout=SECONDS)
    assert started.returncode == 0, rest
