"""Clients that others wrote call our tools over HTTP: the official one, fastmcp's and fastmcp-tasks'."""

from collections.abc import Iterator

import pytest

from tests.support.gate import Gate
from tests.support.mcp_peers import SERVICE, PeerClient
from tests.support.service_command import EXAMPLES
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

BY_DEFAULT = {("mcp", "legacy"), ("fastmcp", "auto"), ("fastmcp-tasks", "2026-07-28")}
CLIENTS = [
    pytest.param(library, mode, marks=() if (library, mode) in BY_DEFAULT else pytest.mark.slow)
    for library in ("mcp", "fastmcp", "fastmcp-tasks")
    for mode in ("legacy", "auto", "2026-07-28")
]


@pytest.fixture(scope="module")
def gates() -> Iterator[str]:
    with ServiceProcess(SERVICE, ["--with-mcp"]) as service:
        yield service.url + "/mcp"


@pytest.fixture(scope="module")
def greeter() -> Iterator[str]:
    with ServiceProcess(EXAMPLES / "greeter.py", ["--with-mcp"]) as service:
        yield service.url + "/mcp"


@pytest.mark.parametrize(("library", "mode"), CLIENTS)
def test_a_client_lists_and_calls_the_tools_of_an_example(greeter: str, library: str, mode: str) -> None:
    with PeerClient(library, greeter, mode) as client:
        client.order("list")
        assert {"greet", "list_things"} <= set(client.expect("tools"))
        client.order("call", "greet", {"name": "Ada", "count": 2})
        assert client.expect("progress")[2].endswith("Greeting Ada...")
        result = client.next_but("progress")["result"]
        client.order("call", "greet", {"name": "Ada", "fail": "value"})
        failed = client.next_but("progress")
    assert result["structured"]["greeting"] == "Hello, Ada! Hello, Ada!"
    assert not result["error"]
    assert "failed as asked: value" in failed["result"]["texts"][0]
    assert failed["result"]["error"]


@pytest.mark.parametrize(("library", "mode"), CLIENTS)
def test_a_client_is_told_how_far_the_tool_is(gates: str, library: str, mode: str) -> None:
    with PeerClient(library, gates, mode) as client, Gate() as gate:
        client.order("call", "pass_gate", {"port": gate.port})
        assert client.expect("progress") == [1, 2, "at the gate"]
        gate.wait_for_arrival().release()
        assert client.next_but("progress")["result"]["structured"] == {"gates": 1}


@pytest.mark.parametrize(("library", "mode"), CLIENTS)
def test_a_call_that_a_client_cancels_is_cancelled(gates: str, library: str, mode: str) -> None:
    with PeerClient(library, gates, mode) as client, Gate() as gate:
        client.order("call", "pass_gate", {"port": gate.port})
        held = gate.wait_for_arrival()
        client.expect("progress")
        client.order("cancel")
        assert client.next_but("progress") == {"cancelled": True}
        held.wait_until_gone()


def test_fastmcp_tasks_follows_a_task_to_its_result(gates: str) -> None:
    with PeerClient("fastmcp-tasks", gates, "2026-07-28") as client, Gate() as gate:
        client.order("begin_task", "pass_gate_as_task", {"port": gate.port})
        assert client.expect("task")
        held = gate.wait_for_arrival()
        client.order("status")
        assert client.expect("status") == "working"
        held.release()
        client.order("await_task")
        assert client.expect("result")["structured"] == {"gates": 1}


def test_fastmcp_tasks_waits_for_a_task_without_being_told(gates: str) -> None:
    with PeerClient("fastmcp-tasks", gates, "2026-07-28") as client, Gate() as gate:
        client.order("call", "pass_gate_as_task", {"port": gate.port})
        gate.wait_for_arrival().release()
        assert client.expect("result")["structured"] == {"gates": 1}


def test_fastmcp_tasks_cancels_a_task(gates: str) -> None:
    with PeerClient("fastmcp-tasks", gates, "2026-07-28") as client, Gate() as gate:
        client.order("begin_task", "pass_gate_as_task", {"port": gate.port})
        client.expect("task")
        held = gate.wait_for_arrival()
        client.order("cancel_task")
        client.expect("cancelled")
        held.wait_until_gone()
        client.order("await_task")
        assert client.expect("result")["error"]
