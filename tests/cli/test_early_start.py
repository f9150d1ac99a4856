"""While the tools of a service are set up its port is open: it lives, and is not ready."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_command import ROOT, run_to_end
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

SECONDS = 60.0

_SLOW = '''
from tests.support.gate import pass_gate, pass_gate_async

class Slow(Shout):
    """Ready when the gate opens"""

    def setup(self) -> None:
        pass_gate(int(os.environ["GATE_PORT"]))
        if "SETUP_FAILS" in os.environ:
            raise OSError("no model at /models/small")

    def teardown(self) -> None:
        print("torn down", flush=True)

class SlowAsync(Slow):
    """The same on the event loop"""

    async def setup(self) -> None:
        await pass_gate_async(int(os.environ["GATE_PORT"]))
        if "SETUP_FAILS" in os.environ:
            raise OSError("no model at /models/small")
'''

TOOLS = {"Slow": "slow", "SlowAsync": "slow_async"}


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def starting(folder: Path, tool: str, gate: Gate, *, exit_code: int = 0, **env: str) -> ServiceProcess:
    """A service that answers, and whose tool is being set up."""
    file = service_file(folder, body=_SLOW, tools=tool)
    env = {"GATE_PORT": str(gate.port), **env}
    return ServiceProcess(file, env=env, ready_path="/_livez", seconds=SECONDS, exit_code=exit_code)


def test_a_service_answers_while_it_is_set_up(tool: str, tmp_path: Path, gate: Gate) -> None:
    path = "/" + TOOLS[tool].replace("_", "-")
    with starting(tmp_path, tool, gate) as service:
        with gate.holding():
            service.assert_alive()
            assert httpx.get(f"{service.url}/_healtz").status_code == 503
            refused = httpx.post(service.url + path, json={"text": "hi"})
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert httpx.get(f"{service.url}/jobs/one").status_code == 503
            assert httpx.get(service.url + path).json()["name"] == TOOLS[tool]
            assert "ready: " not in service.log
        service.wait_for_log("ready: ", seconds=SECONDS)
        assert httpx.get(f"{service.url}/_healtz").status_code == 200
        assert httpx.post(service.url + path, json={"text": "hi"}).text == "HI"
    assert service.log.count("torn down") == 1


def test_a_service_is_ready_once_when_it_starts_quickly(tmp_path: Path) -> None:
    with ServiceProcess(service_file(tmp_path)) as service:
        assert service.wait_for_log("ready: ", seconds=SECONDS).count("ready: ") == 1


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_that_is_being_set_up(
    signal_number: signal.Signals, tool: str, tmp_path: Path, gate: Gate
) -> None:
    with starting(tmp_path, tool, gate) as service:
        gate.wait_for_arrival()
        assert service.stop(signal_number) == 0
    assert "torn down" in service.log
    assert "ready: " not in service.log
    assert "Traceback" not in service.log


def test_a_setup_that_fails_late_ends_the_service_and_names_the_tool(tool: str, tmp_path: Path, gate: Gate) -> None:
    with starting(tmp_path, tool, gate, exit_code=3, SETUP_FAILS="1") as service:
        gate.wait_for_arrival().release()
        assert service.process.wait(SECONDS) == 3
    assert f"tool '{TOOLS[tool]}': setup failed: OSError: no model at /models/small" in service.log
    assert "torn down" in service.log
    assert "Traceback" not in service.log


def test_a_setup_that_ignores_its_end_does_not_keep_the_process(tmp_path: Path) -> None:
    body = '''
import asyncio

class Deaf(Shout):
    """Never ready, and never done"""

    async def setup(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
'''
    bounds = "start_seconds=0.2, leftovers_seconds=0.2"
    file = service_file(tmp_path, body=body, tools="Deaf", bounds=bounds)
    with ServiceProcess(file, ready_path="/_livez", seconds=SECONDS) as service:
        assert httpx.get(f"{service.url}/_healtz").status_code == 503


def test_a_port_that_is_taken_ends_a_slow_start(tool: str, tmp_path: Path, gate: Gate) -> None:
    file = service_file(tmp_path, body=_SLOW, tools=tool)
    env = {"GATE_PORT": str(gate.port), "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_to_end(file, "--host", "127.0.0.1", "--port", str(taken.getsockname()[1]), env=env)
    assert ended.returncode == 3
    assert "in use" in ended.stderr
    assert "torn down" in ended.stdout
    assert "Traceback" not in ended.stderr
