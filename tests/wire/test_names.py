"""docs/wire.md, Names: job ids and URNs, statuses, times."""

import math
import re
import time
from concurrent.futures import Future
from datetime import UTC, datetime

import httpx
import pytest

from tests.support.gate import Gate
from tests.wire.answers import assert_problem, bare_id, new_id
from tests.wire.conftest import Background

ECHO = {"text": "hello"}
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def status_of(client: httpx.Client, job_id: str) -> str:
    status: str = client.get(f"/jobs/{job_id}/status").raise_for_status().json()["status"]
    return status


@pytest.mark.parametrize("start", ["a", "Z", "0", "a.b", "a_b", "a-b", "a:b", ".a", "-a", "_", ":", "...", "a:b:c"])
def test_every_allowed_character_makes_a_job_id(client, start):
    job_id = (start + new_id())[:128]
    answer = client.post("/echo", json=ECHO, headers={"job-id": job_id})
    assert answer.status_code == 200
    assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"
    assert client.get(f"/jobs/{job_id}").json() == answer.json()


@pytest.mark.parametrize("length", [1, 2, 127, 128])
def test_a_job_id_has_1_to_128_characters(client, length):
    job_id = new_id()[-length:].rjust(length, "x")
    answer = client.post("/echo", json=ECHO, headers={"job-id": job_id})
    assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"


@pytest.mark.parametrize(
    "job_id",
    ["", "a b", "a/b", "a%20b", "a,b", "a;b", "a\\b", "a\tb", "a@b", "a+b", "x" * 129, "urn:ivcap:job:", "é"],
)
def test_what_is_no_job_id_is_refused(client, job_id):
    answer = client.post("/echo", json=ECHO, headers={"job-id": job_id.encode("latin-1")})
    assert_problem(answer, 400)
    assert "job-id" not in answer.headers


def test_two_job_ids_are_refused(client):
    answer = client.post("/echo", json=ECHO, headers=[("job-id", new_id()), ("job-id", new_id())])
    assert_problem(answer, 400)


def test_a_urn_is_accepted_wherever_an_id_is(client):
    job_id = new_id()
    urn = f"urn:ivcap:job:{job_id}"
    made = client.post("/echo", json=ECHO, headers={"job-id": urn})
    assert (made.status_code, made.headers["job-id"]) == (200, urn)
    attached = client.post("/echo", json=ECHO, headers={"job-id": job_id})
    assert attached.content == made.content
    for name in (job_id, urn):
        for path in (f"/jobs/{name}", f"/echo/jobs/{name}"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["job-id"], answer.content) == (200, urn, made.content)
        assert client.get(f"/jobs/{name}/status").json()["id"] == urn


def test_without_an_id_the_job_gets_a_random_one_that_cannot_be_guessed(client):
    answers = [client.post("/echo-async", json=ECHO) for _ in range(100)]
    ids = [bare_id(answer) for answer in answers]
    assert len(set(ids)) == 100
    columns = [set(column) for column in zip(*ids, strict=True)]
    # With 100 samples a column of a 16-letter alphabet shows nearly all of it; a column that varies gives its log2.
    assert sum(math.log2(len(column)) for column in columns) >= 110
    assert min(map(len, ids)) >= 21  # 122 bits in base 64


def test_a_job_is_pending_then_executing_then_succeeded(client, gate: Gate, background: Background):
    first, second = new_id(), new_id()
    answers: list[Future[httpx.Response]] = []
    request = {"gate": gate.port, "text": "x"}
    answers.append(background(client.post, "/narrow", json=request, headers={"job-id": first, "Timeout": "15"}))
    with gate.holding() as held:
        later = client.post("/narrow", json=request, headers={"job-id": second, "Prefer": "respond-async"})
        assert later.status_code == 204
        assert status_of(client, first) == "executing"
        assert status_of(client, second) == "pending"
        held.release()
        assert answers[0].result(15).status_code == 200
        assert status_of(client, first) == "succeeded"
    gate.wait_for_arrival().release()
    assert client.get(f"/jobs/{second}", headers={"Prefer": "wait=15"}).status_code == 200
    assert status_of(client, second) == "succeeded"


@pytest.mark.parametrize("kind", ["ValueError", "RuntimeError", "SystemExit"])
def test_a_job_whose_tool_raised_has_failed(client, kind):
    answer = client.post("/raises", json={"kind": kind})
    assert status_of(client, bare_id(answer)) == "failed"


def test_times_are_rfc_3339_in_utc_and_in_order(client):
    before = time.time()
    answer = client.post("/echo", json=ECHO)
    after = time.time()
    record = client.get(f"/jobs/{bare_id(answer)}/status").json()
    times = []
    for name in ("requested-at", "started-at", "finished-at", "expires-at"):
        assert UTC_TIME.fullmatch(record[name]), record[name]
        times.append(datetime.fromisoformat(record[name]))
    assert times == sorted(times)
    assert all(moment.astimezone(UTC).utcoffset() == moment.utcoffset() for moment in times)
    requested, _, finished, expires = (moment.timestamp() for moment in times)
    assert before - 0.002 <= requested <= after
    assert finished <= after
    assert abs(expires - finished - 3600) < 1
