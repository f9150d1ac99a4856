"""Clients that others wrote start our services, and call their tools on standard input and output."""

import sys
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.mcp_peers import SERVICE, PeerClient
from tests.support.service_command import EXAMPLES

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

CLIENTS = pytest.mark.parametrize(
    ("library", "mode"),
    [
        ("mcp", "auto"),
        ("fastmcp", "legacy"),
        pytest.param("mcp", "legacy", marks=pytest.mark.slow),
        pytest.param("fastmcp", "auto", marks=pytest.mark.slow),
    ],
)


def command(file: Path) -> list[str]:
    return [sys.executable, str(file), "--with-mcp-stdio"]


@CLIENTS
def test_a_client_lists_and_calls_the_tools_of_an_example(library: str, mode: str) -> None:
    with PeerClient(library, command(EXAMPLES / "echo.py"), mode) as client:
        client.order("list")
        assert "echo" in client.expect("tools")
        client.order("call", "echo", {"message": "hello"})
        result = client.next_but("progress")["result"]
    assert (result["structured"]["echo"], result["error"]) == ("hello", False)


@CLIENTS
def test_a_client_sees_progress_and_cancels_a_call(library: str, mode: str) -> None:
    with PeerClient(library, command(SERVICE), mode) as client, Gate() as gate:
        client.order("call", "pass_gate", {"port": gate.port})
        assert client.expect("progress") == [1, 2, "at the gate"]
        held = gate.wait_for_arrival()
        client.order("cancel")
        assert client.next_but("progress") == {"cancelled": True}
        held.wait_until_gone()
        client.order("call", "pass_gate", {"port": gate.port})
        assert client.next_but("cancelled") == {"progress": [1, 2, "at the gate"]}
        gate.wait_for_arrival().release()
        assert client.next_but("progress")["result"]["structured"] == {"gates": 1}


def test_fastmcp_tasks_follows_a_task_to_its_result() -> None:
    with PeerClient("fastmcp-tasks", command(SERVICE), "2026-07-28") as client, Gate() as gate:
        client.order("begin_task", "pass_gate_as_task", {"port": gate.port})
        assert client.expect("task")
        held = gate.wait_for_arrival()
        client.order("status")
        assert client.expect("status") == "working"
        held.release()
        client.order("await_task")
        assert client.expect("result")["structured"] == {"gates": 1}
