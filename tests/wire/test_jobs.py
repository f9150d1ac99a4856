"""docs/wire.md, GET …/jobs/{id}: polls at both places."""

import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, assert_same_answer, assert_try_later, eventually, new_id, polls

FINISHED = {
    "/echo": {"text": "a"},
    "/echo-async": {"text": "a"},
    "/": {"text": "a"},
    "/many/things": {"name": "a"},
}


@pytest.mark.parametrize("path", FINISHED)
def test_a_finished_job_answers_as_its_post_did_at_both_places(client, path):
    job_id = new_id()
    answer = client.post(path, json=FINISHED[path], headers={"job-id": job_id})
    assert answer.status_code == 200
    for place in polls(path, job_id):
        assert_same_answer(client.get(place), answer)
        assert_same_answer(client.get(place, headers={"Prefer": "wait=5"}), answer)


@pytest.mark.parametrize("path", ["/hold", "/hold-async", "/narrow", "/deep/er/hold"])
def test_an_unfinished_job_says_try_later_at_both_places(client, gate: Gate, path):
    job_id = new_id()
    headers = {"job-id": job_id, "Prefer": "respond-async"}
    client.post(path, json={"gate": gate.port}, headers=headers)
    for place in polls(path, job_id):
        assert assert_try_later(client.get(place), path) == job_id


def test_a_job_is_not_found_below_another_tool(client):
    job_id = new_id()
    client.post("/echo", json={"text": "a"}, headers={"job-id": job_id})
    assert_problem(client.get(f"/echo-async/jobs/{job_id}"), 404)
    assert_problem(client.get(f"/many/things/jobs/{job_id}"), 404)
    assert client.get(f"/echo/jobs/{job_id}").status_code == 200


def test_an_unfinished_job_is_not_found_below_another_tool(client, gate: Gate):
    job_id = new_id()
    client.post("/hasty", json={"gate": gate.port}, headers={"job-id": job_id})
    assert_problem(client.get(f"/echo/jobs/{job_id}"), 404)


@pytest.mark.parametrize("form", ["{}", "urn:ivcap:job:{}"])
@pytest.mark.parametrize("place", ["/jobs/{}", "/echo/jobs/{}", "/jobs/{}/status"])
def test_an_unknown_job_is_not_found(client, place, form):
    answer = client.get(place.format(form.format(new_id())))
    assert_problem(answer, 404)
    assert "job-id" not in answer.headers


@pytest.mark.parametrize("wait", ["wait=0", "wait=30"])
def test_nobody_waits_for_a_job_that_is_unknown(client, wait):
    assert_problem(client.get(f"/jobs/{new_id()}", headers={"Prefer": wait}), 404)


@pytest.mark.parametrize(
    "job_id", ["a%20b", "a%2Cb", "x" * 129, "%C3%A9", "a%00b", "urn:ivcap:job:", "urn:ivcap:order:1", "%ff"]
)
@pytest.mark.parametrize("place", ["/jobs/{}", "/echo/jobs/{}", "/jobs/{}/status"])
def test_what_is_no_job_id_names_no_job(client, service: ServiceProcess, place, job_id):
    answer = client.get(place.format(job_id))
    assert_problem(answer, 404 if answer.status_code == 404 else 400)
    service.assert_alive()


def test_a_result_is_gone_when_its_time_is_up(client):
    answer = client.post("/brief", json={"text": "a"})
    assert answer.status_code == 200
    place = "/jobs/" + answer.headers["job-id"]
    assert_problem(eventually(lambda: client.get(place), lambda poll: poll.status_code != 200), 404)
    assert_problem(client.get(place + "/status"), 404)


def test_the_oldest_results_give_way_when_a_tool_keeps_few(client):
    answers = [client.post("/few", json={"text": str(n)}) for n in range(8)]
    polled = [client.get("/jobs/" + answer.headers["job-id"]) for answer in answers]
    assert [poll.status_code for poll in polled] == [404] * 3 + [200] * 5
    assert [poll.text for poll in polled[3:]] == ["3", "4", "5", "6", "7"]


def test_a_job_that_runs_is_never_forgotten(client, gate: Gate):
    job_id = new_id()
    client.post("/hasty", json={"gate": gate.port, "text": "kept"}, headers={"job-id": job_id})
    for n in range(20):
        client.post("/few", json={"text": str(n)})
    gate.wait_for_arrival().release()
    assert client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"}).json()["text"] == "kept"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_jobs_are_not_written_to(client, method):
    job_id = new_id()
    client.post("/echo", json={"text": "a"}, headers={"job-id": job_id})
    for place in polls("/echo", job_id):
        assert_problem(client.request(method, place, json={}), 405)
