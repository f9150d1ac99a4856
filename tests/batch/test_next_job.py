"""Batch mode asks the platform for jobs, until there are no more or nobody answers (docs/batch.md)."""

import errno
import signal
import socket

import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.batch.batch_process import BatchProcess
from tests.support.dead_proxies import DEAD_PROXIES
from tests.support.service_process import free_port

pytestmark = pytest.mark.timeout(240)  # each test starts a process


def asked(sidecar: FakeSidecar) -> list[SidecarCall]:
    return [call for call in sidecar.calls if call.kind == "next_job"]


@pytest.mark.parametrize("address", [None, " "])
def test_without_the_address_of_a_sidecar_it_warns_and_ends_well(address: str | None) -> None:
    with BatchProcess(address) as batch:
        assert batch.end() == 0
        assert "WARNING" in batch.log
        assert "$IVCAP_BASE_URL" in batch.log


def test_it_ends_when_the_platform_says_that_there_are_no_more_jobs(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue({"$schema": "urn:ivcap:schema.service.batch.done.2.beta"})
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0
    assert [call.path for call in fake_sidecar.calls] == ["/next_job"]


def test_batch_mode_can_be_chosen_in_code(fake_sidecar: FakeSidecar) -> None:
    with BatchProcess(fake_sidecar.url, env={"TEST_IN_CODE": "1"}) as batch:
        assert batch.end() == 0
    assert len(asked(fake_sidecar)) == 1


def test_an_address_may_end_in_a_slash_and_proxies_do_not_matter(fake_sidecar: FakeSidecar) -> None:
    with BatchProcess(f"{fake_sidecar.url}/", env=DEAD_PROXIES) as batch:
        assert batch.end() == 0
    assert [call.path for call in fake_sidecar.calls] == ["/next_job"]


def test_errors_are_asked_again_after_one_and_two_seconds(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(404, times=1, only="next_job")
    fake_sidecar.fail(500, times=1, only="next_job")
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0
        assert "answers again" in batch.log
    assert [call.status for call in asked(fake_sidecar)] == [500, 404, 200]
    first, second, third = (call.time for call in asked(fake_sidecar))
    assert second - first >= 0.9
    assert third - second >= 1.9


def test_a_sidecar_that_starts_later_is_waited_for() -> None:
    port = free_port()
    with BatchProcess(f"http://127.0.0.1:{port}") as batch:
        batch.wait_for_log("asking again in 2.0 s")
        with FakeSidecar(port) as sidecar:
            assert batch.end() == 0
            assert len(asked(sidecar)) == 1


@pytest.mark.parametrize("trouble", ["nobody", 404, 302])
def test_where_nobody_hands_out_jobs_it_gives_up_with_255(trouble: str | int) -> None:
    with FakeSidecar() as sidecar:
        if isinstance(trouble, int):
            sidecar.fail(trouble, headers={"Location": sidecar.url})
        else:
            sidecar.vanish()
        with BatchProcess(sidecar.url, env={"TEST_SIDECAR_WAIT": "1.5"}) as batch:
            assert batch.end() == 255
            assert "giving up" in batch.log


def test_no_job_now_is_no_trouble(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(204, times=3, only="next_job")
    with BatchProcess(fake_sidecar.url, env={"TEST_SIDECAR_WAIT": "1"}) as batch:
        assert batch.end() == 0
    assert [call.status for call in asked(fake_sidecar)] == [204, 204, 204, 200]
    assert {call.kind for call in fake_sidecar.calls} == {"next_job"}


def test_a_signal_ends_the_wait_for_a_sidecar() -> None:
    with BatchProcess(f"http://127.0.0.1:{free_port()}") as batch:
        batch.wait_for_log("asking again in")
        batch.signal(signal.SIGTERM)
        assert batch.end() == 0


def test_a_server_that_is_no_sidecar_is_not_asked_for_ever(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(200, body="<html>Welcome</html>", only="next_job")
    with BatchProcess(fake_sidecar.url, env={"TEST_SIDECAR_WAIT": "2"}) as batch:
        assert batch.end() == 255
    assert len(asked(fake_sidecar)) < 6


def test_nothing_of_a_job_goes_with_the_next_question(fake_sidecar: FakeSidecar) -> None:
    for n in range(2):
        fake_sidecar.queue(f"urn:ivcap:job:b{n}", {"kind": "x"}, authorization=f"Bearer secret-{n}")
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0
    for call in asked(fake_sidecar):
        assert call.headers["Ivcap-Job-Id"] is None
        assert call.headers["Authorization"] is None
        assert call.headers["Cookie"] is None


def test_batch_mode_opens_no_port(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("urn:ivcap:job:b1", {"kind": "sleep", "seconds": 60})
    port = free_port()
    with BatchProcess(fake_sidecar.url, "--host", "127.0.0.1", "--port", str(port)):
        fake_sidecar.wait_for(1, within_seconds=60)
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


# --- flags ---


@pytest.mark.parametrize(
    "flags",
    [("--workers", "2"), ("--reload",), ("--with-platform-api",), ("--run", "x.json"), ("--tool", "nobody")],
)
def test_flags_that_do_not_fit_are_refused(flags: tuple[str, ...]) -> None:
    with BatchProcess("http://127.0.0.1:9", *flags) as batch:
        assert batch.end() == 1
        assert flags[0] in batch.log
