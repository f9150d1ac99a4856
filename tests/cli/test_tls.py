"""HTTPS of a service file: ``--tls-cert``, ``--tls-key``, and new files while it runs."""

import contextlib
import json
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.certificates import Certificate, certificate_of, make_certificate
from tests.support.gate import Gate
from tests.support.service_command import run_to_end
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file

pytestmark = pytest.mark.timeout(120)

SECONDS = 60.0
MIB = 1024 * 1024
AGAIN = "SIGHUP: new connections get the certificate that is in"

_TOOLS = '''
from lambda_kit import HttpLimits
from tests.support.gate import pass_gate_async

class Ask(BaseModel):
    port: int

class Guarded(LambdaTool):
    """Wait at the gate"""

    async def run(self, req: Ask) -> int:
        await pass_gate_async(req.port)
        return os.getpid()

class Where(LambdaTool):
    """Which process this is"""

    async def run(self, req: Text) -> int:
        return os.getpid()
'''


def serve_file(folder: Path) -> Path:
    options = "http=HttpLimits(header_seconds=0.5), max_body_bytes=16_000_000"
    return service_file(folder, body=_TOOLS, tools="Shout, Guarded, Where", options=options)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def service(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service whose certificate stays."""
    file = serve_file(tmp_path_factory.mktemp("service"))
    with ServiceProcess(file, certificate.flags, ca=certificate.cert) as service:
        yield service
        service.assert_alive()


@pytest.fixture(scope="module")
def client(service: ServiceProcess, certificate: Certificate) -> Iterator[httpx.Client]:
    verify = ssl.create_default_context(cafile=certificate.cert)
    with httpx.Client(base_url=service.url, verify=verify, timeout=SECONDS) as client:
        yield client


def unsuspicious() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(service: ServiceProcess, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS)
    return (context or unsuspicious()).wrap_socket(sock)


def everything(sock: socket.socket) -> bytes:
    """What comes until the other end closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            received += piece
    return received


def serial_of(service: ServiceProcess) -> int:
    """Of the certificate that a new connection is shown."""
    with connect(service) as sock:
        return certificate_of(sock)


def answered(sock: ssl.SSLSocket) -> bool:
    sock.sendall(b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        piece = sock.recv(65536)
        assert piece
        answer += piece
    return answer.startswith(b"HTTP/1.1 200")


# --- what is served ---


def test_the_start_line_and_all_urls_say_https(service: ServiceProcess, client: httpx.Client) -> None:
    assert service.log.count(f"Uvicorn running on {service.url} ") == 1
    assert client.get("/_healtz").status_code == client.get("/_livez").status_code == 200
    later = client.post("/shout", json={"text": "a"}, headers={"Prefer": "respond-async, return=representation"})
    place = httpx.URL(service.url).join(later.headers["Location"])
    assert str(place).startswith(service.url)
    record = client.get(f"/jobs/{place.path.rpartition('/')[2]}/status").json()
    assert httpx.URL(service.url).join(record["links"]["result"]) == place
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/"}]


def test_large_bodies_and_answers_come_complete(client: httpx.Client) -> None:
    text = "a" * (8 * MIB)
    answer = client.post("/shout", json={"text": text}, headers={"Connection": "close"})
    assert answer.text == text.upper()


def test_a_client_that_reads_late_gets_the_whole_of_an_answer_that_closes(service: ServiceProcess) -> None:
    body = json.dumps({"text": "a" * (4 * MIB)}).encode()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(SECONDS)
    sock.connect(("127.0.0.1", service.port))
    with unsuspicious().wrap_socket(sock) as tls:
        fields = b"Host: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        tls.sendall(b"POST /shout HTTP/1.1\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = everything(tls)
    assert len(received.partition(b"\r\n\r\n")[2]) == 4 * MIB


def test_requests_that_come_together_are_answered_in_turn(service: ServiceProcess) -> None:
    one = b"GET /_livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(service) as sock:
        sock.sendall(one * 9 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert everything(sock).count(b"HTTP/1.1 200") == 10


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_from_1_2_on(service: ServiceProcess, version: ssl.TLSVersion) -> None:
    context = unsuspicious()
    context.minimum_version = context.maximum_version = version
    with connect(service, context) as sock:
        assert sock.version() == version.name.replace("_", ".")
        assert answered(sock)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_tls_is_refused(service: ServiceProcess) -> None:
    context = unsuspicious()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        connect(service, context)


def test_a_client_that_speaks_plain_http_is_told(service: ServiceProcess) -> None:
    answer = httpx.get(service.url.replace("https", "http") + "/_livez", timeout=SECONDS)
    assert answer.status_code == 400
    assert "https://" in answer.json()["detail"]
    assert answer.headers["Ivcap-AI-Tool-Version"]


# --- who never ends the handshake ---


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["says nothing", "says half of it"])
def test_a_handshake_that_does_not_end_is_ended(service: ServiceProcess, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as sock:
        sock.sendall(start)
        assert everything(sock) == b""


def test_garbage_is_refused_by_an_alert(service: ServiceProcess) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x10" + b"\xff" * 16)
        assert everything(sock)[:1] == b"\x15"
    service.assert_alive()


def test_a_client_that_goes_in_the_middle_of_anything_hurts_nobody(service: ServiceProcess) -> None:
    for request in (b"", b"GET /_livez HT", b"POST /shout HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
        with connect(service) as sock:
            sock.sendall(request)
    assert "Traceback" not in service.log
    service.assert_alive()


# --- new files ---


def test_new_files_are_for_new_connections_and_jobs_go_on(tmp_path: Path) -> None:
    old = make_certificate(tmp_path)
    verify = ssl.create_default_context(cafile=old.cert)
    shutil.copy(old.cert, tmp_path / "old.pem")
    with (
        ServiceProcess(serve_file(tmp_path), old.flags, ca=tmp_path / "old.pem") as service,
        Gate() as gate,
        httpx.Client(base_url=service.url, verify=verify, timeout=SECONDS) as client,
        connect(service) as before,
    ):
        later = client.post("/guarded", json={"port": gate.port}, headers={"Prefer": "respond-async"})
        held = gate.wait_for_arrival()

        new = make_certificate(tmp_path)
        assert serial_of(service) == old.serial
        service.process.send_signal(signal.SIGHUP)
        service.wait_for_log(AGAIN)
        assert serial_of(service) == new.serial
        assert answered(before)  # on its own connection

        new.key.write_text("no key")
        service.process.send_signal(signal.SIGHUP)
        log = service.wait_for_log("the certificate stays the one that was read before")
        assert "holds no private key in PEM" in log
        assert "send SIGHUP again" in log
        assert serial_of(service) == new.serial

        held.release()
        result = client.get(later.headers["Location"], headers={"Prefer": "wait=20"})
        assert result.json() == service.process.pid
        assert answered(before)
        assert service.stop() == 0  # with two connections that wait for nothing
    assert "graceful" not in service.log


def test_all_workers_take_the_new_files(tmp_path: Path) -> None:
    old = make_certificate(tmp_path)
    shutil.copy(old.cert, tmp_path / "old.pem")
    flags = ["--workers", "2", "--store", f"sqlite:///{tmp_path}/jobs.db", *old.flags]
    with ServiceProcess(serve_file(tmp_path), flags, ca=tmp_path / "old.pem", seconds=60) as service:
        assert f"Uvicorn running on {service.url} " in service.log
        service.process.send_signal(signal.SIGHUP)  # the second worker may not have begun to listen to it
        service.wait_for_log(lambda log: log.count(AGAIN) >= 2, seconds=60)
        new = make_certificate(tmp_path)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for_log(lambda log: log.count(AGAIN) >= 4, seconds=60)
        assert {serial_of(service) for _ in range(20)} == {new.serial}


def test_without_tls_a_hangup_ends_the_service_as_ever(tmp_path: Path) -> None:
    with ServiceProcess(serve_file(tmp_path), exit_code=-signal.SIGHUP) as service:
        service.stop(signal.SIGHUP)


# --- what can't be ---


def refusal(folder: Path, *flags: str, env: dict[str, str] | None = None, arguments: str = "") -> str:
    """What a service that is started with these flags says, which then ends."""
    ended = run_to_end(service_file(folder, arguments=arguments), "--port", "0", *flags, env=env)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_one_file_without_the_other_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    assert "--tls-cert without --tls-key" in refusal(tmp_path, "--tls-cert", str(certificate.cert))
    env = {"LAMBDA_KIT_TLS_KEY": str(certificate.key)}
    assert "$LAMBDA_KIT_TLS_CERT" in refusal(tmp_path, env=env)


def test_files_that_are_no_certificate_and_key_are_named(certificate: Certificate, tmp_path: Path) -> None:
    cert, key = str(certificate.cert), str(certificate.key)
    gone = tmp_path / "gone.pem"
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    said: list[tuple[tuple[str, str], str]] = [
        ((str(gone), key), f"the certificate {gone} can't be read (No such file or directory)"),
        ((cert, str(tmp_path)), f"the private key {tmp_path} can't be read (Is a directory)"),
        ((key, cert), f"{key} holds no certificate in PEM"),
        ((cert, cert), f"{cert} holds no private key in PEM"),
        ((str(broken), key), f"OpenSSL can't use the certificate in {broken}"),
        ((cert, str(make_certificate(tmp_path).key)), "is not that of the first certificate in"),
    ]
    for (one, other), text in said:
        assert text in refusal(tmp_path, "--tls-cert", one, "--tls-key", other)


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    locked = make_certificate(tmp_path, passphrase="open sesame")
    assert "put its passphrase into $LAMBDA_KIT_TLS_KEY_PASSWORD" in refusal(tmp_path, *locked.flags)
    said = refusal(tmp_path, *locked.flags, env={"LAMBDA_KIT_TLS_KEY_PASSWORD": "close sesame"})
    assert "does not open by the passphrase" in said
    assert "sesame" not in said
    env = {"LAMBDA_KIT_TLS_KEY_PASSWORD": "open sesame"}
    with ServiceProcess(serve_file(tmp_path), locked.flags, env=env, ca=locked.cert) as service:
        assert "sesame" not in service.log


def test_a_certificate_among_the_run_opts_too_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    said = refusal(tmp_path, *certificate.flags, arguments="run_opts={'ssl_certfile': 'c.pem'}")
    assert "a service has one certificate" in said


def test_what_prints_and_ends_does_not_look_at_the_files(tmp_path: Path) -> None:
    env: dict[str, Any] = {"LAMBDA_KIT_TLS_CERT": "gone.pem", "LAMBDA_KIT_TLS_KEY": "gone.pem"}
    ended = run_to_end(service_file(tmp_path), "--list-services", env=env)
    assert (ended.returncode, ended.stdout) == (0, "shout\n")
