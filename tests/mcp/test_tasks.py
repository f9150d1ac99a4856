"""Tasks, as clients of MCP 2026-07-28 see them (SEP-2663)."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.callers.principals import sent_by
from tests.mcp.modern import TASK_SERVICE, TASKS, ModernClient
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

NOWHERE = "00000000-0000-4000-8000-000000000000"
METHODS = ("tasks/get", "tasks/update", "tasks/cancel")


def ended(client: ModernClient, task_id: str) -> dict[str, Any]:
    """The task when it has ended."""
    end = time.monotonic() + 60.0
    while (task := client.get(task_id))["status"] == "working":
        assert time.monotonic() < end, task
    return task


def assert_acknowledged(result: dict[str, Any]) -> None:
    assert result["resultType"] == "complete"
    assert result.keys() <= {"resultType", "_meta"}  # nothing of the task


def params_of(method: str, task_id: str) -> dict[str, Any]:
    return {"taskId": task_id, **({"inputResponses": {}} if method == "tasks/update" else {})}


def test_a_call_that_goes_on_is_a_task_and_its_result_is_that_of_the_call(client: ModernClient, gate: Gate) -> None:
    created = client.call("held", text="a")
    gate.wait_for_arrival()
    assert created["resultType"] == "task"
    assert created["status"] == "working"
    assert created["pollIntervalMs"] == 2000
    assert "result" not in created
    assert client.get(created["taskId"])["status"] == "working"
    gate.release_all()
    task = ended(client, created["taskId"])
    assert task["resultType"] == "complete"
    assert task["status"] == "completed"
    assert task["result"]["structuredContent"] == {"text": "a"}
    assert task["result"]["content"][0]["type"] == "text"
    assert "isError" not in task["result"]


def test_a_call_that_ends_in_time_is_no_task(client: ModernClient) -> None:
    answer = client.call("quick", text="a")
    assert answer["resultType"] == "complete"
    assert answer["content"] == [{"type": "text", "text": "a"}]
    assert "taskId" not in answer


def test_the_time_to_live_counts_from_the_creation(client: ModernClient, gate: Gate) -> None:
    created = client.call("held")
    gate.wait_for_arrival()
    at = datetime.fromisoformat(created["createdAt"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert created["ttlMs"] >= 600_000
    gate.release_all()
    task = ended(client, created["taskId"])
    assert task["createdAt"] == created["createdAt"]
    assert task["lastUpdatedAt"] >= created["lastUpdatedAt"]
    lasts = datetime.fromisoformat(task["lastUpdatedAt"]) - at  # it is kept for 600 s from its end
    assert abs(task["ttlMs"] / 1000 - 600 - lasts.total_seconds()) < 0.1
    assert client.get(created["taskId"])["ttlMs"] == task["ttlMs"]


def test_a_result_that_does_not_fit_its_schema_is_an_error_with_the_result(client: ModernClient) -> None:
    result = ended(client, client.call("misfit", text="b")["taskId"])["result"]
    assert result["isError"] is True
    assert "structuredContent" not in result
    said, shown = (block["text"] for block in result["content"])
    assert "$.a: 'b' is not of type 'integer'" in said
    assert shown == '{"a":"b"}'


def test_an_error_of_the_tool_is_the_result_of_a_completed_task(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("wrong", text="it")["taskId"]
    gate.wait_for_arrival()
    gate.release_all()
    task = ended(client, task_id)
    assert task["status"] == "completed"
    assert task["result"]["isError"] is True
    assert "nobody knows it" in task["result"]["content"][0]["text"]
    assert "error" not in task


def test_a_task_tells_how_far_it_is(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("stepping")["taskId"]
    gate.wait_for_arrival().release()
    gate.wait_for_arrival()
    said: list[str] = [""]
    end = time.monotonic() + 60.0
    while said[-1] != "nearly there":  # what a tool reports is written a little later
        assert time.monotonic() < end, said
        said.append(client.get(task_id)["statusMessage"])
    assert set(said[1:]) <= {"It is running.", "1 of 2", "nearly there"}
    gate.release_all()
    assert ended(client, task_id)["result"]["content"][0]["text"] == "there"


def test_a_cancelled_task_ends_and_cancelling_it_again_is_acknowledged(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("held")["taskId"]
    gate.wait_for_arrival()
    assert_acknowledged(client.result("tasks/cancel", taskId=task_id))
    task = ended(client, task_id)
    assert task["status"] == "cancelled"
    assert not {"result", "error"} & task.keys()
    assert_acknowledged(client.result("tasks/cancel", taskId=task_id))
    assert client.get(task_id)["status"] == "cancelled"


def test_an_update_is_acknowledged_and_changes_nothing(client: ModernClient, gate: Gate) -> None:
    task_id = client.call("held")["taskId"]
    gate.wait_for_arrival()
    ack = client.result("tasks/update", taskId=task_id, inputResponses={"never-asked": {"action": "accept"}})
    assert_acknowledged(ack)
    assert client.get(task_id)["status"] == "working"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task_id", [NOWHERE, "", "../x", "urn:ivcap:job:1", "a" * 500, "é", 'a" b'])
def test_an_unknown_task_is_an_invalid_parameter(client: ModernClient, method: str, task_id: str) -> None:
    if task_id.isascii() and task_id.isprintable():
        refusal = client.refusal(method, **params_of(method, task_id))
    else:  # no such text can be sent in a header field as it is, and the field may be missing
        refusal = client.refusal(method, without_name=True, **params_of(method, task_id))
    assert (refusal.status, refusal.code) == (400, -32602)
    assert "no such task" in refusal.message


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tasks/get", {}),
        ("tasks/cancel", {"taskId": 1}),
        ("tasks/update", {"taskId": NOWHERE}),
        ("tasks/get", {"taskId": None}),
    ],
)
def test_what_is_wrong_with_the_parameters_is_said(client: ModernClient, method: str, params: dict[str, Any]) -> None:
    refusal = client.refusal(method, **params)
    assert (refusal.status, refusal.code) == (400, -32602)
    assert "taskId" in refusal.message or "inputResponses" in refusal.message


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
def test_methods_of_the_earlier_design_do_not_exist(client: ModernClient, method: str) -> None:
    refusal = client.refusal(method)
    assert (refusal.status, refusal.code) == (404, -32601)


@pytest.mark.parametrize("method", METHODS)
def test_a_client_that_does_not_declare_tasks_is_told_to(task_service: ServiceProcess, method: str) -> None:
    with ModernClient(task_service.url, takes_tasks=False) as client:
        refusal = client.refusal(method, **params_of(method, NOWHERE))
    assert (refusal.status, refusal.code) == (400, -32021)
    assert refusal.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}
    assert TASKS in refusal.message


def test_a_client_that_does_not_declare_tasks_gets_none(task_service: ServiceProcess, gate: Gate) -> None:
    with ModernClient(task_service.url, takes_tasks=False) as client:
        answer = client.call("held", text="a")
        gate.wait_for_arrival()
        assert answer["resultType"] == "complete"
        assert "taskId" not in answer
        assert "still running" in answer["content"][0]["text"]


def test_a_tool_that_is_always_a_task_is_one_at_once_and_refused_to_clients_without(
    task_service: ServiceProcess, client: ModernClient, gate: Gate
) -> None:
    with ModernClient(task_service.url, takes_tasks=False) as without:
        refusal = without.refusal("tools/call", name="held_as_task", arguments={})
    assert (refusal.status, refusal.code) == (400, -32021)
    created = client.call("held_as_task", text="b")
    assert created["resultType"] == "task"
    assert "pollIntervalMs" not in created  # with refresh_interval=0 a client is free to ask at once
    gate.wait_for_arrival()
    gate.release_all()
    assert ended(client, created["taskId"])["result"]["structuredContent"] == {"text": "b"}


def test_the_old_hint_of_a_task_is_ignored(client: ModernClient) -> None:
    answer = client.result("tools/call", name="quick", arguments={"text": "a"}, task={"ttl": 60000})
    assert answer["resultType"] == "complete"


def test_the_job_of_a_hidden_tool_is_no_task(task_service: ServiceProcess, client: ModernClient) -> None:
    made = httpx.post(f"{task_service.url}/hidden", json={"text": "secret"}, headers={"prefer": "wait=10"})
    job_id = made.headers["job-id"]
    for method in METHODS:
        refusal = client.refusal(method, **params_of(method, job_id.rpartition(":")[2]))
        assert refusal.code == -32602


def test_a_task_belongs_to_its_principal(gate: Gate) -> None:
    with (
        ServiceProcess(TASK_SERVICE, env={"TASK_GATE": str(gate.port), "TASK_TOKENS": "1"}) as service,
        ModernClient(service.url, headers=sent_by("ann")) as ann,
        ModernClient(service.url, headers=sent_by("bob")) as bob,
    ):
        task_id = ann.call("held")["taskId"]
        gate.wait_for_arrival()
        unknown = {method: bob.refusal(method, **params_of(method, NOWHERE)) for method in METHODS}
        for method in METHODS:
            assert bob.refusal(method, **params_of(method, task_id)) == unknown[method]
        assert ann.get(task_id)["status"] == "working"  # and has not been cancelled
        gate.release_all()
        assert ended(ann, task_id)["status"] == "completed"
        assert bob.refusal("tasks/get", taskId=task_id).code == -32602


def test_what_the_server_has_is_said(client: ModernClient) -> None:
    capabilities = client.result("server/discover")["capabilities"]
    assert capabilities["extensions"] == {TASKS: {}}
    assert "tasks" not in capabilities


def test_clients_of_earlier_versions_are_told_nothing_of_tasks(task_service: ServiceProcess) -> None:
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"extensions": {TASKS: {}}},
        "clientInfo": {"name": "tests", "version": "1"},
    }
    headers = {"accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    said = httpx.post(f"{task_service.url}/mcp", json=body, headers=headers)
    assert TASKS not in said.text
    assert "tasks" not in said.json()["result"]["capabilities"]


def test_clients_of_earlier_versions_are_refused_a_tool_that_is_always_a_task(task_service: ServiceProcess) -> None:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    params = {"name": "held_as_task", "arguments": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = httpx.post(f"{task_service.url}/mcp", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == -32021
    assert TASKS in answer.json()["error"]["message"]
