"""A signal ends a service in bounded time, whatever its clients do; who can still be answered is."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

SECONDS = 60.0

_GUARDED = '''
from lambda_kit import JobSettings
from tests.support.gate import pass_gate, pass_gate_async

class Port(BaseModel):
    port: int

class Guarded(LambdaTool):
    """Wait at the gate"""

    def run(self, req: Port) -> str:
        pass_gate(req.port)
        return "done"

class GuardedAsync(LambdaTool):
    """Wait at the gate, on the event loop"""

    async def run(self, req: Port) -> str:
        await pass_gate_async(req.port)
        return "done"
'''

PATHS = ["/guarded", "/guarded-async"]
WISHES = [{"Prefer": "wait=300"}, {"Timeout": "300"}]


def a_file(folder: Path, *, grace_seconds: float, mcp: bool = False) -> Path:
    options = f"mcp={mcp}, settings=JobSettings(grace_seconds={grace_seconds})"
    return service_file(folder, body=_GUARDED, tools="Shout, Guarded, GuardedAsync", options=options)


@contextmanager
def posting(service: ServiceProcess, path: str, gate: Gate, wish: dict[str, str]) -> Iterator[Future[httpx.Response]]:
    """A client that waits, on a thread, until its tool waits at the gate."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(httpx.post, service.url + path, json={"port": gate.port}, headers=wish, timeout=2 * SECONDS)


class HalfSent:
    """A POST of which the service has read the head and waits for the body."""

    BODY = b'{"text": "hi"}'

    def __init__(self, port: int, path: str = "/shout") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nExpect: 100-continue\r\n"
        head += "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        self.sock.sendall(f"{head}Content-Length: {len(self.BODY)}\r\n\r\n".encode())
        assert self.sock.recv(1024).startswith(b"HTTP/1.1 100"), "the service does not ask for the body"
        self.sock.sendall(self.BODY[:5])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send_rest(self) -> bytes:
        """Send the rest, and return all that comes until the service closes the connection."""
        self.sock.sendall(self.BODY[5:])
        return self.answer()

    def answer(self) -> bytes:
        """All that comes until the service closes the connection."""
        answer = b""
        while data := self.sock.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize(
    ("path", "wish"),
    [
        *zip(PATHS, WISHES, strict=True),
        *(pytest.param(path, wish, marks=pytest.mark.slow) for path, wish in zip(PATHS, reversed(WISHES), strict=True)),
    ],
)
def test_a_service_ends_though_a_client_waits_for_a_job_that_does_not_end(
    path: str, wish: dict[str, str], tmp_path: Path
) -> None:
    with (
        Gate() as gate,
        ServiceProcess(a_file(tmp_path, grace_seconds=1), seconds=SECONDS) as service,
        posting(service, path, gate, wish) as answer,
    ):
        gate.wait_for_arrival()
        assert service.stop() == 0
        ended = answer.result(SECONDS)
    assert (ended.status_code, ended.json()["type"]) in ((410, "job-cancelled"), (503, "unavailable"))
    assert "Traceback" not in service.log


def test_clients_that_do_not_end_their_requests_are_told_to_send_them_again(tmp_path: Path) -> None:
    file = a_file(tmp_path, grace_seconds=1, mcp=True)
    with ServiceProcess(file, seconds=SECONDS) as service, ExitStack() as clients:
        half_sent = [clients.enter_context(HalfSent(service.port, path)) for path in ("/shout", "/mcp")]
        assert service.stop() == 0
        answers = [client.answer().lower() for client in half_sent]
    for answer in answers:
        assert answer.startswith(b"http/1.1 503")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b'"unavailable"' in answer
    assert "Traceback" not in service.log


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_waits_for_a_job_that_ends_in_time_is_answered(path: str, tmp_path: Path) -> None:
    with Gate() as gate, ServiceProcess(a_file(tmp_path, grace_seconds=SECONDS)) as service:
        with posting(service, path, gate, WISHES[0]) as answer:
            with gate.holding():
                service.process.send_signal(signal.SIGTERM)
                service.wait_for_log("SIGTERM")
            assert (answer.result(SECONDS).status_code, answer.result().text) == (200, "done")
        assert service.process.wait(SECONDS) == 0


def test_after_the_signal_no_new_job_is_taken(tmp_path: Path) -> None:
    with Gate() as gate, ServiceProcess(a_file(tmp_path, grace_seconds=SECONDS)) as service:
        with posting(service, PATHS[0], gate, WISHES[0]) as answer, HalfSent(service.port) as half_sent:
            with gate.holding():
                service.process.send_signal(signal.SIGTERM)
                service.wait_for_log("SIGTERM")
                refused = half_sent.send_rest().lower()
            assert refused.startswith(b"http/1.1 503")
            assert b"\r\nretry-after: " in refused
            assert answer.result(SECONDS).status_code == 200
        assert service.process.wait(SECONDS) == 0
