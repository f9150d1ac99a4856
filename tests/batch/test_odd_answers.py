"""Answers of `next_job` that have no end, and addresses with passwords: the service bears them (docs/batch.md)."""

import itertools
import socket
import threading

import pytest

from lambda_kit.testing import FakeSidecar
from tests.batch.batch_process import BatchProcess
from tests.support.raw_server import raw_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PASSWORD = "a-password-of-the-sidecar"


def test_an_answer_without_end_is_not_read_for_ever() -> None:
    sent = itertools.count()
    piece = b"%x\r\n%s\r\n" % (100_000, b"x" * 100_000)

    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while next(sent) < 100_000:
            connection.sendall(piece)

    with (
        raw_server(answer) as url,
        BatchProcess(url, "--max-upload-bytes", "1000000", env={"TEST_SIDECAR_WAIT": "1"}) as batch,
    ):
        assert batch.end() == 255
        assert "its answer has more than 1000000 bytes" in batch.log
    assert next(sent) < 2_000  # what the system's buffers hold, a few times


def test_an_answer_that_comes_drop_by_drop_is_given_up() -> None:
    over = threading.Event()

    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not over.wait(1.0):
            connection.sendall(b" ")

    with raw_server(answer) as url, BatchProcess(url) as batch:
        batch.wait_for_log("its answer has not ended in time", 90)
        over.set()


def test_a_password_in_the_address_is_neither_logged_nor_sent_in_place_of_the_token(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("j1", {"kind": "text"}, authorization="Bearer token-of-the-job")
    with BatchProcess(fake_sidecar.url.replace("//", f"//user:{PASSWORD}@")) as batch:
        assert batch.end() == 0
    assert PASSWORD not in batch.log
    assert {call.headers["Authorization"] for call in fake_sidecar.of("j1")} == {"Bearer token-of-the-job"}


@pytest.mark.parametrize("address", ["ftp://user:{}@host", "user:{}@host", "http://u:{}@h?x=1", "http://h?key={}"])
def test_an_address_that_is_wrong_is_refused_without_its_password(address: str) -> None:
    with BatchProcess(address.format(PASSWORD)) as batch:
        assert batch.end() == 1
    assert "$IVCAP_BASE_URL" in batch.log
    assert PASSWORD not in batch.log


def test_an_empty_address_is_none() -> None:
    with BatchProcess("  ") as batch:
        assert batch.end() == 0
    assert "is not set" in batch.log


def test_a_job_whose_id_is_too_long_for_a_url_is_dropped_and_the_next_one_runs(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("x" * 100_000, {"kind": "text"})
    fake_sidecar.queue("j2", {"kind": "text"})
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 1  # what was promised can't be delivered
    assert fake_sidecar.wait_for_result("j2").headers["Is-Error"] == "False"
    assert "results: it can't be sent" in batch.log
