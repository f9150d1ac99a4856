"""A tool that forks: a signal for the child is the child's, and the service goes on."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

# In a child of a process with threads next to nothing is safe: it says that it lives, and waits to be ended.
_FORKS = '''
import multiprocessing, select, signal
from lambda_kit import ToolOptions

class Number(BaseModel):
    number: int

class Forks(LambdaTool):
    """Fork a child, and end it by a signal"""

    def run(self, req: Number) -> int:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"x")
            for _ in range(600):
                select.select([], [], [], 0.05)
            os._exit(77)
        assert os.read(reader, 1) == b"x"
        os.kill(child, req.number)
        _, status = os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
        return os.waitstatus_to_exitcode(status)

class ForksOnLoop(Forks):
    """The same from an async tool"""

    async def run(self, req: Number) -> int:
        return super().run(req)

class Pools(LambdaTool):
    """Have a pool of processes, which is ended by signals"""

    def run(self, req: Number) -> list[int]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            answer = pool.map(abs, range(-req.number, 0))
        pool.join()
        return answer
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One for all, since each test asserts that what it did has left it alone."""
    file = service_file(tmp_path_factory.mktemp("forking"), body=_FORKS, tools="Forks, ForksOnLoop, Pools")
    with ServiceProcess(file) as service:
        yield service


def post(service: ServiceProcess, path: str, number: int) -> httpx.Response:
    answer = httpx.post(service.url + path, json={"number": number}, headers={"Prefer": "wait=60"}, timeout=60)
    assert answer.status_code == 200, (answer.text, service.log)
    return answer


@pytest.mark.parametrize("number", [15, 2], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("path", ["/forks", "/forks-on-loop"])
def test_a_signal_for_a_forked_child_ends_the_child_alone(path: str, number: int, service: ServiceProcess) -> None:
    assert post(service, path, number).json() == -number
    assert "stopping" not in service.log
    service.assert_alive()
    assert httpx.get(f"{service.url}/_healtz").status_code == 200


def test_pools_of_forked_processes_end_and_the_service_goes_on(service: ServiceProcess) -> None:
    for _ in range(20):  # the signal that ends a child comes at any moment of its life
        assert post(service, "/pools", 3).json() == [3, 2, 1]
    assert "stopping" not in service.log
    service.assert_alive()


_KEEPS = '''
import multiprocessing, signal, time

class Starts(LambdaTool):
    """Fork a child that outlives the job"""

    def run(self, req: Text) -> int:
        child = os.fork()
        if child == 0:
            signal.pause()
        return child
'''


def test_a_forked_child_holds_neither_the_port_nor_a_connection(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=_KEEPS, tools="Shout, Starts")
    with (
        ServiceProcess(file) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=60) as idle,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        idle.sendall(b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(12) == b"HTTP/1.1 200"
        child = client.post("/starts", json={}).json()
        try:
            service.process.send_signal(signal.SIGTERM)
            while idle.recv(65536):  # its end would not come if the child had it too
                pass
            assert service.process.wait(30) == 0
            with socket.socket() as second:
                second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                second.bind(("127.0.0.1", service.port))
                second.listen()
        finally:
            os.kill(child, signal.SIGKILL)
