"""After a signal: the jobs that were accepted are run, and all that clients need to get their results is answered."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_command import run_to_end
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

SECONDS = 60.0
LATER = {"Prefer": "respond-async"}
PATIENT = ["--grace", "600"]

_TOOLS = '''
import asyncio
from lambda_kit import ExecutorOpts, ToolOptions
from tests.support.gate import pass_gate, pass_gate_async

class Job(BaseModel):
    port: int
    number: int = 0

class Guarded(LambdaTool):
    """Wait at the gate"""

    def run(self, req: Job) -> int:
        pass_gate(req.port)
        return req.number

class GuardedAsync(LambdaTool):
    """Wait at the gate, on the event loop"""

    async def run(self, req: Job) -> int:
        try:
            await pass_gate_async(req.port)
        except asyncio.CancelledError:
            print("the tool is cancelled", flush=True)
            raise
        return req.number

class OneByOne(Guarded):
    """Wait at the gate, one job after the other"""

    options = ToolOptions(executor_opts=ExecutorOpts(max_workers=1))

class Deaf(LambdaTool):
    """Wait for something that nobody can end, in asyncio's own thread pool"""

    async def run(self, req: Job) -> int:
        await asyncio.gather(asyncio.to_thread(pass_gate, req.port), self.ignore())
        return req.number

    async def ignore(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    def teardown(self) -> None:
        print("torn down", flush=True)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tools = "Guarded, GuardedAsync, OneByOne, Deaf"
    return service_file(tmp_path, body=_TOOLS, tools=tools, bounds="leftovers_seconds=0.5")


@pytest.fixture
def patient_file(file: Path) -> Path:
    """The same, but it stays for minutes, not for 5 s, where results are left: no test has to be quick."""
    linger = "from lambda_kit.core.jobs.settings import Pauses\nserver._engine._pauses = Pauses(linger_seconds=600.0)"
    file.write_text(file.read_text().replace("\nif __name__", f"\n{linger}\n\nif __name__"))
    return file


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


# one client, since making one takes longer than a fetch
FETCHER = httpx.Client(limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))


def submit(service: ServiceProcess, path: str, gate: Gate, number: int = 0) -> str:
    """Have a job made, and return where its result will be."""
    answer = httpx.post(service.url + path, json={"port": gate.port, "number": number}, headers=LATER, timeout=SECONDS)
    assert answer.status_code == 204, answer.text
    return service.url + str(answer.headers["location"])


def fetch(url: str) -> httpx.Response:
    """Wait for a job's result, over a connection of its own."""
    return FETCHER.get(url, headers={"Prefer": "wait=30"}, timeout=SECONDS)


def begin_end(service: ServiceProcess, signal_number: signal.Signals = signal.SIGTERM) -> None:
    service.process.send_signal(signal_number)
    service.wait_for_log(signal_number.name)


@contextmanager
def following(service: ServiceProcess, location: str) -> Iterator[Future[list[dict[str, Any]]]]:
    """A client that reads a job's events, from before the block until the service closes the stream."""
    url = f"{service.url}/jobs/{location.rsplit('/', 1)[1]}/events"
    with httpx.Client(timeout=SECONDS) as client, client.stream("GET", url) as stream, ThreadPoolExecutor(1) as pool:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))  # it is open before the signal comes

        def read_rest() -> list[dict[str, Any]]:
            return [json.loads(line[5:]) for line in (first, *lines) if line.startswith("data:")]

        yield pool.submit(read_rest)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_results_of_all_running_jobs_are_fetched_after_the_signal(
    signal_number: signal.Signals, patient_file: Path, gate: Gate
) -> None:
    with ServiceProcess(patient_file, PATIENT, seconds=SECONDS) as service, ThreadPoolExecutor(10) as clients:
        asked = [("/guarded-async", number) for number in range(50)] + [("/guarded", number) for number in range(20)]
        urls = list(clients.map(lambda job: submit(service, job[0], gate, job[1]), asked))
        for _ in asked:
            gate.wait_for_arrival()
        with following(service, urls[0]) as events:
            begin_end(service, signal_number)

            not_ready = httpx.get(f"{service.url}/_healtz")
            refused = httpx.post(f"{service.url}/guarded", json={"port": 1})
            assert (not_ready.status_code, refused.status_code) == (503, 503)
            assert int(refused.headers["retry-after"]) >= 1
            service.assert_alive()
            assert httpx.get(urls[0], headers=LATER).status_code == 204
            assert httpx.get(f"{service.url}/jobs/{urls[0].rsplit('/', 1)[1]}/status").json()["status"] == "executing"

            gate.release_all()
            results = list(clients.map(fetch, urls))
            assert events.result(SECONDS)[-1]["data"]["status"] == "succeeded"
        assert [(result.status_code, result.json()) for result in results] == [(200, number) for _, number in asked]
        assert service.process.wait(SECONDS) == 0
    assert "Traceback" not in service.log


def test_jobs_that_wait_in_the_queue_are_run_after_the_signal(patient_file: Path, gate: Gate) -> None:
    with ServiceProcess(patient_file, PATIENT, seconds=SECONDS) as service:
        urls = [submit(service, "/one-by-one", gate, number) for number in range(3)]
        first = gate.wait_for_arrival()
        begin_end(service)
        first.release()
        for _ in range(2):
            gate.wait_for_arrival().release()
        assert [fetch(url).json() for url in urls] == [0, 1, 2]
        assert service.process.wait(SECONDS) == 0


def test_a_service_without_jobs_ends_though_connections_are_open(file: Path) -> None:
    with ServiceProcess(file, seconds=SECONDS) as service, httpx.Client() as idle:
        assert idle.get(f"{service.url}/_livez").status_code == 200
        assert service.stop() == 0
        assert "Cancel" not in service.log


def test_a_service_ends_though_nobody_fetches_the_results(file: Path, gate: Gate) -> None:
    with ServiceProcess(file, ["--grace", "20"], seconds=SECONDS) as service:
        submit(service, "/guarded", gate)
        with gate.holding():
            begin_end(service)
        assert service.process.wait(SECONDS) == 0
    assert "are cancelled" not in service.log


def test_a_service_ends_when_the_last_result_is_fetched(patient_file: Path, gate: Gate) -> None:
    with ServiceProcess(patient_file, PATIENT, seconds=SECONDS) as service:
        urls = [submit(service, path, gate) for path in ("/guarded", "/guarded-async")]
        gate.wait_for_arrival()
        gate.wait_for_arrival()
        begin_end(service)
        gate.release_all()
        assert [fetch(url).status_code for url in urls] == [200, 200]
        assert service.process.wait(SECONDS) == 0


def test_what_runs_when_the_grace_is_over_is_cancelled(file: Path, gate: Gate) -> None:
    with ServiceProcess(file, ["--grace", "0.5"], seconds=SECONDS) as service:
        submit(service, "/guarded-async", gate)
        submit(service, "/guarded", gate)
        gate.wait_for_arrival()
        gate.wait_for_arrival()
        begin_end(service)
        assert service.process.wait(SECONDS) == 0
    assert "the tool is cancelled" in service.log
    assert "Traceback" not in service.log


def test_what_nobody_can_end_does_not_keep_the_process(file: Path, gate: Gate) -> None:
    with ServiceProcess(file, ["--grace", "0"], seconds=SECONDS) as service:
        submit(service, "/deaf", gate)
        gate.wait_for_arrival()
        assert service.stop() == 0
        assert "torn down" in service.log


@pytest.mark.parametrize(
    ("path", "second"),
    [
        ("/guarded", signal.SIGTERM),
        ("/guarded-async", signal.SIGINT),
        pytest.param("/guarded", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("/guarded-async", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_second_signal_ends_the_process_at_once(path: str, second: signal.Signals, file: Path, gate: Gate) -> None:
    with ServiceProcess(file, ["--grace", "600"], seconds=SECONDS, exit_code=None) as service:
        submit(service, path, gate)
        gate.wait_for_arrival()
        begin_end(service)
        assert service.stop(second) == 128 + second
    assert f"{second.name} again" in service.log


def test_the_limit_of_requests_ends_a_service_as_a_signal_does(tmp_path: Path, gate: Gate) -> None:
    arguments = 'run_opts={"limit_max_requests": 10}'
    with ServiceProcess(service_file(tmp_path, body=_TOOLS, tools="Guarded", arguments=arguments)) as service:
        url = submit(service, "/guarded", gate, 7)
        with gate.holding():
            while httpx.get(f"{service.url}/_healtz").status_code == 200:
                continue
        assert fetch(url).json() == 7
        assert service.process.wait(SECONDS) == 0


def test_a_service_can_be_served_from_another_thread(tmp_path: Path) -> None:
    file = service_file(tmp_path)
    on_a_thread = "import threading; thread = threading.Thread(target=server.serve); thread.start(); thread.join()"
    file.write_text(file.read_text().replace("server.serve()", on_a_thread))
    with ServiceProcess(file, exit_code=-signal.SIGTERM) as service:  # signals stay with the main thread
        assert httpx.post(f"{service.url}/shout", json={"text": "hi"}).text == "HI"


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan", "inf"])
def test_a_grace_that_is_no_time_exits_with_2(seconds: str, file: Path) -> None:
    ended = run_to_end(file, f"--grace={seconds}", env={"PYTHONPATH": str(Path(__file__).parents[2])})
    assert ended.returncode == 2
    assert f"argument --grace: {seconds!r}: must be a number of seconds, at least 0" in ended.stderr
