"""docs/wire.md, DELETE /jobs/{id}: in every state of a job, also against its own end, all that is said of it agrees."""

import asyncio
import random
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import eventually, new_id
from tests.wire.conftest import Background
from tests.wire.jobs import FINAL, assert_story, record_of, start, wait_for_end

FILE = Path(__file__).with_name("control_service.py")

RACES = 200
LANES = 8


@pytest.fixture(scope="module")
def process() -> Generator[ServiceProcess]:
    with ServiceProcess(FILE) as process:
        yield process


@pytest.fixture(scope="module")
def client(process: ServiceProcess) -> Generator[httpx.Client]:
    with httpx.Client(base_url=process.url, timeout=60) as session:
        yield session


def wait_for_cancel(client: httpx.Client, job_id: str) -> None:
    """Wait until a cancel that was asked for has come to its end, by looking only."""
    eventually(lambda: client.get(f"/jobs/{job_id}/status"), lambda answer: answer.json()["status"] == "cancelled")


@pytest.mark.parametrize("path", ["/deaf", "/swallows"])
def test_a_tool_that_does_not_stop_is_given_up_after_a_while(client, gate: Gate, background: Background, path):
    job_id = new_id()
    post = background(client.post, path, json={"gate": gate.port}, headers={"job-id": job_id})
    first = gate.wait_for_arrival()
    answer = client.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "executing")
    wait_for_cancel(client, job_id)
    late = gate.wait_for_arrival() if path == "/swallows" else first
    assert_story(client, job_id, "cancelled", [post.result(20)])
    late.release()
    notes = eventually(lambda: client.post("/seen", json={"job": job_id}), lambda answer: "left" in answer.json())
    if path == "/deaf":
        assert notes.json() == ["JobCancelledError", "cancelled: True", "left"]
    assert_story(client, job_id, "cancelled", [post.result()])


@pytest.mark.parametrize("path", ["/single", "/single-async"])
def test_a_tool_that_does_not_stop_does_not_keep_its_place(client, gate: Gate, path):
    stuck = start(client, path, gate=gate.port)
    gate.wait_for_arrival()
    following = start(client, path, gate=gate.port)
    assert client.delete(f"/jobs/{stuck}").status_code == 202
    if path == "/single-async":
        gate.wait_for_arrival()  # of the first again, which has swallowed its end
    gate.wait_for_arrival().release()
    assert_story(client, following, "succeeded", [wait_for_end(client, following)])
    assert_story(client, stuck, "cancelled", [])


@pytest.mark.parametrize("path", ["/single", "/single-async"])
def test_a_job_that_waits_behind_one_that_does_not_stop_can_be_cancelled(client, gate: Gate, path):
    ahead, waiting = (start(client, path, gate=gate.port) for _ in range(2))
    held = gate.wait_for_arrival()
    answer = client.delete(f"/jobs/{waiting}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert_story(client, waiting, "cancelled", [], ran=False)
    held.release()
    assert_story(client, ahead, "succeeded", [wait_for_end(client, ahead)])
    assert gate.arrivals_without_waiting() == 0


def test_time_that_runs_out_does_not_undo_a_cancel(client, gate: Gate):
    job_id = start(client, "/deaf", {"Job-Time-Limit": "0.5"}, gate=gate.port)
    gate.wait_for_arrival()
    client.delete(f"/jobs/{job_id}")
    answer = wait_for_end(client, job_id)
    # on a slow machine the time was up before the cancel came
    assert_story(client, job_id, "cancelled" if answer.status_code == 410 else "error", [answer])


async def race(client: httpx.AsyncClient, choice: random.Random) -> tuple[str, list[httpx.Response], int]:
    """A cancel that comes before, at or after a job's end; returns its id, the answers, and the status of DELETE's."""
    job_id, path = new_id(), choice.choice(["/race", "/race-on-thread"])
    patience = {"job-id": job_id, "Prefer": choice.choice(["wait=20", "respond-async"])}
    body = {"turns": choice.choice([0, 10, 50, 100, 200, 300, 400, 800])}
    post = asyncio.ensure_future(client.post(path, json=body, headers=patience))
    for _ in range(choice.randrange(60)):
        await asyncio.sleep(0)
    while (said := await client.delete(f"/jobs/{job_id}")).status_code == 404:  # the POST is still on its way
        continue
    poll = await client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=20"})
    answers = [answer for answer in (await post, poll) if answer.status_code != 204]
    assert poll in answers, "the job is stuck"
    return job_id, answers, said.status_code


async def test_races_of_cancel_and_completion_have_one_winner_by_all_accounts(
    client: httpx.Client, process: ServiceProcess
):
    """Cancel against completion, 200 times: nobody is told another end than anybody else, and all are told one."""
    choice = random.Random(20)
    races = iter(range(RACES))
    done: list[tuple[str, list[httpx.Response], int]] = []

    async def lane(session: httpx.AsyncClient) -> None:
        for _ in races:
            done.append(await race(session, choice))  # noqa: PERF401 - the lanes share the list

    async with asyncio.timeout(60), httpx.AsyncClient(base_url=process.url, timeout=30) as session:
        await asyncio.gather(*(lane(session) for _ in range(LANES)))
    assert len(done) == RACES
    ends: Counter[str] = Counter()
    for job_id, answers, said in done:
        record = record_of(client, job_id)
        ended = record["status"]
        assert ended in FINAL, "the job is stuck"
        assert ended == ("succeeded" if said == 409 else "cancelled"), (said, record)
        assert_story(client, job_id, ended, answers, ran="started-at" in record)
        ends[ended] += 1
    assert set(ends) == {"succeeded", "cancelled"}, "these were no races"
