"""`ToolServer` under an ASGI server of one's own: what it finds there, and what it says of other processes."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import httpx
import pytest

from lambda_kit.adapters.http.asgi_server import announced_processes
from tests.support.service_process import ServiceProcess

FILE = Path(__file__).with_name("mounted_service.py")


@pytest.mark.parametrize(
    ("argv", "environment", "count"),
    [
        (["/venv/bin/uvicorn", "my_tool:server", "--workers", "4"], {}, 4),
        (["/venv/bin/uvicorn", "my_tool:server", "--workers=4"], {"WEB_CONCURRENCY": "2"}, 4),
        (["/venv/bin/uvicorn", "my_tool:server"], {"WEB_CONCURRENCY": "2"}, 2),
        (["/venv/bin/uvicorn", "my_tool:server"], {"UVICORN_WORKERS": "3", "WEB_CONCURRENCY": "2"}, 3),
        (["/venv/uvicorn/__main__.py", "my_tool:server", "--workers", "4"], {}, 4),
        (["gunicorn", "-w4", "my_tool:server"], {}, 4),
        (["gunicorn", "my_tool:server"], {"GUNICORN_CMD_ARGS": "--bind=:80 --workers=3"}, 3),
        (["gunicorn", "-w", "2", "my_tool:server"], {"GUNICORN_CMD_ARGS": "--workers=3"}, 2),
        (["hypercorn", "-w", "2", "my_tool:server"], {}, 2),
        (["hypercorn", "my_tool:server"], {"WEB_CONCURRENCY": "2"}, 1),
        (["uvicorn", "my_tool:server"], {}, 1),
        (["uvicorn", "my_tool:server", "--workers"], {}, 1),
        (["uvicorn", "my_tool:server", "--workers", "many"], {}, 1),
        (["my_tool.py", "--workers", "4"], {"WEB_CONCURRENCY": "2"}, 1),
        ([], {}, 1),
    ],
)
def test_the_number_of_processes_is_known_by_the_servers_command_line(
    argv: Sequence[str], environment: dict[str, str], count: int
) -> None:
    assert announced_processes(argv, environment) == count


class UvicornProcess(ServiceProcess):
    """``uvicorn mounted_service:APP``."""

    def __init__(self, app: str, *args: str, env: dict[str, str] | None = None) -> None:
        super().__init__(FILE, env={"PYTHONPATH": str(FILE.parent), **(env or {})}, exit_code=None)
        self.command = [sys.executable, "-m", "uvicorn", f"{FILE.stem}:{app}", "--port", str(self.port), *args]


@pytest.mark.processes
def test_uvicorn_serves_a_server_and_trusts_the_same_proxies() -> None:
    with UvicornProcess("server") as process, httpx.Client(base_url=process.url, timeout=60) as client:
        said = {"x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"}
        seen = client.post("/who", json={}, headers={**said, "x-forwarded-prefix": "/svc"}).json()
        assert seen == {"url": "https://api.example.com/svc/who", "client": "9.9.9.9"}
        assert "processes serve this port" not in process.log


@pytest.mark.processes
def test_several_processes_of_uvicorn_with_jobs_in_memory_are_warned_about() -> None:
    with UvicornProcess("server", env={"WEB_CONCURRENCY": "2"}) as process:
        process.wait_for_log("2 processes serve this port")


@pytest.mark.processes
@pytest.mark.parametrize(("app", "sent", "prefix"), [("server", "", ""), ("server", "/svc", ""), ("app", "", "/tools")])
def test_uvicorns_own_root_path_and_a_mount_give_one_prefix(app: str, sent: str, prefix: str) -> None:
    with UvicornProcess(app, "--root-path", "/svc") as process:
        wish = {"prefer": "respond-async"}
        answer = httpx.post(f"{process.url}{sent}{prefix}/who", json={}, headers=wish, timeout=60)
        assert answer.status_code == 204, answer.text
        assert answer.headers["location"].startswith(f"/svc{prefix}/who/jobs/")


@contextlib.contextmanager
def on_a_unix_socket(path: Path, trusted: str) -> Generator[httpx.Client]:
    command = [sys.executable, "-m", "uvicorn", f"{FILE.stem}:server", "--uds", str(path), "--no-proxy-headers"]
    env = {**os.environ, "PYTHONPATH": f"{FILE.parent}:{FILE.parents[2]}", "FORWARDED_ALLOW_IPS": trusted}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("running on unix socket" in line for line in process.stderr)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://own.example") as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
@pytest.mark.parametrize(("trusted", "host"), [("unix", "api.example.com"), ("127.0.0.1", "own.example")])
def test_a_proxy_on_a_unix_socket_is_trusted_where_that_is_set(tmp_path: Path, trusted: str, host: str) -> None:
    with on_a_unix_socket(tmp_path / "s", trusted) as client:
        seen = client.post("/who", json={}, headers={"x-forwarded-host": "api.example.com"}).json()
    assert seen["url"] == f"http://{host}/who"
