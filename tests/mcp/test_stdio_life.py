"""The start and the end of a service on standard input and output."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.mcp_stdio import LEGACY, MODERN, McpStdio

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parent / "stdio_service.py"
FAR_SERVICE = Path(__file__).parent / "far_service.py"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


def started(service: McpStdio) -> McpStdio:
    service.initialize()
    service.wait_for_log("ready")
    return service


# --- the start ---


@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_the_client_is_answered_while_setup_goes_on_and_a_call_waits_for_its_end(version: str, gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port)}, version=version) as service:
        service.initialize()
        setup = gate.wait_for_arrival()
        assert "echo" in [tool["name"] for tool in service.ask("tools/list")["tools"]]
        request_id = service.call("echo", {"text": "early"})
        service.ask("tools/list")
        assert not service.answers_to(request_id)
        setup.release()
        assert service.wait_for_answer(request_id)["result"]["structuredContent"] == {"text": "early"}


@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_a_byte_order_mark_before_the_first_message_is_no_part_of_it(version: str) -> None:
    with McpStdio(SERVICE, version=version) as service:
        service.send_raw("\ufeff".encode())
        service.initialize()
        assert service.run("echo", {"text": "\ufeff"})["structuredContent"] == {"text": "\ufeff"}


def test_a_call_that_is_cancelled_while_the_service_starts_is_never_run(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port)}) as service:
        service.initialize()
        setup = gate.wait_for_arrival()
        request_id = service.call("hold", {"port": gate.port})
        service.cancel(request_id)
        service.ask("ping")
        setup.release()
        service.run("echo")
        assert not service.answers_to(request_id)
        assert gate.arrivals_without_waiting() == 0


def test_a_call_is_told_to_come_again_where_the_start_takes_long(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port)}) as service:
        service.initialize()
        gate.wait_for_arrival()
        result = service.ask("tools/call", {"name": "echo", "arguments": {}})
        assert result["isError"]
        assert "still starting; try again in 5 s" in result["content"][0]["text"]


def test_a_start_that_fails_is_told_to_those_who_wait_and_ends_with_3(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port), "SETUP_FAILS": "no model at /secret"}) as service:
        service.initialize()
        setup = gate.wait_for_arrival()
        request_id = service.call("echo")
        service.ask("ping")
        setup.release()
        error = service.wait_for_answer(request_id)["error"]
        assert error["message"] == "the service can't start: its log, on stderr, says why"
        assert service.end() == 3
        assert "setup failed: RuntimeError: no model" in service.log


def test_a_start_that_fails_at_once_is_told_too() -> None:
    with McpStdio(SERVICE, env={"SETUP_FAILS": "no model"}) as service:
        service.wait_for_log("setup failed")
        client = {"name": "t", "version": "1"}
        service.request("initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client})
        request_id = service.call("echo")
        service.ask("tools/list")
        assert "can't start" in service.wait_for_answer(request_id)["error"]["message"]
        assert service.end() == 3


# --- the end of the input ---


def test_it_ends_when_the_input_is_empty() -> None:
    with McpStdio(SERVICE) as service:
        service.close()
        assert service.end() == 0, service.log
        assert not service.raw_lines


def test_it_ends_with_the_input_while_setup_goes_on(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port)}) as service:
        service.initialize()
        gate.wait_for_arrival()
        service.close()
        assert service.end() == 0, service.log


def test_what_was_asked_before_the_end_of_the_input_is_answered(gate: Gate, tmp_path: Path) -> None:
    torn_down = tmp_path / "torn down"
    with McpStdio(SERVICE, env={"TEARDOWN_FILE": str(torn_down)}) as service:
        calls = [service.call("echo", {"text": str(n)}) for n in range(3)]
        service.send_raw(b'{"jsonrpc":"2.0","id":"last","method":"ping"}')  # and no line feed
        service.close()
        assert service.end() == 0, service.log
        assert service.answers_to("last")
        for n, request_id in enumerate(calls):
            assert json.loads(service.answers_to(request_id)[0]["result"]["content"][0]["text"]) == {"text": str(n)}
        assert torn_down.exists()


def test_a_call_may_go_on_after_the_end_of_the_input_for_the_grace_time(gate: Gate) -> None:
    with McpStdio(SERVICE) as service:
        request_id = started(service).call("hold", {"port": gate.port})
        held = gate.wait_for_arrival()
        service.close()
        service.wait_for_log("the client has closed stdin")
        held.release()
        assert service.end() == 0, service.log
        assert service.answers_to(request_id)


def test_the_grace_time_bounds_it(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "0.5") as service:
        request_id = started(service).call("await", {"port": gate.port})
        service.ask("ping")
        service.close()
        gate.wait_for_arrival().release()  # it was cancelled
        assert service.end() == 0, service.log
        assert service.answers_to(request_id)[0]["result"]["isError"]


def test_a_job_that_nobody_can_ask_for_any_more_is_cancelled(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"WAIT_SECONDS": "0.1"}) as service:
        result = started(service).run("await", {"port": gate.port})
        assert "job_result" in result["content"][0]["text"]
        service.close()
        gate.wait_for_arrival().release()
        assert service.end() == 0, service.log


def test_a_client_that_has_died_is_noticed_though_a_call_is_open(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "600") as service:
        started(service).call("await", {"port": gate.port})
        service.ask("ping")
        service.hang_up()
        gate.wait_for_arrival().release()
        assert service.end() == 0, service.log


def test_a_client_that_reads_no_more_ends_it(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "600") as service:
        started(service)
        service.stop_reading()
        service.request("ping")
        assert service.end() == 0, service.log


# --- signals ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_open_calls_end_and_answers_them(number: signal.Signals, gate: Gate) -> None:
    with McpStdio(SERVICE) as service:
        calls = [started(service).call("hold", {"port": gate.port}) for _ in range(20)]
        held = [gate.wait_for_arrival() for _ in calls]
        service.signal(number)
        service.wait_for_log("stopping when the jobs that were accepted have ended")
        while not service.run("echo").get("isError"):  # until no job is taken any more, which is a little later
            pass
        for one in held:
            one.release()
        for request_id in calls:
            assert service.wait_for_answer(request_id)["result"]["structuredContent"] == {"text": "let go"}
        assert service.end() == 0, service.log


def test_jobs_that_outlast_the_grace_time_are_cancelled_and_their_calls_answered(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "0.5") as service:
        request_id = started(service).call("await", {"port": gate.port})
        service.ask("ping")
        service.signal()
        gate.wait_for_arrival().release()
        assert service.wait_for_answer(request_id)["result"]["isError"]
        assert service.end() == 0, service.log


def test_a_second_signal_ends_it_at_once(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "600") as service:
        started(service).call("hold", {"port": gate.port})
        gate.wait_for_arrival()
        service.signal()
        service.wait_for_log("SIGTERM: stopping")
        service.signal()
        assert service.end() == 128 + signal.SIGTERM


def test_a_signal_after_the_end_of_the_input_ends_what_is_waited_for(gate: Gate) -> None:
    with McpStdio(SERVICE, "--grace", "600") as service:
        started(service).call("await", {"port": gate.port})
        service.ask("ping")
        service.close()
        service.wait_for_log("the client has closed stdin")
        service.signal()
        gate.wait_for_arrival().release()
        assert service.end() == 0, service.log


def test_a_signal_while_setup_goes_on_gives_the_start_up(gate: Gate) -> None:
    with McpStdio(SERVICE, env={"SETUP_GATE": str(gate.port)}) as service:
        service.initialize()
        gate.wait_for_arrival()
        request_id = service.call("echo")
        service.ask("ping")
        service.signal()
        assert service.end() == 0, service.log
        assert service.answers_to(request_id)[0]["error"]["message"] == "the service is stopping"
