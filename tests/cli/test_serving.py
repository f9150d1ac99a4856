"""A service that is served from its file: what the flags change, and how it ends."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lambda_kit.cli.open_door import warn_of_open_door
from tests.core.running_tools import AsyncDoor, a_server
from tests.support.gate import Gate
from tests.support.service_command import EXAMPLES, run_to_end
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shouting_service import service_file

ECHO = EXAMPLES / "echo.py"
GREETER = EXAMPLES / "greeter.py"

NO_COLLECTOR = "telemetry was asked for, and no endpoint is known"


@pytest.fixture(scope="module")
def plain() -> Iterator[ServiceProcess]:
    """The greeter without any flag; it configures no logging of its own."""
    with ServiceProcess(GREETER, by_new_interpreter=True) as service:
        yield service


@pytest.fixture(scope="module")
def flagged() -> Iterator[ServiceProcess]:
    """The greeter, whose file makes the app before the flags are known."""
    flags = ["--job-list", "--debug", "--access-log", "--with-telemetry"]
    with ServiceProcess(GREETER, flags) as service:
        yield service


def test_the_user_sees_once_what_is_served_and_where(plain: ServiceProcess) -> None:
    assert plain.log.count(f"Uvicorn running on {plain.url} ") == 1
    assert plain.log.count("My IVCAP Service") == 1
    assert "greet at /greet, list_things at /many/things" in plain.log
    assert "there is no login" not in plain.log


@pytest.mark.parametrize(
    ("host", "env", "is_said"),
    [
        ("0.0.0.0", {}, True),
        ("::", {}, True),
        ("192.0.2.1", {}, True),
        ("my-laptop.local", {}, True),
        ("127.0.0.2", {}, False),
        ("::1", {}, False),
        ("localhost", {}, False),
        ("0.0.0.0", {"LAMBDA_KIT_AUTH": f"keys:{EXAMPLES}/keys"}, False),
        ("0.0.0.0", {"IVCAP_BASE_URL": "http://ivcap.local"}, False),
    ],
    ids=str,
)
def test_a_service_that_is_open_to_the_network_says_so(
    host: str, env: dict[str, str], is_said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    warn_of_open_door(a_server(AsyncDoor).http_settings, {"host": host}, has_platform_api=False)
    assert ("there is no login: whoever can reach" in caplog.text) is is_said


def test_a_socket_of_unix_and_guards_are_no_open_doors(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_open_door(a_server(AsyncDoor).http_settings, {"host": "0.0.0.0", "uds": "/run/s"}, has_platform_api=False)
    server = a_server(AsyncDoor, guards=[lambda connection, handler: None])
    warn_of_open_door(server.http_settings, {"host": "0.0.0.0"}, has_platform_api=True)
    assert "no login" not in caplog.text


def test_host_and_port_come_from_the_environment() -> None:
    port = free_port()
    process = ServiceProcess(ECHO, env={"HOST": "127.0.0.1", "PORT": str(port)})
    process.command = process.command[:2]
    process.url = f"http://127.0.0.1:{port}"
    with process as service:
        assert httpx.get(f"{service.url}/_healtz").status_code == 200


def test_jobs_are_listed_only_if_asked_for(plain: ServiceProcess, flagged: ServiceProcess) -> None:
    assert httpx.get(f"{plain.url}/jobs").status_code == 404
    httpx.post(f"{flagged.url}/greet", json={"name": "Ada"}, headers={"job-id": "listed"})
    listed = httpx.get(f"{flagged.url}/jobs")
    assert "urn:ivcap:job:listed" in [job["id"] for job in listed.json()["items"]]
    assert "Ivcap-AI-Tool-Version" in listed.headers


def test_the_openapi_document_has_the_list_only_where_it_is_served(
    plain: ServiceProcess, flagged: ServiceProcess
) -> None:
    assert "/jobs" not in httpx.get(f"{plain.url}/openapi.json").json()["paths"]
    assert "/jobs" in httpx.get(f"{flagged.url}/openapi.json").json()["paths"]


def test_tracebacks_are_shown_only_in_debug_mode(plain: ServiceProcess, flagged: ServiceProcess) -> None:
    request = {"name": "Ada", "fail": "runtime"}
    assert "traceback" not in httpx.post(f"{plain.url}/greet", json=request).json()
    assert "RuntimeError" in httpx.post(f"{flagged.url}/greet", json=request).json()["traceback"]


def test_requests_are_logged_only_with_access_log(plain: ServiceProcess, flagged: ServiceProcess) -> None:
    httpx.get(f"{flagged.url}/greet")
    flagged.wait_for_log('"GET /greet HTTP/1.1" 200')
    httpx.get(f"{plain.url}/many/things")
    httpx.post(f"{plain.url}/greet", json={"name": "Ada", "fail": "value"})
    plain.wait_for_log("ValueError")
    assert "GET /many/things" not in plain.log


def test_telemetry_without_a_collector_is_warned_of_and_the_service_runs(flagged: ServiceProcess) -> None:
    assert NO_COLLECTOR in flagged.log
    assert httpx.get(f"{flagged.url}/_healtz").status_code == 200


def test_the_flag_without_telemetry_wins_over_the_argument(tmp_path: Path) -> None:
    file = service_file(tmp_path, arguments="with_telemetry=True")
    with ServiceProcess(file) as service:
        assert NO_COLLECTOR in service.log
    with ServiceProcess(file, ["--without-telemetry"]) as service:
        assert NO_COLLECTOR not in service.log


def test_run_opts_reach_uvicorn_and_win_over_the_flags(tmp_path: Path) -> None:
    arguments = 'run_opts={"headers": [("x-site", "lab")], "host": "127.0.0.1"}'
    file = service_file(tmp_path, arguments=arguments)
    with ServiceProcess(file, ["--host", "nowhere.invalid"]) as service:
        assert httpx.get(f"{service.url}/_healtz").headers["x-site"] == "lab"


def test_logging_that_the_file_has_configured_is_left_alone(tmp_path: Path) -> None:
    body = 'logging.basicConfig(level="INFO", format="MINE %(message)s")'
    with ServiceProcess(service_file(tmp_path, body=body)) as service:
        assert "MINE Uvicorn running on" in service.log


def test_a_log_level_that_is_not_known_is_named_without_a_traceback() -> None:
    ended = run_to_end(GREETER, env={"LAMBDA_KIT_LOG_LEVEL": "LOUD"})
    assert ended.returncode == 1
    assert "$LAMBDA_KIT_LOG_LEVEL" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- the end ---


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_0(signal_number: signal.Signals) -> None:
    with ServiceProcess(ECHO) as service:
        assert service.stop(signal_number) == 0
    assert "Traceback" not in service.log


def test_a_job_that_runs_at_the_signal_is_finished(tmp_path: Path) -> None:
    body = '''
from tests.support.gate import pass_gate

class Port(BaseModel):
    port: int

class Guarded(LambdaTool):
    """Wait at the gate"""

    def run(self, req: Port) -> str:
        pass_gate(req.port)
        print("the job ends", flush=True)
        return "done"

    def teardown(self) -> None:
        print("torn down", flush=True)
'''
    file = service_file(tmp_path, body=body, tools="Shout, Guarded")
    with Gate() as gate, ServiceProcess(file) as service:
        headers = {"Prefer": "respond-async"}
        later = httpx.post(f"{service.url}/guarded", json={"port": gate.port}, headers=headers)
        assert later.status_code == 204
        with gate.holding():
            service.process.send_signal(signal.SIGTERM)
            service.wait_for_log("SIGTERM")
        assert service.process.wait(30) == 0
    assert service.log.index("the job ends") < service.log.index("torn down")


def test_a_port_that_is_taken_is_named_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_to_end(ECHO, "--host", "127.0.0.1", "--port", str(port))
    assert ended.returncode == 3
    assert str(port) in ended.stderr
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_tool_that_can_not_be_set_up_is_named_without_a_traceback(tmp_path: Path) -> None:
    body = '''
class Broken(Shout):
    """Never ready"""

    def setup(self) -> None:
        raise OSError("no model at /models/small")
'''
    file = service_file(tmp_path, body=body, tools="Broken")
    ended = run_to_end(file, "--host", "127.0.0.1", "--port", "0")
    assert ended.returncode == 3
    assert "tool 'broken': setup failed: OSError: no model at /models/small" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_host_that_is_none_is_named_with_its_variable_and_the_remedy(tmp_path: Path) -> None:
    port = str(free_port())
    ended = run_to_end(ECHO, "--port", port, env={"HOST": "x86_64-conda-linux-gnu"}, cwd=tmp_path)
    assert ended.returncode == 3
    assert "'x86_64-conda-linux-gnu' from $HOST" in ended.stderr
    assert "--host 0.0.0.0" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_named_with_the_remedy(plain: ServiceProcess, tmp_path: Path) -> None:
    ended = run_to_end(ECHO, "--host", "127.0.0.1", "--port", str(plain.port), cwd=tmp_path)
    assert ended.returncode == 3
    assert str(plain.port) in ended.stderr
    assert "--port or $PORT" in ended.stderr


def test_serving_in_a_running_event_loop_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = service_file(tmp_path)
    file.write_text(
        file.read_text().replace(
            "    server.serve()",
            "    import asyncio\n    async def main(): server.serve(['--port', '0'])\n    asyncio.run(main())",
        )
    )
    ended = run_to_end(file)
    assert ended.returncode == 1
    assert "server.app" in ended.stderr
    assert "python my_tool.py" in ended.stderr
    assert "async with server" in ended.stderr


def test_the_access_log_shows_no_credentials_of_the_query(flagged: ServiceProcess) -> None:
    httpx.get(f"{flagged.url}/greet?page=7&access_token=s3cr3t")
    flagged.wait_for_log("/greet?page=7&access_token=*** HTTP/1.1")
    assert "s3cr3t" not in flagged.log


def test_the_size_of_bodies_is_bounded_by_a_flag() -> None:
    with ServiceProcess(GREETER, ["--max-body-bytes", "100"]) as service:
        assert httpx.post(f"{service.url}/greet", content=b" " * 101).status_code == 413
