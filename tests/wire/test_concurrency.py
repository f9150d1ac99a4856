"""Many clients at once: every request gets its own answer, and none holds up another."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import new_id
from tests.wire.conftest import Background


def async_client(service: ServiceProcess) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=40)
    return httpx.AsyncClient(base_url=service.url, timeout=30, limits=limits)


async def test_every_client_gets_its_own_result(service: ServiceProcess):
    paths = ["/echo", "/echo-async", "/struct-tool", "/data-tool"]
    async with async_client(service) as client:
        names = [f"{n}-{new_id()}" for n in range(200)]
        posts = [client.post(paths[n % 4], json={"text": name}) for n, name in enumerate(names)]
        answers = await asyncio.gather(*posts)
    assert [answer.json()["text"] for answer in answers] == names
    assert len({answer.headers["job-id"] for answer in answers}) == 200


async def test_good_and_bad_requests_do_not_mix(service: ServiceProcess):
    async with async_client(service) as client:
        requests = [
            client.post("/echo", json={"text": "a"}),
            client.post("/echo", json={}),
            client.post("/raises", json={"kind": "ValueError"}),
            client.post("/raises", json={"kind": "SystemExit"}),
            client.post("/raises-async", json={"kind": "KeyboardInterrupt"}),
            client.post("/returns", json={"kind": "none"}),
            client.post("/returns-optional", json={"kind": "none"}),
            client.get("/nope"),
        ]
        requests += [client.post("/echo-async", json={"text": str(n)}) for n in range(40)]
        answers = await asyncio.gather(*requests)
    assert [answer.status_code for answer in answers] == [200, 422, 400, 500, 500, 500, 200, 404] + [200] * 40
    service.assert_alive()


async def test_one_id_asked_for_by_different_requests_goes_to_one_of_them(service: ServiceProcess):
    headers = {"job-id": new_id()}
    async with async_client(service) as client:
        posts = [client.post("/echo-async", json={"text": str(n)}, headers=headers) for n in range(20)]
        answers = await asyncio.gather(*posts)
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses == {200: 1, 409: 19}
        (winner,) = (answer for answer in answers if answer.status_code == 200)
        poll = await client.get(f"/jobs/{headers['job-id']}")
    assert poll.content == winner.content


def test_many_waiters_of_one_job_all_get_its_result(client, gate: Gate, background: Background):
    job_id = new_id()
    client.post("/hasty", json={"gate": gate.port, "text": "for all"}, headers={"job-id": job_id})
    held = gate.wait_for_arrival()
    places = [f"/jobs/{job_id}", f"/hasty/jobs/{job_id}"] * 10
    polls = [background(client.get, place, headers={"Prefer": "wait=15"}) for place in places]
    client.get("/_livez")
    held.release()
    answers = [poll.result(20) for poll in polls]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["text"] for answer in answers} == {"for all"}


@pytest.mark.parametrize("path", ["/hold", "/hold-async"])
def test_a_tool_that_takes_its_time_holds_up_no_other(client, gate: Gate, background: Background, path):
    slow = [background(client.post, path, json={"gate": gate.port}) for _ in range(20)]
    held = [gate.wait_for_arrival() for _ in slow]
    assert client.post("/echo", json={"text": "quick"}).json()["text"] == "quick"
    assert client.post("/echo-async", json={"text": "quick"}).json()["text"] == "quick"
    for tool in held:
        tool.release()
    assert {job.result(20).status_code for job in slow} == {200}


async def test_hundreds_of_jobs_are_accepted_and_all_are_done(service: ServiceProcess):
    headers = {"Prefer": "respond-async"}
    async with async_client(service) as client:
        posts = [client.post("/echo-async", json={"text": str(n)}, headers=headers) for n in range(300)]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} <= {200, 204}
        waits = [client.get("/jobs/" + answer.headers["job-id"], headers={"Prefer": "wait=15"}) for answer in answers]
        results = await asyncio.gather(*waits)
    assert [result.json()["text"] for result in results] == [str(n) for n in range(300)]
