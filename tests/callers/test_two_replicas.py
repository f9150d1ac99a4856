"""Two services on one store: whose a job is holds at both, on real connections, and after one of them is killed."""

import json
import signal
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from lambda_kit.testing import FakeIssuer
from tests.auth.keys import Key
from tests.callers.credential_fuzz import AUDIENCE
from tests.callers.test_every_route import OWNED
from tests.support.gate import Gate
from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.service_process import ServiceProcess
from tests.wire.answers import new_id

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FILE = Path(__file__).with_name("service.py")
SECONDS = 120.0
ROUTES = [
    route.replace("/echo", "/who").replace("/async-door", "/held").replace("{job_id:str}", "{}")
    for route in OWNED
    if " /1/" not in route  # the platform's API is not of a deployed service
]


class Site(NamedTuple):
    """Two services, and who calls them."""

    here: httpx.Client
    there: httpx.Client
    killed: ServiceProcess
    """The one that is `here`."""
    gate: Gate
    ann: dict[str, str]
    ann_later: dict[str, str]
    """With a token that she has refreshed."""
    others: dict[str, dict[str, str]]
    """Who has no job: by a key, by the gateway, and by a token of another subject."""
    admin: dict[str, str]
    ann_id: str

    @property
    def clients(self) -> tuple[httpx.Client, httpx.Client]:
        return self.here, self.there

    def start(self, client: httpx.Client, path: str = "/held") -> str:
        """Have ann's job made."""
        job_id = new_id()
        fields = {**self.ann, "Job-Id": job_id, "Prefer": "respond-async"}
        assert client.post(path, json={}, headers=fields).status_code == 204
        return job_id

    def result(self, client: httpx.Client, job_id: str) -> Any:
        """Wait for the result of ann's job."""
        answer = client.get(f"/jobs/{job_id}", headers={**self.ann_later, "Prefer": "wait=100"})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(params=["redis", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Site]:
    ann, bob, root = "ann", Key("bob"), Key("root", "scopes=admin")
    (tmp_path / "keys").write_text(f"{bob.line}\n{root.line}\n")
    with ExitStack() as opened:
        issuer = opened.enter_context(FakeIssuer())
        gate = opened.enter_context(Gate())
        env = {
            "CALLERS_KEYS": str(tmp_path / "keys"),
            "CALLERS_ISSUER": issuer.url,
            "CALLERS_GATEWAY": "127.0.0.1",
            "CALLERS_GATE": str(gate.port),
            "CALLERS_LEASE": "1000",  # the death of the process is seen, not waited for
        }
        if request.param == "redis":
            env |= {"CALLERS_STORE": REDIS_URL, "CALLERS_PREFIX": opened.enter_context(new_prefix())}
        else:
            env |= {"CALLERS_STORE": POSTGRES_URL, "CALLERS_SCHEMA": opened.enter_context(new_schema())}
        services = [
            opened.enter_context(ServiceProcess(FILE, env=env, seconds=SECONDS, exit_code=code)) for code in (None, 0)
        ]
        here, there = (opened.enter_context(httpx.Client(base_url=it.url, timeout=SECONDS)) for it in services)

        def bearer(subject: str) -> dict[str, str]:
            token = issuer.token(subject, audience=AUDIENCE, scopes=["read"], name=f"The {subject}")
            return {"Authorization": f"Bearer {token}"}

        opened.callback(gate.release_all)
        yield Site(
            here,
            there,
            services[0],
            gate,
            ann=bearer(ann),
            ann_later=bearer(ann),
            others={"bob": {"X-API-Key": bob.key}, "carol": {"X-Forwarded-User": "ann"}, "dan": bearer("dan")},
            admin={"X-API-Key": root.key},
            ann_id=f"oidc:{issuer.url}#{ann}",
        )


def nobody_else_sees(site: Site, job_id: str, client: httpx.Client) -> None:
    """On each route, another's job is as if it were not there."""
    for name, other in site.others.items():
        for route in ROUTES:
            method, _, path = route.partition(" ")
            theirs = client.request(method, path.format(job_id), headers=other)
            nobodys = client.request(method, path.format("n" * len(job_id)), headers=other)
            assert theirs.status_code == nobodys.status_code == 404, (name, route)
            assert theirs.text == nobodys.text.replace("n" * len(job_id), job_id)
        taken = client.post("/held", json={}, headers={**other, "Job-Id": job_id})
        assert taken.status_code == 409
        assert taken.json()["detail"] == "the job id is in use: choose another id"
        assert job_id not in client.get("/jobs", headers=other).text
    assert client.get(f"/jobs/{job_id}/events").status_code == 401


def events_of(stream: httpx.Response, lines: Any) -> dict[str, Any]:
    """The next event."""
    assert stream.status_code == 200
    line: str = next(line for line in lines if line.startswith("data: "))
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event


def test_whose_a_job_is_holds_at_each_service_and_after_a_kill(site: Site) -> None:
    for taker, other in (site.clients, site.clients[::-1]):
        job_id = site.start(taker)
        held = site.gate.wait_for_arrival(SECONDS)
        # a live stream of the other service, with a token that was refreshed
        with other.stream("GET", f"/jobs/{job_id}/events", headers=site.ann_later) as stream:
            lines = stream.iter_lines()
            assert events_of(stream, lines)
            for client in site.clients:
                nobody_else_sees(site, job_id, client)
            attached = other.post("/held", json={}, headers={**site.ann_later, "Job-Id": job_id})
            assert attached.status_code == 204
            assert attached.headers["job-id"].rpartition(":")[2] == job_id
            record = other.get(f"/jobs/{job_id}/status", headers=site.ann_later).json()
            assert record["status"] == "executing"
            held.release()
            rest = "\n".join(lines)
        assert "goes on" in rest
        assert '"succeeded"' in rest
        assert site.result(other, job_id)["id"] == site.ann_id
        nobody_else_sees(site, job_id, other)
        assert other.get(f"/jobs/{job_id}", headers=site.admin).status_code == 200
        # an admin at the other service cancels a job that runs here
        running = site.start(taker)
        site.gate.wait_for_arrival(SECONDS)
        assert other.delete(f"/jobs/{running}", headers=site.admin).status_code in (200, 202)
        ended = other.get(f"/jobs/{running}", headers={**site.ann_later, "Prefer": "wait=100"})
        assert ended.status_code == 410, ended.text
    the_successor_knows_who_asked(site)


def the_successor_knows_who_asked(site: Site) -> None:
    job_id = site.start(site.here)
    site.gate.wait_for_arrival(SECONDS)
    first = site.killed.process.pid
    site.killed.stop(signal.SIGKILL)
    held = site.gate.wait_for_arrival(SECONDS)
    nobody_else_sees(site, job_id, site.there)
    held.release()
    result = site.result(site.there, job_id)
    assert result.pop("by") != first
    assert result == {"id": site.ann_id, "name": "The ann", "scopes": ["read"], "attempt": 2}
    nobody_else_sees(site, job_id, site.there)
