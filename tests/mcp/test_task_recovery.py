"""kill -9 of a server with a task running: the task is found at another replica, and has one end."""

import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.mcp.modern import ModernClient
from tests.recovery.site import STORES, Site, site_on
from tests.support.gate import Gate

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Site]:
    with site_on(request.param, tmp_path) as site:
        yield site


def ended(client: ModernClient, task_id: str) -> dict[str, Any]:
    """The task when it has ended."""
    end = time.monotonic() + 60.0
    while (task := client.get(task_id))["status"] == "working":
        assert time.monotonic() < end, task
    return task


def test_a_task_goes_on_elsewhere_or_has_failed_when_its_server_was_killed(site: Site) -> None:
    with Gate() as gate:
        killed = site.start(gate=gate, exit_code=None, mcp=True)
        with ModernClient(killed.url) as client:
            once = client.call("once", text="a")["taskId"]
            gate.wait_for_arrival()
            twice = client.call("twice", text="b")["taskId"]
            gate.wait_for_arrival()
        other = site.start(gate=gate, mcp=True)
        with ModernClient(other.url) as client:
            assert [client.get(task_id)["status"] for task_id in (once, twice)] == ["working", "working"]
            killed.stop(signal.SIGKILL)
            lost = ended(client, once)
            assert lost["status"] == "failed"
            assert lost["error"]["code"] == -32603
            assert "lost" in lost["error"]["message"]
            assert "result" not in lost
            gate.wait_for_arrival()
            assert client.get(twice)["status"] == "working"
            gate.release_all()
            done = ended(client, twice)
            assert done["status"] == "completed"
            answer = done["result"]["structuredContent"]
            assert (answer["job"], answer["attempt"], answer["text"]) == (twice, 2, "b")


def test_a_task_is_found_after_all_servers_were_killed(site: Site) -> None:
    with Gate() as gate:
        killed = site.start(gate=gate, exit_code=None, mcp=True)
        with ModernClient(killed.url) as client:
            twice = client.call("twice", text="b")["taskId"]
            gate.wait_for_arrival()
        killed.stop(signal.SIGKILL)
        with ModernClient(site.start(gate=gate, mcp=True).url) as client:
            gate.wait_for_arrival()
            assert client.get(twice)["status"] == "working"
            gate.release_all()
            assert ended(client, twice)["result"]["structuredContent"]["attempt"] == 2


def test_a_task_is_cancelled_and_heard_of_at_another_replica(site: Site) -> None:
    with Gate() as gate:
        first, second = (site.start(gate=gate, mcp=True) for _ in range(2))
        with ModernClient(first.url) as client, ModernClient(second.url) as elsewhere:
            task_id = client.call("once")["taskId"]
            gate.wait_for_arrival()
            with elsewhere.stream("subscriptions/listen", notifications={"taskIds": [task_id]}) as messages:
                told = (message["params"] for message in messages if message)
                assert next(told)["notifications"] == {"taskIds": [task_id]}
                assert next(told)["status"] == "working"
                assert elsewhere.result("tasks/cancel", taskId=task_id)["resultType"] == "complete"
                assert next(one for one in told if one["status"] != "working")["status"] == "cancelled"
            assert client.get(task_id)["status"] == "cancelled"
