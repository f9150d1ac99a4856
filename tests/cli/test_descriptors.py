"""A service that has no file descriptor left for all who connect."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")

LIMIT = 120

_LIMITED = f"""
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
from litestar.config.cors import CORSConfig
from lambda_kit import ToolOptions

class Waits(LambdaTool):
    \"\"\"Wait for ever\"\"\"

    options = ToolOptions(max_wait_time=600.0)

    async def run(self, req: Text) -> str:
        await asyncio.sleep(600)
        return ""
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    file = service_file(
        tmp_path, body=_LIMITED, tools="Shout, Waits", options="cors=CORSConfig(allow_origins=['http://a'])"
    )
    with ServiceProcess(file, ["--grace", "0", "--store", f"sqlite:///{tmp_path}/jobs.db"]) as service:
        yield service


def wait_for_health(service: ServiceProcess) -> None:
    """A connection that comes in the middle of a burst may be reset; a later one is not."""
    for _ in range(50):
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(service.url + "/_healtz", timeout=60).status_code == 200
            return
    raise AssertionError("health was never answered")


def test_idle_connections_make_room_for_others_and_the_log_says_so_once(service: ServiceProcess) -> None:
    with contextlib.ExitStack() as opened, httpx.Client(base_url=service.url, timeout=60) as old:
        assert old.get("/_livez").status_code == 200
        for _ in range(2 * LIMIT):
            opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
        wait_for_health(service)
        for _ in range(10):
            assert old.post("/shout", json={"text": "a"}).text == "A"
            assert httpx.get(service.url + "/_healtz", timeout=60).status_code == 200
            assert httpx.post(service.url + "/shout", json={"text": "b"}, timeout=60).text == "B"
        assert service.log.count("file descriptors") == 1


def test_health_is_answered_where_every_connection_waits_for_an_answer(service: ServiceProcess) -> None:
    body = b"{}"
    wait = b"POST /waits HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with contextlib.ExitStack() as opened:
        answers: list[bytes] = []
        while not answers:
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
            sock.sendall(wait)
            sock.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                answers.append(sock.recv(65536))
        assert answers[0].startswith(b"HTTP/1.1 503")
        assert b"\r\naccess-control-allow-origin: http://a\r\n" in answers[0]
        for _ in range(50):
            assert httpx.get(service.url + "/_healtz", timeout=60).status_code == 200
            assert httpx.get(service.url + "/_livez", timeout=60).status_code == 200
        assert service.log.count("file descriptors") == 1
