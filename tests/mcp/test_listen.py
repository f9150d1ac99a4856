"""``subscriptions/listen``: clients of MCP 2026-07-28 hear of their tasks on a standing stream."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.callers.principals import sent_by
from tests.conftest import StartService
from tests.mcp.modern import TASK_SERVICE, TASKS, ModernClient
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

NOWHERE = "00000000-0000-4000-8000-000000000000"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def next_of(messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The next message that is no comment."""
    return next(message for message in messages if message)


def test_the_acknowledgement_comes_first_and_names_what_is_heard_of(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("held")["taskId"]
    gate.wait_for_arrival()
    wanted = {"taskIds": [task_id, NOWHERE], "toolsListChanged": True, "resourceSubscriptions": ["file:///x"]}
    with client.stream("subscriptions/listen", notifications=wanted) as messages:
        first = next_of(messages)
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["notifications"] == {"taskIds": [task_id]}
    assert isinstance(first["params"]["_meta"][SUBSCRIPTION], int)


def test_a_client_hears_how_its_task_goes_on_as_if_it_had_asked(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("stepping")["taskId"]
    step = gate.wait_for_arrival()
    with client.stream("subscriptions/listen", notifications={"taskIds": [task_id]}) as messages:
        acknowledged = next_of(messages)
        subscription = acknowledged["params"]["_meta"]
        now = next_of(messages)
        assert (now["method"], now["params"]["status"]) == ("notifications/tasks", "working")
        step.release()
        gate.wait_for_arrival()
        next(one for one in messages if one and one["params"]["statusMessage"] == "nearly there")
        gate.release_all()
        end = next_of(messages)
    assert end["params"]["_meta"] == subscription
    asked = client.get(task_id)
    del asked["_meta"], asked["resultType"]
    assert end["params"] == {**asked, "_meta": subscription}


def test_a_task_that_has_ended_before_is_told_of(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("held")["taskId"]
    gate.wait_for_arrival()
    client.result("tasks/cancel", taskId=task_id)
    with client.stream("subscriptions/listen", notifications={"taskIds": [task_id]}) as messages:
        next_of(messages)
        statuses = [next_of(messages)["params"]["status"]]
        if statuses[-1] == "working":  # its tool has not stopped yet
            statuses.append(next_of(messages)["params"]["status"])
    assert statuses[-1] == "cancelled"


def test_what_does_not_change_is_not_promised(client: ModernClient) -> None:
    capabilities = client.result("server/discover")["capabilities"]
    assert not any("listChanged" in part or "subscribe" in part for part in capabilities.values())
    with client.stream("subscriptions/listen", notifications={"toolsListChanged": True}) as messages:
        assert next_of(messages)["params"]["notifications"] == {}


def test_tasks_are_told_of_only_to_clients_that_declare_them(task_service: ServiceProcess) -> None:
    with ModernClient(task_service.url, takes_tasks=False) as client:
        refusal = client.refusal("subscriptions/listen", notifications={"taskIds": [NOWHERE]})
        assert (refusal.status, refusal.code) == (400, -32021)
        assert refusal.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}
        with client.stream("subscriptions/listen", notifications={}) as messages:
            assert next_of(messages)["params"]["notifications"] == {}


def test_the_task_of_another_principal_is_not_heard_of(gate: Gate) -> None:
    with (
        ServiceProcess(TASK_SERVICE, env={"TASK_GATE": str(gate.port), "TASK_TOKENS": "1"}) as service,
        ModernClient(service.url, headers=sent_by("ann")) as ann,
        ModernClient(service.url, headers=sent_by("bob")) as bob,
    ):
        task_id = ann.call("held")["taskId"]
        gate.wait_for_arrival()
        own_id = bob.call("held")["taskId"]
        gate.wait_for_arrival()
        with bob.stream("subscriptions/listen", notifications={"taskIds": [task_id, own_id]}) as messages:
            assert next_of(messages)["params"]["notifications"] == {"taskIds": [own_id]}
            gate.release_all()
            told: dict[str, Any] = {"status": "working"}
            while told["status"] == "working":
                told = next_of(messages)["params"]
                assert told["taskId"] == own_id


def test_an_open_stream_ends_in_good_order_when_the_server_stops(service_process: StartService) -> None:
    service = service_process(TASK_SERVICE, env={"TASK_GATE": "0"})
    with (
        ModernClient(service.url) as client,
        client.stream("subscriptions/listen", notifications={}) as messages,
    ):
        subscription = next_of(messages)["params"]["_meta"]
        service.process.send_signal(signal.SIGTERM)
        answer = next_of(messages)
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["_meta"][SUBSCRIPTION] == subscription[SUBSCRIPTION]
        assert answer["id"] == subscription[SUBSCRIPTION]
        assert next(messages, None) is None
    assert service.process.wait(30.0) == 0


def test_a_silent_stream_has_comments(client: ModernClient) -> None:
    with client.stream("subscriptions/listen", notifications={}) as messages:
        next_of(messages)
        assert next(messages) == {}


def test_one_client_can_have_so_many_streams_only(task_service: ServiceProcess) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(ModernClient(task_service.url)) for _ in range(101)]
        streams = [
            stack.enter_context(client.stream("subscriptions/listen", notifications={})) for client in clients[:-1]
        ]
        for stream in streams:
            next_of(stream)
        refusal = clients[-1].refusal("subscriptions/listen", notifications={})
        assert refusal.code == -32603
        assert "too many" in refusal.message


@pytest.mark.parametrize("notifications", [None, [], {"taskIds": "a"}, {"taskIds": [1]}])
def test_a_filter_that_is_none_is_refused(client: ModernClient, notifications: Any) -> None:
    refusal = client.refusal("subscriptions/listen", notifications=notifications)
    assert refusal.status == 400
    assert refusal.code == -32602
