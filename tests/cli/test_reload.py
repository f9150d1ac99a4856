"""`--reload`: a change of the service's files is served without a hand."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file


def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, at most a minute."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            if is_so():
                return
        except httpx.TransportError:
            pass  # it is just starting again
    raise AssertionError("it never came")


def shouted(service: ServiceProcess) -> str:
    return httpx.post(service.url + "/shout", json={"text": "a"}, timeout=60).text


@pytest.mark.timeout(240)  # it starts the service four times
def test_a_change_is_served_a_mistake_is_waited_out_and_the_end_leaves_nothing(tmp_path: Path) -> None:
    file = service_file(tmp_path, body="from words import answer", tools="Shout")
    file.write_text(file.read_text().replace("req.text.upper()", "answer"))
    words = tmp_path / "words.py"
    words.write_text("answer = 'first'")
    with ServiceProcess(file, ["--reload"], seconds=60) as service:
        assert shouted(service) == "first"
        words.write_text("answer = 'the second'")
        until(lambda: shouted(service) == "the second")
        words.write_text("answer = ")
        service.wait_for_log("waiting for a change", seconds=30)
        words.write_text("answer = 'the third one'")
        until(lambda: shouted(service) == "the third one")
        assert service.stop(signal.SIGINT) == 0
        with httpx.Client() as client:
            try:
                client.get(service.url + "/_livez")
            except httpx.ConnectError:
                pass
            else:
                raise AssertionError("somebody still serves the port")
