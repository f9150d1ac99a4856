"""Jobs of a service on standard input and output: over a restart of the program that has started it, and in workers."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gate import Gate
from tests.support.mcp_stdio import LEGACY, MODERN, McpStdio

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parent / "stdio_service.py"
FAR_SERVICE = Path(__file__).parent / "far_service.py"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


class Host:
    """A program that starts the service again and again, on one store."""

    def __init__(self, folder: Path, version: str) -> None:
        self._store = f"sqlite:///{folder}/jobs.db"
        self._version = version

    def start(self, *args: str) -> McpStdio:
        """Start it."""
        env = {"WAIT_SECONDS": "0.1"}
        return McpStdio(SERVICE, "--store", self._store, *args, env=env, version=self._version)


@pytest.fixture(params=[LEGACY, MODERN])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def begin_job(service: McpStdio, gate: Gate) -> str:
    """Call a tool that takes longer than the call waits; returns the id of its job."""
    service.initialize()
    service.wait_for_log("ready")
    found = re.search(r"[0-9a-f-]{36}", service.run("hold", {"port": gate.port})["content"][0]["text"])
    assert found
    return found[0]


def result_of(service: McpStdio, job_id: str) -> Any:
    """Ask for a job's result until it is there."""
    service.initialize()
    while True:
        result = service.run("job_result", {"job_id": job_id, "wait_seconds": 10})
        if "let go" in str(result) or result.get("isError"):
            return result


def test_the_result_of_a_job_is_found_after_a_restart(host: Host, gate: Gate) -> None:
    with host.start() as service:
        job_id = begin_job(service, gate)
        gate.wait_for_arrival().release()
        assert "let go" in str(result_of(service, job_id))
        service.close()
        assert service.end() == 0, service.log
    with host.start() as service:
        assert "let go" in str(result_of(service, job_id))


def test_a_job_may_end_after_the_client_has_left(host: Host, gate: Gate) -> None:
    with host.start() as service:
        job_id = begin_job(service, gate)
        held = gate.wait_for_arrival()
        service.close()
        service.wait_for_log("the client has closed stdin")
        held.release()
        assert service.end() == 0, service.log
    with host.start() as service:
        assert "let go" in str(result_of(service, job_id))


@pytest.mark.parametrize("is_hurried", [True, False])
def test_a_job_that_does_not_end_in_time_is_run_again_after_the_restart(
    is_hurried: bool, host: Host, gate: Gate
) -> None:
    with host.start("--grace", "600" if is_hurried else "0.5") as service:
        job_id = begin_job(service, gate)
        held = gate.wait_for_arrival()
        service.close()
        if is_hurried:  # as clients do that wait for two seconds
            service.wait_for_log("the client has closed stdin")
            service.signal()
        assert service.end() == 0, service.log
        held.release()
    with host.start() as service:
        service.initialize()
        gate.wait_for_arrival().release()
        assert "let go" in str(result_of(service, job_id))


def test_a_task_is_followed_and_found_after_a_restart(gate: Gate, tmp_path: Path) -> None:
    def start() -> McpStdio:
        store, env = f"sqlite:///{tmp_path}/jobs.db", {"WAIT_SECONDS": "0.1"}
        return McpStdio(SERVICE, "--store", store, env=env, version=MODERN, takes_tasks=True)

    with start() as service:
        service.initialize()
        service.wait_for_log("ready")
        task = service.run("hold", {"port": gate.port})
        assert (task["resultType"], task["status"]) == ("task", "working")
        wanted = {"notifications": {"taskIds": [task["taskId"]]}}
        cancelled, standing = (service.request("subscriptions/listen", wanted) for _ in range(2))
        service.cancel(cancelled)
        gate.wait_for_arrival().release()
        service.wait_until(lambda: any(one["params"].get("status") == "completed" for one in service.told("tasks")))
        service.close()
        assert service.end() == 0, service.log
        assert not service.answers_to(cancelled)
        heard_by = [one["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for one in service.told("tasks")]
        assert heard_by[-1] == standing
    with start() as service:
        found = service.ask("tasks/get", {"taskId": task["taskId"]})
        assert (found["status"], found["result"]["structuredContent"]) == ("completed", {"text": "let go"})


@pytest.mark.parametrize("how", ["input", "signal"])
def test_no_worker_is_left_behind(how: str, gate: Gate, tmp_path: Path) -> None:
    pids_file = tmp_path / "pids"
    with McpStdio(FAR_SERVICE, env={"PIDS": str(pids_file)}, by_new_interpreter=True) as service:
        service.initialize()
        service.wait_for_log("ready")
        request_id = service.call("hold_far", {"port": gate.port})
        held = gate.wait_for_arrival()
        pids = [int(pid) for pid in pids_file.read_text().split()]
        assert len(pids) == 2
        if how == "input":
            service.close()
        else:
            service.signal(signal.SIGTERM)
        held.release()
        assert service.end() == 0, service.log
        assert service.answers_to(request_id)[0]["result"]["structuredContent"] == {"text": "let go"}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
