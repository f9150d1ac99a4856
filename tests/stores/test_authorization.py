"""What a durable store keeps of a request's authorization: nothing, or, with a key, what nobody else can read."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from pydantic import BaseModel

from lambda_kit import ConfigurationError, LambdaTool, Service, ToolServer
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.model.job import Job
from tests.support.gate import Gate
from tests.support.service_command import ROOT, run_to_end
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file
from tests.support.store_dump import Dump, dump_of

pytestmark = pytest.mark.timeout(120)

SECONDS = 60.0
TOKEN = "Bearer eyJhbGciOi-a-token-that-is-nowhere-else"
SECRET = TOKEN.split()[1]

_TOOLS = '''
from lambda_kit import ExecutorOpts, JobContext, JobSettings, ToolOptions
from tests.support.gate import pass_gate_async

class Ask(BaseModel):
    port: int

class Who(LambdaTool):
    """Who asks"""

    options = ToolOptions(max_concurrency=1, max_attempts=2)

    async def run(self, req: Ask, ctx: JobContext) -> str:
        await pass_gate_async(req.port)
        return str(ctx.job_authorization)
'''

_SETTINGS = "settings=JobSettings(lease_seconds=1.5, heartbeat_seconds=0.3)"


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def dump(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dump]:
    with dump_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


def service(folder: Path, url: str, key: str | None, **options: Any) -> ServiceProcess:
    file = service_file(folder, body=_TOOLS, tools="Who", options=_SETTINGS)
    env = {"LAMBDA_KIT_STORE": url, "LAMBDA_KIT_ENCRYPTION_KEY": key or "", "LOG_LEVEL": "DEBUG"}
    return ServiceProcess(file, env=env, seconds=SECONDS, **options)


def after_a_crash(folder: Path, dump: Dump, gate: Gate, before: str | None, after: str | None) -> tuple[list[str], str]:
    """What a tool that runs, and one that waits, are told of who asks, when their service is killed and started again.

    Args:
        folder: Where the service's file is.
        dump: Where the jobs are kept.
        gate: Holds the tools.
        before: The key of the first service.
        after: The key of the second.

    Returns:
        What the tools have returned, and the log of the second service.
    """
    with service(folder, dump.url, before, exit_code=None) as first:
        for name in ("running", "waiting"):
            headers = {"Authorization": TOKEN, "job-id": name, "Prefer": "respond-async"}
            answer = httpx.post(f"{first.url}/who", json={"port": gate.port}, headers=headers, timeout=SECONDS)
            assert answer.status_code == 204, answer.text
        gate.wait_for_arrival()
        assert b"running" in dump.read()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(SECONDS)
        gate.release_all()
    assert SECRET.encode() not in dump.read()
    with service(folder, dump.url, after) as second:
        for _ in range(2):
            gate.wait_for_arrival(SECONDS).release()
        answers = [
            httpx.get(f"{second.url}/jobs/{name}", headers={"Prefer": "wait=30"}, timeout=SECONDS)
            for name in ("running", "waiting")
        ]
        assert {answer.status_code for answer in answers} == {200}, answers[0].text
        assert b"running" in dump.read()
        if before is None:  # else the results, which are the tool's own, hold it
            assert SECRET.encode() not in dump.read()
    for text in (first.log, second.log):
        assert SECRET not in text
        for key in (before, after):
            assert key is None or key not in text
    return [answer.text for answer in answers], second.log


def test_without_a_key_a_job_that_is_taken_up_again_runs_without_its_authorization(
    tmp_path: Path, dump: Dump, gate: Gate
) -> None:
    texts, _ = after_a_crash(tmp_path, dump, gate, None, None)
    assert texts == ["None", "None"]


def test_with_a_key_it_has_its_authorization_which_nobody_else_can_read(tmp_path: Path, dump: Dump, gate: Gate) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    texts, _ = after_a_crash(tmp_path, dump, gate, old, f"{new},{old}")  # keys can be changed
    assert texts == [TOKEN, TOKEN]


def test_with_another_key_it_runs_without_and_the_log_says_so(tmp_path: Path, gate: Gate) -> None:
    dump = Dump(f"sqlite:///{tmp_path}/jobs.db", (tmp_path / "jobs.db-wal").read_bytes)
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    texts, log = after_a_crash(tmp_path, dump, gate, *keys)
    assert texts == ["None", "None"]
    for name in ("running", "waiting"):
        assert f"job {name}: runs without its authorization, which no encryption key here opens" in log


def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = service_file(tmp_path, body=_TOOLS, tools="Who", options=_SETTINGS)
    for key in ("a-key-that-is-too-short", "ä" * 44, f"{Fernet.generate_key().decode()},", "x" * 44):
        env = {"LAMBDA_KIT_ENCRYPTION_KEY": key, "PYTHONPATH": str(ROOT)}
        ended = run_to_end(file, env=env)
        assert ended.returncode == 1
        assert "$LAMBDA_KIT_ENCRYPTION_KEY: the encryption key must be 32 bytes in URL-safe base64" in ended.stderr
        assert key not in ended.stderr
        assert "Traceback" not in ended.stderr
        assert run_to_end(file, "--list-services", env=env).stdout == "who\n"  # which needs no key


# --- the sealer by itself ---


def a_job(job_id: str, sealed: bytes | None) -> Job:
    return Job(id=job_id, tool="t", requested_at=0.0, sealed_authorization=sealed)


def test_what_was_sealed_for_one_job_is_not_opened_for_another() -> None:
    sealer = Sealer(Fernet.generate_key().decode())
    sealed = sealer.seal("one", TOKEN)
    assert sealer.unseal(a_job("one", sealed)) == TOKEN
    assert sealer.unseal(a_job("two", sealed)) is None


def test_keys_can_be_changed_one_after_the_other() -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    sealed = Sealer(old).seal("one", TOKEN)
    assert Sealer(f"{new}, {old}").unseal(a_job("one", sealed)) == TOKEN
    assert Sealer(new).unseal(a_job("one", sealed)) is None
    assert Sealer(old).unseal(a_job("one", Sealer(f"{new},{old}").seal("one", TOKEN))) is None


def test_there_is_nothing_to_seal_without_authorization_or_key() -> None:
    assert Sealer(Fernet.generate_key().decode()).seal("one", None) is None
    assert Sealer(None).seal("one", TOKEN) is None
    assert Sealer("").unseal(a_job("one", b"anything")) is None


def test_a_key_of_the_constructor_is_checked_too() -> None:
    class Name(BaseModel):
        name: str

    class Greet(LambdaTool):
        """Greet"""

        def run(self, req: Name) -> str:
            return req.name

    service = Service(name="Keys", contact={"name": "A", "email": "a@example.com"})
    with pytest.raises(ConfigurationError) as caught:
        ToolServer(service, [Greet], encryption_key="secret-of-mine")
    assert "secret-of-mine" not in str(caught.value)
