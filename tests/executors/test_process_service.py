"""Worker processes of a real service, seen from outside."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest

from tests.executors.processes import children_of, is_alive
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

SECONDS = 50.0

_SERVICE = '''
import ctypes, os, threading
from pydantic import BaseModel
from lambda_kit import ExecutorOpts, LambdaTool, ProcessExecutor, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate

class Job(BaseModel):
    port: int = 0

class Where(LambdaTool):
    """Pass the gate, and say in which process"""

    options = ToolOptions(max_wait_time=50)

    def run(self, req: Job) -> int:
        print("worker", os.getpid(), flush=True)
        if req.port:
            pass_gate(req.port)
        return os.getpid()

class Lingers(Where):
    """Leaves a thread behind that keeps its process from ending"""

    def run(self, req: Job) -> int:
        threading.Thread(target=threading.Event().wait).start()
        return os.getpid()

class Holds(Where):
    """Keep the interpreter's lock for a minute, as a library may"""

    def run(self, req: Job) -> int:
        print("holding", flush=True)
        return ctypes.PyDLL(None).sleep(60)

service = Service(name="Workers", contact={"name": "A", "email": "a@example.com"})
server = ToolServer(service, [Where, Lingers, Holds], executor=ProcessExecutor(WORKERS, name="workers"))

if __name__ == "__main__":
    server.serve()
'''


def _service(folder: Path, workers: int, **options: object) -> ServiceProcess:
    file = folder / "my_service.py"
    file.write_text(_SERVICE.replace("WORKERS", str(workers)), "utf-8")
    return ServiceProcess(file, ready_path="/_healtz", seconds=SECONDS, **options)  # type: ignore[arg-type]


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


def _post(service: ServiceProcess, port: int = 0, tool: str = "where") -> httpx.Response:
    return httpx.post(f"{service.url}/{tool}", json={"port": port}, timeout=SECONDS)


def _wait_until_gone(pids: set[int]) -> None:
    end = time.monotonic() + SECONDS
    while any(map(is_alive, pids)):
        assert time.monotonic() < end, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        os.sched_yield()


@pytest.mark.timeout(120)
def test_kill_9_of_one_of_eight_workers_costs_one_job_of_eight(tmp_path: Path, gate: Gate) -> None:
    with _service(tmp_path, 8) as service, ThreadPoolExecutor(9) as clients:
        workers = children_of(service.process.pid)
        assert len(workers) == 8
        calls = [clients.submit(_post, service, gate.port) for _ in range(8)]
        for _ in calls:
            gate.wait_for_arrival()
        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        (lost,) = wait(calls, timeout=SECONDS, return_when=FIRST_COMPLETED).done
        assert lost.result().status_code == 500
        assert "was killed by SIGKILL (signal 9)" in service.wait_for_log("worker lost")
        gate.release_all()
        answers = [call.result() for call in calls if call is not lost]
        assert {answer.json() for answer in answers} == workers - {victim}
        calls = [clients.submit(_post, service, gate.port) for _ in range(8)]
        for _ in calls:  # so there are eight again
            gate.wait_for_arrival()
        gate.release_all()
        again = {call.result().json() for call in calls}
        assert len(again) == 8
        assert victim not in again
    _wait_until_gone(again)


def test_kill_9_of_the_server_leaves_no_worker(tmp_path: Path, gate: Gate) -> None:
    with _service(tmp_path, 3, exit_code=None) as service, ThreadPoolExecutor(2) as clients:
        calls = [clients.submit(_post, service, gate.port), clients.submit(_post, service, tool="holds")]
        gate.wait_for_arrival()
        service.wait_for_log("holding")
        workers = children_of(service.process.pid)
        assert len(workers) == 3  # one of them is idle
        service.process.kill()
        _wait_until_gone(workers)
        assert all(isinstance(call.exception(), httpx.TransportError) for call in calls)


@pytest.mark.parametrize("everywhere", [False, True], ids=["to its group", "to each process"])
def test_a_sigterm_for_all_lets_the_jobs_end(tmp_path: Path, gate: Gate, everywhere: bool) -> None:
    """As by Ctrl-C in a terminal, or by a service manager that signals whatever belongs to a service."""
    with _service(tmp_path, 2) as service, ThreadPoolExecutor(1) as clients:
        call = clients.submit(_post, service, gate.port)
        gate.wait_for_arrival()
        workers = children_of(service.process.pid)
        for pid in [*workers, service.process.pid] if everywhere else [service.process.pid]:
            os.kill(pid, signal.SIGTERM)
        if not everywhere:
            assert not {os.getpgid(pid) for pid in workers} & {os.getpgid(service.process.pid)}
        service.wait_for_log("SIGTERM: stopping")
        assert all(map(is_alive, workers))
        gate.release_all()
        assert call.result().json() in workers
        assert service.process.wait(SECONDS) == 0
        assert not any(map(is_alive, workers))
        assert "lost" not in service.log


def test_a_second_signal_ends_the_workers_too(tmp_path: Path, gate: Gate) -> None:
    with _service(tmp_path, 1, exit_code=None) as service, ThreadPoolExecutor(1) as clients:
        call = clients.submit(_post, service, gate.port)
        gate.wait_for_arrival()
        workers = children_of(service.process.pid)
        service.process.send_signal(signal.SIGTERM)
        service.wait_for_log("SIGTERM: stopping")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SECONDS) == 128 + signal.SIGTERM
        _wait_until_gone(workers)
        assert call.exception() is not None


def test_a_thread_that_a_tool_has_left_does_not_keep_its_worker_alive(tmp_path: Path) -> None:
    with _service(tmp_path, 1) as service:
        worker = _post(service, tool="lingers").json()
        assert is_alive(worker)
    assert not is_alive(worker)
