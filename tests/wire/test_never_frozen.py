"""One bad tool does not take the service away from the others; where it can, it is named."""

import inspect
import signal
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.wire import frozen_service
from tests.wire.conftest import Background
from tests.wire.jobs import assert_story, record_of, start, wait_for_end

FILE = Path(frozen_service.__file__)

SECONDS = 30.0
HEALTH_SECONDS = 10.0
"""After so long a client that asks for health gives up: ten times of what is promised."""


@pytest.fixture
def file(tmp_path: Path) -> Generator[Path]:
    """The file for which tools wait; in the end it is there, so that no tool outlives the test."""
    path = tmp_path / "go on"
    yield path
    path.touch()


def assert_answers(client: httpx.Client) -> None:
    """Fail unless health is answered, before the client gives up."""
    for path in ("/_livez", "/_healtz"):
        assert client.get(path, timeout=HEALTH_SECONDS).status_code == 200


def line_of(text: str) -> str:
    """``file:line`` of the only line of `Sleeps.run` with this text."""
    lines, first = inspect.getsourcelines(frozen_service.Sleeps.run)
    (number,) = (first + at for at, line in enumerate(lines) if text in line)
    return f"{FILE}:{number}"


def test_threads_in_endless_loops_leave_health_polls_and_other_jobs_alone(file: Path):
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=SECONDS) as client:
        jobs = [start(client, "/spins", file=str(file)) for _ in range(4)]
        for _ in range(5):
            assert_answers(client)
            assert client.get(f"/jobs/{jobs[0]}").status_code == 204
            assert record_of(client, jobs[-1])["status"] == "executing"
            assert client.post("/quick", json={"file": "here"}).text == "here"
        file.touch()
        for job_id in jobs:
            assert_story(client, job_id, "succeeded", [wait_for_end(client, job_id)])
        assert "blocked the event loop" not in process.log


def test_an_async_tool_that_blocks_the_loop_is_named_with_the_line(file: Path, background: Background):
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=SECONDS) as client:
        post = background(client.post, "/sleeps", json={"file": str(file)})
        log = process.wait_for_log("Tool 'sleeps' has blocked the event loop", seconds=SECONDS)
        assert not post.done()
        live = background(httpx.get, f"{process.url}/_livez", timeout=SECONDS)
        (line,) = [line for line in log.splitlines() if "has blocked the event loop" in line]
        places = [line_of("time.sleep"), line_of("file).exists()")]
        assert any(place in line for place in places), line
        assert "def run" in line  # and what to do
        file.touch()
        answer = post.result(SECONDS)
        assert (answer.status_code, answer.text) == (200, "awake")
        assert live.result(SECONDS).status_code == 200
        assert_answers(client)
        job_id = answer.headers["job-id"].rpartition(":")[2]
        assert f"in job {job_id}" in line
        assert_story(client, job_id, "succeeded", [answer])
        assert client.post("/quick", json={"file": "here"}).text == "here"
        process.wait_for_log("The event loop turns again", seconds=SECONDS)


@pytest.mark.parametrize("count", [1, 3])
def test_a_thread_that_does_not_end_is_named_and_does_not_keep_the_process(file: Path, count: int):
    with ServiceProcess(FILE, ["--grace", "0.3"], seconds=SECONDS) as process:
        with httpx.Client(base_url=process.url, timeout=SECONDS) as client:
            jobs = [start(client, "/spins", file=str(file)) for _ in range(count)]
            assert {record_of(client, job_id)["status"] for job_id in jobs} == {"executing"}
        assert process.stop(signal.SIGTERM) == 0
        for job_id in jobs:
            assert f"job {job_id} of tool 'spins' did not stop when asked to" in process.log
        assert "Traceback" not in process.log


def test_a_thread_that_does_not_end_is_given_up_while_the_service_goes_on(file: Path):
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=SECONDS) as client:
        job_id = start(client, "/spins", {"Job-Time-Limit": "0.2"}, file=str(file))
        assert_story(client, job_id, "error", [wait_for_end(client, job_id)])
        process.wait_for_log(f"job {job_id} of tool 'spins' did not stop when asked to")
        assert_answers(client)
        assert process.stop(signal.SIGTERM) == 0


@pytest.mark.timeout(180)
def test_a_body_made_to_take_long_is_refused_and_health_is_answered_meanwhile(background: Background):
    one_hash = b'{"distinct": [' + b",".join(b"%d" % (number * (2**61 - 1)) for number in range(1, 50_001)) + b"]}"
    faults = b'{"listed": [' + b'"",' * 1_000_000 + b'""]}'
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=SECONDS) as client:
        for path in ("/count", "/count-distinct"):
            posts = [background(client.post, path, content=body) for body in (one_hash, faults) for _ in range(3)]
            while not all(post.done() for post in posts):
                assert_answers(client)
            assert [post.result(SECONDS).status_code for post in posts] == [422] * len(posts)
            assert max(len(post.result(SECONDS).content) for post in posts) < 65536
            assert client.post(path, json={"distinct": list(range(1000)), "listed": [1]}).text == "1001"
