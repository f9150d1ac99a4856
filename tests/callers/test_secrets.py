"""Keys and tokens are nowhere: not in the log, the store, an answer, the metrics or telemetry, whatever happens."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from lambda_kit.testing import FakeIssuer
from tests.auth.keys import Key
from tests.callers.credential_fuzz import AUDIENCE
from tests.callers.mcp_requests import NEWEST, VERSION, answer_of, asked, call
from tests.support import leaky_service
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service_process import ServiceProcess
from tests.support.store_dump import Dump, dump_of

pytestmark = pytest.mark.timeout(300)

FILE = Path(leaky_service.__file__)
SECONDS = 120.0
PATHS = ("/on-loop", "/on-thread", "/in-process")
Sender = dict[str, str]


class Secrets:
    """What nobody may find: the keys, their hashes, and the parts of the tokens."""

    def __init__(self) -> None:
        self.texts: set[bytes] = set()

    def key(self, key: str) -> str:
        digest = hashlib.sha256(key.encode())
        self.texts |= {key.encode(), digest.hexdigest().encode(), digest.digest(), repr(digest.digest())[2:-1].encode()}
        return key

    def token(self, token: str, unique: str) -> str:
        """Keep the parts of a token; `unique` is in its payload and nowhere else."""
        self.texts |= {part.encode() for part in token.split(".") if part} | {unique.encode()}
        self.texts.add(hashlib.sha256(token.encode()).digest())
        return token

    def assert_absent(self, content: bytes, where: str) -> None:
        for secret in self.texts:
            assert secret not in content, f"{where}: {content[max(0, content.find(secret) - 300) :][:600]!r}"


@pytest.fixture(
    params=[
        "sqlite-json",
        pytest.param("redis-console", marks=pytest.mark.slow),
        pytest.param("memory-console", marks=pytest.mark.slow),
        pytest.param("postgres-json", marks=pytest.mark.slow),
    ]
)
def dump(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[tuple[Dump, str]]:
    kind, _, log_format = request.param.partition("-")
    with dump_of(kind, tmp_path) as found:
        yield found, log_format


@contextlib.contextmanager
def the_service(store: Dump, log_format: str, auth: str, otlp: OtlpReceiver) -> Generator[ServiceProcess]:
    env = {
        **otlp.env,
        "LAMBDA_KIT_STORE": store.url,
        "LAMBDA_KIT_LOG_FORMAT": log_format,
        "LAMBDA_KIT_LOG_LEVEL": "DEBUG",
        "LAMBDA_KIT_AUTH": auth,
    }
    args = ["--debug", "--job-list", "--access-log", "--with-telemetry", "--with-mcp"]
    with ServiceProcess(FILE, args, env=env, seconds=SECONDS) as service:
        yield service


def test_keys_and_tokens_are_nowhere(dump: tuple[Dump, str], tmp_path: Path) -> None:
    store, log_format = dump
    secrets = Secrets()
    ann, bob, root, gone = Key("ann"), Key("bob"), Key("root", "scopes=admin"), Key("gone", "expires=2020-01-01")
    keys = tmp_path / "keys"
    keys.write_text("\n".join(key.line for key in (ann, bob, root, gone)) + "\n")
    for key in (ann, bob, root, gone):
        secrets.key(key.key)
    with FakeIssuer() as issuer, OtlpReceiver() as otlp:

        def token(name: str, audience: str = AUDIENCE, seconds: float = 3600.0) -> str:
            unique = f"jti-of-{name}-{secrets_of_name(name)}"
            return secrets.token(issuer.token("ann", audience=audience, seconds=seconds, jti=unique), unique)

        right, refreshed = token("first"), token("refreshed")
        altered = right[:-8] + "AAAAAAAA"
        senders: list[Sender] = [
            {"X-API-Key": ann.key},
            {"Authorization": f"Bearer {ann.key}"},
            {"Authorization": f"Bearer {right}"},
        ]
        wrong: list[Sender] = [
            {"X-API-Key": secrets.key(Key("unknown").key)},
            {"X-API-Key": gone.key},
            {"X-API-Key": ann.key[:-1]},
            {"X-API-Key": ann.key, "Authorization": f"Bearer {bob.key}"},
            {"Authorization": f"Bearer {altered}"},
            {"Authorization": f"Bearer {token('of-another', audience='another')}"},
            {"Authorization": f"Bearer {token('expired', seconds=-900)}"},
            {"Authorization": f"Basic {ann.key}"},
        ]
        auth = f"keys:{keys},oidc:{issuer.url}?audience={AUDIENCE}&hand_on=true"
        with the_service(store, log_format, auth, otlp) as service:
            with httpx.Client(base_url=service.url, timeout=SECONDS) as client:
                for number, sender in enumerate(senders):
                    answers = own_jobs(client, sender, number) + calls_by_mcp(client, sender, number)
                    answers += refused(client, sender, wrong, bob.key)
                    for answer in answers:
                        secrets.assert_absent(f"{answer.headers}{answer.text}".encode(), str(answer.request.url))
                again = {"Authorization": f"Bearer {refreshed}"}
                assert (
                    client.post("/on-loop", json={"end": "result"}, headers={**again, "Job-Id": "job-2"}).text == "ok"
                )
                for path in ("/jobs", "/metrics", "/jobs/job-0", "/jobs/job-2/events", "/jobs/job-2/status"):
                    answer = client.get(path, headers={"X-API-Key": root.key})
                    assert answer.status_code == 200
                    secrets.assert_absent(answer.content, path)
                secrets.assert_absent(client.get("/openapi.json").content, "OpenAPI")
            secrets.assert_absent(store.read(), "the store")
            service.wait_for_log("read-by-admin")
        log = service.log
        otlp.wait(lambda: bool(otlp.spans and otlp.points and otlp.lines))
        secrets.assert_absent(otlp.content, "telemetry")
        secrets.assert_absent(repr(otlp.requests).encode(), "the headers of telemetry")
    secrets.assert_absent(log.encode(), "the log")
    for word in ("accepted", "refused", "cancelled", "read-by-admin", "Unauthorized: ***"):
        assert word in log
    if log_format == "json":
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines() if line.startswith("{"))


def secrets_of_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:20]


def own_jobs(client: httpx.Client, sender: Sender, number: int) -> list[httpx.Response]:
    """Jobs that end well, fail in several ways, are attached to, conflict, and are cancelled."""
    answers = []
    for turn, path in enumerate(PATHS):
        for how in ("raise", leaky_service.ENDS[(3 * number + turn) % len(leaky_service.ENDS)]):
            answer = client.post(path, json={"end": how}, headers=sender)
            assert answer.status_code in (200, 400, 500), answer.text
            job_id = answer.headers.get("job-id") or answer.json()["instance"]
            doors = (f"/jobs/{job_id}", f"/jobs/{job_id}/status", f"/jobs/{job_id}/events")
            answers += [answer, *(client.get(door, headers=sender) for door in doors)]
    with_id = {**sender, "Job-Id": f"job-{number}"}
    kept, attached, other, invalid = (
        client.post("/on-loop", content=body, headers={**with_id, "Content-Type": "application/json"})
        for body in ('{"end":"result"}', '{"end":"result"}', '{"end":"raise"}', '{"end": [')
    )
    assert [kept.status_code, attached.status_code, other.status_code] == [200, 200, 409]
    assert invalid.status_code in (400, 409, 422)
    started = client.post("/waits", json={}, headers={**sender, "Prefer": "respond-async"})
    cancelled = client.delete(f"/jobs/{started.headers['job-id']}", headers=sender)
    assert cancelled.status_code in (200, 202)
    return [*answers, kept, attached, other, invalid, started, cancelled]


def calls_by_mcp(client: httpx.Client, sender: Sender, number: int) -> list[httpx.Response]:
    """The same tools, called by MCP in both eras, and their jobs, found by its ways."""
    answers = []
    for turn, (tool, version) in enumerate(itertools.product(("on_loop", "in_process"), (VERSION, NEWEST))):
        for how in ("result", "raise", leaky_service.ENDS[(5 * number + 2 * turn) % len(leaky_service.ENDS)]):
            before = jobs_of(client, sender)
            meta = {"progressToken": f"progress-{turn}"}
            called = call(client, sender, tool, {"end": how}, meta=meta, version=version, request_id=turn)
            assert called.status_code == 200, called.text
            assert "result" in answer_of(called), called.text
            answers.append(called)
            for job_id in jobs_of(client, sender) - before:
                answers += [
                    call(client, sender, "job_result", {"job_id": job_id}, version=version),
                    asked(client, sender, "resources/read", {"uri": f"urn:ivcap:job:{job_id}"}, version=version),
                    asked(client, sender, "tasks/get", {"taskId": job_id}, version=NEWEST),
                    call(client, sender, "job_cancel", {"job_id": job_id}, version=version),
                ]
    wrong = asked(client, sender, "tools/call", {"name": "on_loop", "arguments": {"end": []}})
    unknown = asked(client, sender, "no/method", {})
    listed = asked(client, sender, "tools/list", {})
    return [*answers, wrong, unknown, listed]


def jobs_of(client: httpx.Client, sender: Sender) -> set[str]:
    items = client.get("/jobs", params={"limit": 1000}, headers=sender).json()["items"]
    return {item["id"].rpartition(":")[2] for item in items}


def refused(client: httpx.Client, sender: Sender, wrong: list[Sender], another: str) -> list[httpx.Response]:
    """Wrong credentials, right ones beside wrong ones, and another's job."""
    requests = [
        ("POST", "/on-loop"), ("GET", "/jobs/job-0"), ("POST", "/mcp"), ("DELETE", "/jobs/job-0"), ("GET", "/metrics"),
        ("GET", "/mcp"),
    ]  # fmt: skip
    answers = []
    for number, fields in enumerate(wrong):
        method, path = requests[number % len(requests)]
        answers.append(client.request(method, path, headers=fields))
        assert answers[-1].status_code == 401, answers[-1].text
    bobs = (
        {**sender, "X-API-Key": another}
        if "Bearer lk_" not in sender.get("Authorization", "")
        else {"X-API-Key": another}
    )
    for method, path in (("GET", "/jobs/job-0/events"), ("DELETE", "/jobs/job-0"), ("POST", "/on-loop")):
        fields = {**bobs, "Job-Id": "job-0"} if method == "POST" else bobs
        answers.append(client.request(method, path, json={} if method == "POST" else None, headers=fields))
        assert answers[-1].status_code in (404, 409)
    return answers
