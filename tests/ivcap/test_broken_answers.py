"""Sidecars whose answers break off or have no end, and stops while a sidecar refuses events."""

import socket
import threading
from collections.abc import Callable

import pytest

from lambda_kit.testing import FakeSidecar
from tests.conftest import StartService
from tests.ivcap.conftest import SERVICE, post
from tests.support.raw_server import raw_server
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


@pytest.mark.parametrize("rest", ["cut", "drops"])
def test_a_2xx_whose_body_has_no_end_is_delivered_once(rest: str, service_process: StartService) -> None:
    paths: list[str] = []
    over, has_result = threading.Event(), threading.Event()

    def answer(connection: socket.socket, request: bytes) -> None:
        paths.append(request.split(b" ")[1].decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        if "/results/" in paths[-1]:
            has_result.set()
        while rest == "drops" and not over.wait(0.2):
            connection.sendall(b" ")

    with raw_server(answer) as url:
        env = {"IVCAP_BASE_URL": url, "QUICK_DELIVERY": "1", "ANSWER_SECONDS": "1"}
        service = service_process(SERVICE, ("--grace", "20"), env=env, seconds=60, exit_code=0)
        post(service, "a", events=1)
        assert has_result.wait(60)
        assert service.stop() == 0
        over.set()
    assert paths == ["/events/a", "/results/a"]
    assert "not delivered" not in service.log


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
def test_a_stop_takes_no_result_away_for_an_event_that_is_never_taken(
    trouble: str, start: Callable[..., ServiceProcess], fake_sidecar: FakeSidecar
) -> None:
    service = start("--grace", "15", quick=False)  # less than the 30 s for which events are tried
    if trouble == "refuses":
        fake_sidecar.fail(500, only="events")
    else:
        fake_sidecar.hang(only="events")
    post(service, "a", events=3)
    fake_sidecar.wait_for(1, 60)
    assert service.stop() == 0
    assert [call.status for call in fake_sidecar.of("a") if call.kind == "results"] == [200]
    assert "the events that wait are refused, and dropped" in service.log
