"""An async tool that lays hands on the event loop or on signals: its own job may fail, the service goes on."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

_TAMPERS = '''
import asyncio, signal

class Tampers(LambdaTool):
    """Do what no tool should"""

    async def run(self, req: Text) -> str:
        loop = asyncio.get_running_loop()
        if req.text == "stop":
            loop.stop()
        elif req.text == "exit":
            loop.call_soon(sys.exit, 5)
        elif req.text == "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif req.text == "default":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        elif req.text == "cancel":
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        await asyncio.sleep(0.01)
        return "done"
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(service_file(tmp_path_factory.mktemp("tampering"), body=_TAMPERS, tools="Tampers")) as service:
        yield service


@pytest.mark.parametrize("how", ["stop", "exit"])
def test_a_tool_that_stops_the_event_loop_does_not_stop_the_service(how: str, service: ServiceProcess) -> None:
    assert httpx.post(service.url + "/tampers", json={"text": how}, timeout=60).text == "done"
    service.wait_for_log("a tool has stopped the event loop")
    service.assert_alive()


@pytest.mark.parametrize("how", ["ignore", "default"])
def test_a_tool_that_switches_off_signals_does_not_make_the_service_deaf(how: str, service: ServiceProcess) -> None:
    before = service.log.count("SIGTERM: it is on again")
    assert httpx.post(service.url + "/tampers", json={"text": how}, timeout=60).text == "done"
    service.wait_for_log(lambda log: log.count("SIGTERM: it is on again") > before)


def test_then_it_stops_as_ever(service: ServiceProcess) -> None:
    assert service.stop(signal.SIGTERM) == 0


def test_a_tool_that_cancels_the_tasks_of_the_service_ends_it_with_a_word(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=_TAMPERS, tools="Tampers")
    with ServiceProcess(file, exit_code=1) as service:
        with contextlib.suppress(httpx.TransportError):
            assert httpx.post(service.url + "/tampers", json={"text": "cancel"}, timeout=60).status_code == 500
        assert service.process.wait(20) == 1
        service.wait_for_log("a tool has cancelled tasks that are not its own")
