"""Principals: what tools and the service's own code see of them, and what they may do."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit import (
    AuthenticationError,
    Authenticator,
    ConfigurationError,
    Credentials,
    Job,
    JobContext,
    JobNotFoundError,
    JobStatus,
    LambdaTool,
    MemoryJobStore,
    PermissionDeniedError,
    Principal,
    SqliteJobStore,
    ToolDefinitionError,
    ToolOptions,
    ToolServer,
    UnavailableError,
)
from lambda_kit.core.model.job import Payload
from lambda_kit.testing import TestClient
from tests.callers.principals import ANN, TOKENS, Tokens, sent_by
from tests.core.running_tools import Ask, AsyncDoor, a_server, until

BOB = TOKENS["bob-token"]
ADMIN = TOKENS["admin-token"]
BODY = Payload(b'{"text": "a"}', "application/json")


class Who(LambdaTool):
    """Says who asks"""

    async def run(self, req: Ask, ctx: JobContext) -> dict[str, Any]:
        principal = ctx.principal
        if principal is None:
            return {"id": None, "authorization": ctx.job_authorization}
        return {
            "id": principal.id,
            "name": principal.name,
            "scopes": sorted(principal.scopes),
            "authorization": ctx.job_authorization,
        }


class WhoInThread(Who):
    def run(self, req: Ask, ctx: JobContext) -> dict[str, Any]:  # type: ignore[override]
        return asyncio.run(Who.run(self, req, ctx))


class WhoInProcess(WhoInThread):
    options = ToolOptions(executor="process", scopes=["read"])


ANN_SEEN = {"id": "test:ann", "name": "Ann", "scopes": ["read"], "authorization": None}


@pytest.mark.parametrize("tool", [Who, WhoInThread, WhoInProcess])
def test_a_tool_sees_who_asks_and_not_the_token(tool: type[LambdaTool]) -> None:
    with TestClient(a_server(tool, authenticator=Tokens())) as client:
        path = next(iter(client.server.tools.values())).path
        answer = client.post(path, json={}, headers=sent_by("ann", prefer="wait=30"))
        assert answer.json() == ANN_SEEN


def test_a_token_is_handed_on_where_its_authenticator_says_so() -> None:
    class HandsOn(Tokens):
        hand_on = True

    with TestClient(a_server(Who, authenticator=HandsOn())) as client:
        assert client.post("/who", json={}, headers=sent_by("ann")).json()["authorization"] == "Bearer ann-token"


def test_an_authorization_that_nobody_read_is_handed_on() -> None:
    class ByAddress(Authenticator):
        async def authenticate(self, credentials: Credentials) -> Principal | None:
            return Principal(f"test:{credentials.client}")

        def reads_authorization(self, credentials: Credentials) -> bool:
            return False

    with TestClient(a_server(Who, authenticator=[Tokens(), ByAddress()])) as client:
        seen = client.post("/who", json={}, headers={"authorization": "Basic YTpi"}).json()
        assert seen == {"id": "test:testclient", "name": None, "scopes": [], "authorization": "Basic YTpi"}
        assert client.post("/who", json={}, headers=sent_by("ann")).json()["authorization"] is None


def test_without_an_authenticator_there_is_no_principal() -> None:
    with TestClient(a_server(Who)) as client:
        assert client.post("/who", json={}, headers=sent_by("ann")).json() == {
            "id": None,
            "authorization": "Bearer ann-token",
        }


async def test_another_process_that_runs_the_job_knows_who_asked(tmp_path: Path) -> None:
    taking = a_server(Who, store=SqliteJobStore(tmp_path / "jobs.db"), authenticator=Tokens(), roles="accept")
    running = a_server(Who, store=SqliteJobStore(tmp_path / "jobs.db"), roles="run")
    async with taking, running:
        done = await taking.jobs.acting_for(ANN).submit_and_wait("who", BODY, wait_seconds=30)
        assert done.result is not None
        assert b'"id":"test:ann","name":"Ann","scopes":["read"]' in done.result.content


def test_who_lacks_a_scope_is_told_which_before_the_body_is_read() -> None:
    with TestClient(a_server(WhoInProcess, authenticator=Tokens())) as client:
        answer = client.post("/who-in-process", content=b"no json", headers=sent_by("bob"))
        assert answer.status_code == 403
        assert answer.json()["type"] == "insufficient-scope"
        assert answer.json()["detail"] == "tool 'who_in_process' needs the scope read"
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="read"'


async def test_scopes_hold_for_every_door() -> None:
    async with a_server(WhoInProcess) as server:
        with pytest.raises(PermissionDeniedError, match="needs the scope read"):
            await server.jobs.acting_for(BOB).submit("who_in_process", BODY)
        assert (await server.jobs.list()).jobs == []


@pytest.mark.parametrize("scopes", ["read", ["two words"], ['a"b'], [""], ["ä"], [1]])
def test_a_scope_is_a_word(scopes: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="must be a list of words"):
        ToolOptions(scopes=scopes)


@pytest.mark.parametrize("given", ["", "a" * 513, "a\nb", None, 4])
def test_the_id_of_a_principal_can_be_kept(given: Any) -> None:
    with pytest.raises(ValueError, match="the id of a principal must be"):
        Principal(given)


def test_scopes_are_taken_as_any_set_of_words() -> None:
    assert Principal("a", scopes=["b", "c"]) == Principal("a", scopes=frozenset({"c", "b"}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="set of words"):
        Principal("a", scopes="admin")  # type: ignore[arg-type]


# --- in process ---


async def in_all_ways(server: ToolServer, principal: Principal, job_id: str) -> list[Any]:
    """What each method of the door answers, or raises, for a job."""
    jobs = server.jobs.acting_for(principal)

    async def events() -> int:
        return len([event async for event in jobs.events(job_id)])

    calls = [jobs.get(job_id), jobs.wait(job_id, wait_seconds=0), events(), jobs.cancel(job_id)]
    return [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)]


async def test_in_process_too_anothers_job_is_not_there() -> None:
    async with a_server(AsyncDoor, Who) as server:
        job = await server.jobs.acting_for(ANN).submit("async_door", BODY)
        await until(lambda: job_is(server, job.id, JobStatus.EXECUTING))
        assert await in_all_ways(server, BOB, job.id) == [JobNotFoundError] * 4
        assert (await server.jobs.acting_for(BOB).list()).jobs == []
        assert [each.id for each in (await server.jobs.acting_for(ADMIN).list()).jobs] == [job.id]
        assert (await server.jobs.get(job.id)).status is JobStatus.EXECUTING
        server.jobs.acting_for(BOB).cancel_soon(job.id)
        assert (await server.jobs.acting_for(ADMIN).cancel(job.id)).cancel_requested


def job_is(server: ToolServer, job_id: str, status: JobStatus) -> bool:
    local = server._engine.table.get(job_id)
    return local is not None and local.run is not None and local.run.job.status is status


async def test_what_the_services_own_code_runs_is_nobodys() -> None:
    async with a_server(Who, job_list=True) as server:
        await server.run_tool(Who, {})
        assert (await server.jobs.acting_for(BOB).list()).jobs == []


class CountingStore(MemoryJobStore):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def get(self, job_id: str) -> Job | None:
        self.calls["get"] += 1
        return await super().get(job_id)

    async def read_events(self, *args: Any, **options: Any) -> Any:
        self.calls["read_events"] += 1
        return await super().read_events(*args, **options)

    async def request_cancel(self, *args: Any, **options: Any) -> Any:
        self.calls["request_cancel"] += 1
        return await super().request_cancel(*args, **options)


@pytest.mark.parametrize("way", ["GET {}", "GET {}/status", "GET {}/events", "DELETE {}"])
def test_not_yours_asks_the_store_the_same_as_not_there(way: str) -> None:
    """So that the time of an answer does not tell whether another has a job of that id."""
    method, _, template = way.partition(" ")
    store = CountingStore()
    with TestClient(a_server(Who, store=store, authenticator=Tokens())) as client:
        client.post("/who", json={}, headers=sent_by("ann", job_id="anns"))

        def asked(job_id: str) -> Counter[str]:
            store.calls.clear()
            path = template.format(f"/jobs/{job_id}")
            assert client.request(method, path, headers=sent_by("bob")).status_code == 404
            return store.calls.copy()

        assert asked("anns") == asked("none") == Counter(get=1)


# --- authenticators, as the server treats them ---


class Broken(Authenticator):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("secret"), asyncio.CancelledError("secret")], ids=["failed", "cancelled"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/who"), ("GET", "/jobs")])
def test_an_authenticator_that_fails_lets_nobody_in(
    error: BaseException, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = a_server(Who, authenticator=[Broken(error), Tokens()], job_list=True)
    with TestClient(server) as client:
        answer = client.request(method, path, json={}, headers=sent_by("ann"))
    assert (answer.status_code, answer.json()["type"]) == (401, "unauthenticated")
    assert "secret" not in answer.text + caplog.text
    assert "Broken failed" in caplog.text
    assert "in authenticate" in caplog.text


def test_an_authenticator_that_returns_no_principal_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    class Wordy(Authenticator):
        async def authenticate(self, credentials: Credentials) -> Any:
            return "admin"

    with TestClient(a_server(Who, authenticator=Wordy())) as client:
        assert client.post("/who", json={}).status_code == 401
    assert "Wordy failed" in caplog.text


def test_a_challenge_that_cant_be_sent_is_left_out() -> None:
    error = AuthenticationError("the token € is unknown", challenge=["Bearer", "Bearer a\r\nset-cookie: b", "Own ä€"])
    with TestClient(a_server(Who, authenticator=Broken(error))) as client:
        answer = client.get("/jobs/a")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_an_authenticator_that_is_away_says_when_to_come_back() -> None:
    away = Broken(UnavailableError("the provider is away", retry_after_seconds=7))
    with TestClient(a_server(Who, authenticator=away)) as client:
        answer: httpx.Response = client.post("/who", json={}, headers=sent_by("ann"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json()["detail"] == "the credentials can't be checked now: try again later"


async def test_authenticators_live_as_long_as_the_server() -> None:
    class Living(Tokens):
        def __init__(self) -> None:
            self.life: list[str] = []

        async def start(self) -> None:
            self.life.append("start")

        async def stop(self) -> None:
            self.life.append("stop")

    living = Living()
    server = a_server(Who, authenticator=living)
    for _ in range(2):
        async with server:
            assert living.life[-1] == "start"
    assert living.life == ["start", "stop", "start", "stop"]


async def test_an_authenticator_that_never_stops_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging(Tokens):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("lambda_kit.core.jobs.access._STOP_SECONDS", 0.01)
    async with asyncio.timeout(60), a_server(Who, authenticator=Hanging()):
        pass
    assert "Hanging.stop takes longer than 0.01 s" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"authenticator": Tokens}, {"authenticator": "keys"}, {"open_routes": ["jobs"]}, {"open_routes": "openapi"}],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        a_server(Who, **wrong)
