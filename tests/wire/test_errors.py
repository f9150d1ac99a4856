"""docs/wire.md, Errors: one shape for all, and what becomes of everything that a tool raises."""

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, assert_same_answer, bare_id, new_id, polls
from tests.wire.conftest import Background
from tests.wire.tools_extreme import ERRORS

BOTH = ["/raises", "/raises-async"]
CALLERS_FAULT = ["ValueError", "surrogate", "group of one"]


def failure_of(client: httpx.Client, path: str, kind: str) -> httpx.Response:
    """What the POST answers, when every poll has been found to answer the same."""
    answer = client.post(path, json={"kind": kind})
    for place in polls(path, bare_id(answer)):
        assert_same_answer(client.get(place), answer)
    return answer


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("kind", CALLERS_FAULT)
def test_exactly_a_value_error_is_the_callers_fault(client, path, kind):
    body = assert_problem(failure_of(client, path, kind), 400, job=True)
    assert "boom" in body["detail"]
    assert body["title"] == "Bad Request"
    assert body["type"] == "ValueError"


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind not in CALLERS_FAULT])
def test_whatever_else_a_tool_raises_is_a_failure_of_the_tool(client, service: ServiceProcess, path, kind):
    answer = failure_of(client, path, kind)
    body = assert_problem(answer, 500, job=True)
    if kind not in ("ValidationError", "UnprintableError", "silent", "StopIteration"):
        assert body["type"] == kind
        assert "boom" in body["detail"]
    assert client.get(f"/jobs/{bare_id(answer)}/status").json()["status"] == "failed"
    service.assert_alive()


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("kind", ERRORS)
def test_the_log_has_the_traceback_and_the_answer_does_not(client, service: ServiceProcess, path, kind):
    job_id = new_id()
    answer = client.post(path, json={"kind": kind}, headers={"job-id": job_id})
    assert "traceback" not in answer.json()
    assert "tools_extreme" not in answer.text
    service.wait_for_log(
        lambda log: "Traceback" in log.partition(job_id)[2] and "raise error" in log.partition(job_id)[2]
    )


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("kind", ["ValueError", "RuntimeError", "SystemExit", "surrogate"])
def test_in_debug_mode_the_answer_has_the_traceback_too(client_with_options, path, kind):
    body = assert_problem(
        failure_of(client_with_options, path, kind), 400 if kind in CALLERS_FAULT else 500, job=True, debug=True
    )
    assert body["traceback"].startswith("Traceback")
    assert "tools_extreme.py" in body["traceback"]


def test_in_debug_mode_other_errors_have_the_one_shape_too(client_with_options):
    assert_problem(client_with_options.get("/nope"), 404)
    assert_problem(client_with_options.post("/echo", json={}), 422)
    assert_problem(client_with_options.put("/echo", json={}), 405)


@pytest.mark.parametrize("then", ["ValueError", "RuntimeError"])
def test_a_failure_after_the_client_was_told_to_try_later_is_collected(client, gate: Gate, then):
    request = {"gate": gate.port, "text": "too bad", "then": then}
    answer = client.post("/hasty", json=request)
    assert answer.status_code == 204
    gate.wait_for_arrival().release()
    result = client.get(answer.headers["location"], headers={"Prefer": "wait=15"})
    body = assert_problem(result, 400 if then == "ValueError" else 500, job=True)
    assert (body["type"], body["detail"]) == (then, "too bad")
    assert result.headers["job-id"] == answer.headers["job-id"]


@pytest.mark.parametrize(
    "kind", ["RuntimeError", "OwnBaseException", "SystemExit", "KeyboardInterrupt", "CancelledError"]
)
@pytest.mark.parametrize("path", BOTH)
def test_other_jobs_do_not_notice(client, gate: Gate, background: Background, path, kind):
    others = [
        background(client.post, hold, json={"gate": gate.port, "text": "fine"}) for hold in ("/hold", "/hold-async")
    ]
    held = [gate.wait_for_arrival() for _ in others]
    client.post(path, json={"kind": kind})
    for tool in held:
        tool.release()
    assert [other.result(20).json()["text"] for other in others] == ["fine", "fine"]


def test_a_tool_whose_own_data_is_invalid_does_not_blame_the_caller(client):
    assert_problem(client.post("/raises", json={"kind": "ValidationError"}), 500, job=True)


def test_the_members_stand_in_the_order_of_the_contract(client):
    text = client.post("/raises", json={"kind": "ValueError"}, headers={"job-id": "order"}).text
    assert text == (
        '{"type":"ValueError","title":"Bad Request","status":400,"detail":"boom","instance":"urn:ivcap:job:order",'
        '"$schema":"urn:ivcap:schema.ai-tool.error.1","message":"boom","code":400}'
    )
