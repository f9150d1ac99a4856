"""docs/wire.md, Routes: `/_healtz` and `/_livez`."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, eventually
from tests.wire.conftest import Background

FILE = Path(__file__).with_name("readiness.py")


@pytest.fixture(scope="module")
def moody() -> Generator[httpx.Client]:
    """A service of two tools that can be told what to say of their readiness."""
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as client:
        yield client
        process.assert_alive()


def test_a_service_that_takes_jobs_is_ready(client):
    answer = client.get("/_healtz")
    assert (answer.status_code, answer.json()) == (200, {"version": "unknown"})
    assert answer.headers["content-type"] == "application/json"


def test_readiness_shows_the_version_of_the_service(client_with_options):
    assert client_with_options.get("/_healtz").json() == {"version": "1.2.3"}


@pytest.mark.parametrize("mode", ["no", "raises", "hangs", "exits"])
@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_a_service_is_not_ready_when_a_tool_is_not(moody, path, mode):
    assert moody.get("/_healtz").status_code == 200
    assert moody.post(path, json={"mode": mode}).text == mode
    answer = moody.get("/_healtz")
    assert path.strip("/") in assert_problem(answer, 503)["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert moody.get("/_livez").status_code == 200
    moody.post(path, json={"mode": "yes"})
    eventually(lambda: moody.get("/_healtz"), lambda health: health.status_code == 200)


def test_a_service_lives_and_is_ready_while_all_tools_are_busy(client, gate: Gate, background: Background):
    jobs = [background(client.post, path, json={"gate": gate.port}) for path in ("/hold", "/hold-async") * 5]
    held = [gate.wait_for_arrival() for _ in jobs]
    assert client.get("/_livez").status_code == 200
    assert client.get("/_healtz").status_code == 200
    for tool in held:
        tool.release()
    assert {job.result(20).status_code for job in jobs} == {200}
