"""The stand-in for the sidecar records what it is told, and fails as it is told to."""

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall

EVENT = {"name": "a", "$schema": "urn:ivcap:schema:service.event.generic.1"}


@pytest.fixture
def client(fake_sidecar: FakeSidecar):
    with httpx.Client(base_url=fake_sidecar.url, trust_env=False, timeout=60) as client:
        yield client


def test_it_records_each_call_as_it_came(fake_sidecar: FakeSidecar, client: httpx.Client) -> None:
    headers = {"Authorization": "Bearer T1", "Ivcap-Job-Id": "j-1"}
    assert client.post("/events/j-1", json=EVENT, headers=headers).status_code == 200
    assert client.post("/results/urn:ivcap:job:j-1", content=b"\xff\x00", headers=headers).status_code == 200
    assert client.post("/results/other", content=iter([b"in ", b"pieces"])).status_code == 200
    first, second, third = fake_sidecar.calls
    assert (first.method, first.path, first.kind, first.job_id) == ("POST", "/events/j-1", "events", "j-1")
    assert first.json() == EVENT
    assert first.headers["authorization"] == "Bearer T1"
    assert first.headers["Is-Error"] is None
    assert (second.path, second.job_id, second.body) == ("/results/urn:ivcap:job:j-1", "j-1", b"\xff\x00")
    assert third.body == b"in pieces"
    assert first.time <= second.time <= time.time()
    assert fake_sidecar.of("j-1") == fake_sidecar.of("urn:ivcap:job:j-1") == [first, second]


def test_a_call_that_was_cut_off_is_none(fake_sidecar: FakeSidecar, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", fake_sidecar.port), timeout=20) as cut:
        cut.sendall(b"POST /results/j-1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        cut.shutdown(socket.SHUT_WR)
        assert cut.recv(100) == b""  # closed without an answer
    assert client.post("/events/j-1", json=EVENT).status_code == 200
    assert [call.kind for call in fake_sidecar.calls] == ["events"]


def test_it_hands_out_jobs_one_by_one_and_then_says_that_all_is_done(
    fake_sidecar: FakeSidecar, client: httpx.Client
) -> None:
    fake_sidecar.queue("urn:ivcap:job:b1", {"x": 1}, authorization="Bearer J1")
    fake_sidecar.queue({"id": "b2", "in-content-type": "text/plain"})
    fake_sidecar.queue(b"no json")
    first, second, third, done, again = (client.get("/next_job") for _ in range(5))
    assert first.json() == {"id": "urn:ivcap:job:b1", "in-content-type": "application/json", "in-content": {"x": 1}}
    assert first.headers["authorization"] == "Bearer J1"
    assert second.json() == {"id": "b2", "in-content-type": "text/plain"}
    assert "authorization" not in second.headers
    assert third.content == b"no json"
    assert done.json() == again.json()
    assert done.json()["$schema"].startswith("urn:ivcap:schema.service.batch.done")


def test_it_fails_so_many_times_and_only_where_it_is_told_to(fake_sidecar: FakeSidecar, client: httpx.Client) -> None:
    fake_sidecar.fail(503, 2, retry_after=7, only="results", body="busy")
    fake_sidecar.fail(422, only=lambda call: b"bad" in call.body)
    answers = [client.post(path, content=b"") for path in ("/events/a", "/results/a", "/results/a", "/results/a")]
    assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
    assert (answers[1].headers["retry-after"], answers[1].text) == ("7", "busy")
    assert [client.post("/events/a", content=b"bad").status_code for _ in range(3)] == [422] * 3
    fake_sidecar.heal()
    assert client.post("/events/a", content=b"bad").status_code == 200
    assert [call.status for call in fake_sidecar.calls] == [200, 503, 503, 200, 422, 422, 422, 200]


@pytest.mark.parametrize("status", [204, 302, 304, 500])
def test_it_answers_any_status_on_a_connection_that_stays(
    fake_sidecar: FakeSidecar, client: httpx.Client, status: int
) -> None:
    fake_sidecar.fail(status, 1, headers={"Location": "/elsewhere"}, body=b"text")
    assert client.post("/results/a", content=b"x").status_code == status
    assert client.post("/results/a", content=b"x").status_code == 200


def test_it_hangs_until_the_client_gives_up_and_others_are_answered(
    fake_sidecar: FakeSidecar, client: httpx.Client
) -> None:
    fake_sidecar.hang(only="results")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/results/a", content=b"x", timeout=0.1)
    assert client.post("/events/a", content=b"x").status_code == 200
    assert [call.status for call in fake_sidecar.calls] == [None, 200]


def test_it_answers_late(fake_sidecar: FakeSidecar, client: httpx.Client) -> None:
    fake_sidecar.delay(30)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/events/a", content=b"x", timeout=0.1)
    assert fake_sidecar.calls == []


def test_it_vanishes_under_open_connections_and_comes_back_on_the_same_port(
    fake_sidecar: FakeSidecar, client: httpx.Client
) -> None:
    url = fake_sidecar.url
    fake_sidecar.hang(only="results")
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(client.post, "/results/a", content=b"x")
        fake_sidecar.wait_for(1, within_seconds=60)
        fake_sidecar.vanish()
        with pytest.raises(httpx.TransportError):
            hanging.result(timeout=60)
    with pytest.raises(httpx.ConnectError):
        client.post("/events/a", content=b"x")
    fake_sidecar.come_back()
    assert fake_sidecar.url == url
    assert client.post("/events/a", content=b"x").status_code == 200
    assert len(fake_sidecar.calls) == 2


def test_many_calls_at_once_are_all_recorded(fake_sidecar: FakeSidecar) -> None:
    limits = httpx.Limits(max_connections=50)
    options: dict[str, Any] = {"base_url": fake_sidecar.url, "trust_env": False, "limits": limits, "timeout": 20}
    with httpx.Client(**options) as client, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: client.post(f"/events/{n}", content=b"x"), range(300)))
    assert {answer.status_code for answer in answers} == {200}
    assert {call.job_id for call in fake_sidecar.calls} == {str(n) for n in range(300)}


def test_one_can_wait_for_calls_for_a_bounded_time(fake_sidecar: FakeSidecar, client: httpx.Client) -> None:
    timer = threading.Timer(0.05, client.post, ["/results/a"], {"content": b"x"})
    timer.start()
    assert fake_sidecar.wait_for_result("urn:ivcap:job:a").body == b"x"
    timer.join()

    def failed(calls: list[SidecarCall]) -> bool:
        return any(call.status == 500 for call in calls)

    with pytest.raises(AssertionError, match=r"not seen within 0\.01 s, but 1 calls:\n  POST /results/a -> 200"):
        fake_sidecar.wait_for(failed, within_seconds=0.01)


async def test_waiting_does_not_block_the_event_loop(fake_sidecar: FakeSidecar) -> None:
    async with httpx.AsyncClient(base_url=fake_sidecar.url, trust_env=False) as client:
        waiting = fake_sidecar.until(1)
        await client.post("/events/a", content=b"x")
        assert [call.job_id for call in await waiting] == ["a"]


def test_the_port_is_known_only_once_it_runs() -> None:
    with pytest.raises(RuntimeError, match="with FakeSidecar"):
        _ = FakeSidecar().url


@pytest.mark.processes
def test_a_project_with_lambda_kit_has_the_fixture(tmp_path: Path) -> None:
    test = "def test_it(fake_sidecar):\n    assert fake_sidecar.url.startswith('http://127.0.0.1:')\n"
    (tmp_path / "test_mine.py").write_text(test)
    # as the entry point does it where lambda_kit is installed, and once more as a conftest.py may ask for it
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['lambda_kit.testing.pytest_plugin']\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-W",
        "error",
        str(tmp_path),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stdout
