"""Whose job it is decides on every method and tool of MCP too; they are found in the server: a new one fails."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit import MemoryJobStore
from lambda_kit.core.model.job import new_job_id
from tests.callers.conftest import Site, make_server
from tests.callers.mcp_requests import NEWEST, SESSION, VERSION, answer_of, asked, call
from tests.callers.principals import sent_by

OPEN_IN = "every principal: there is nothing of a job in it"
OWN = "every principal: what it makes is its own"
OWNER = "the principal whose job it is, and an admin"

METHODS = {
    "initialize": OPEN_IN,
    "ping": OPEN_IN,
    "server/discover": OPEN_IN,
    "tools/list": OPEN_IN,
    "tools/call": OWN,
    "resources/list": OPEN_IN,
    "resources/templates/list": OPEN_IN,
    "resources/read": OWNER,
    "tasks/get": OWNER,
    "tasks/update": OWNER,
    "tasks/cancel": OWNER,
    "subscriptions/listen": OWNER,  # see tests/mcp/test_listen.py
    "notifications/cancelled": OWNER,  # see test_a_cancel_is_for_ones_own_call
    "GET with Last-Event-ID": OWNER,
}
BUILT_IN_TOOLS = {"job_result": OWNER, "job_cancel": OWNER}

Door = Callable[[httpx.Client, str, str], httpx.Response]
"""Asks for a job by its id: who, and which."""


def of_method(method: str, member: str, version: str, **more: Any) -> Door:
    urn = "urn:ivcap:job:" if member == "uri" else ""

    def ask(client: httpx.Client, who: str, job_id: str) -> httpx.Response:
        return asked(client, sent_by(who), method, {member: urn + job_id, **more}, version=version)

    return ask


def of_tool(tool: str, version: str, **more: Any) -> Door:
    def ask(client: httpx.Client, who: str, job_id: str) -> httpx.Response:
        return call(client, sent_by(who), tool, {"job_id": job_id, **more}, version=version)

    return ask


def resuming(client: httpx.Client, who: str, job_id: str) -> httpx.Response:
    fields = {"mcp-session-id": SESSION, "mcp-protocol-version": VERSION, "last-event-id": f"{job_id}/0"}
    return client.get("/mcp", headers={**sent_by(who), "accept": "text/event-stream", **fields})


DOORS: Mapping[str, Door] = {
    **{f"job_result {it}": of_tool("job_result", it, wait_seconds=0) for it in (VERSION, NEWEST)},
    **{f"job_cancel {it}": of_tool("job_cancel", it) for it in (VERSION, NEWEST)},
    **{f"resources/read {it}": of_method("resources/read", "uri", it) for it in (VERSION, NEWEST)},
    "tasks/get": of_method("tasks/get", "taskId", NEWEST),
    "tasks/update": of_method("tasks/update", "taskId", NEWEST, inputResponses={}),
    "tasks/cancel": of_method("tasks/cancel", "taskId", NEWEST),
    "GET with Last-Event-ID": resuming,
}
READING = [door for door in DOORS if "cancel" not in door and "update" not in door]
ELSEWHERE = {"subscriptions/listen", "notifications/cancelled"}


def test_each_method_and_tool_has_a_rule_and_each_that_names_a_job_is_asked(tmp_path: Path) -> None:
    endpoint = make_server(tmp_path, MemoryJobStore()).add_mcp()
    found = {
        method
        for feature in endpoint.features
        for methods in (feature.handlers, feature.extension_handlers, feature.notification_handlers)
        for method in methods
    }
    assert found | {"GET with Last-Event-ID"} == METHODS.keys(), "say in METHODS whom it is for"
    tools = set(endpoint.catalog.tools) - {"echo", "async_door"}
    assert tools <= BUILT_IN_TOOLS.keys()
    owned = {name for name, rule in {**METHODS, **BUILT_IN_TOOLS}.items() if rule == OWNER} - ELSEWHERE
    assert {door.removesuffix(f" {VERSION}").removesuffix(f" {NEWEST}") for door in DOORS} == owned


# --- jobs ---


@pytest.fixture(scope="module")
def called(site: Site) -> Iterator[tuple[str, str]]:
    """Ann's jobs by MCP: one that has ended, and one that runs and whose client has gone."""
    (finished,) = new_jobs(site.taker, "echo", "ann")
    (running,) = new_jobs(site.taker, "async_door", "ann")
    yield finished, running
    site.taker.delete(f"/jobs/{running}", headers=sent_by("ann"))


def new_jobs(client: httpx.Client, tool: str, who: str) -> set[str]:
    """The ids of the jobs that a call makes."""
    before = jobs_of(client, who)
    answer = call(client, sent_by(who), tool, {"text": "ann's"}, session=new_job_id())
    assert answer.status_code == 200, answer.text
    return jobs_of(client, who) - before


def jobs_of(client: httpx.Client, who: str) -> set[str]:
    items = client.get("/jobs", params={"limit": 1000}, headers=sent_by(who)).json()["items"]
    return {item["id"].rpartition(":")[2] for item in items}


def status_of(client: httpx.Client, job_id: str) -> str:
    status: str = client.get(f"/jobs/{job_id}/status", headers=sent_by("ann")).json()["status"]
    return status


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("state", ["finished", "running", "finished over HTTP", "running over HTTP"])
def test_anothers_job_is_as_if_it_were_not_there(site: Site, called: tuple[str, str], door: str, state: str) -> None:
    ids = {"finished": called[0], "running": called[1], "finished over HTTP": site.finished}
    job_id = ids.get(state, site.running)
    before = status_of(site.taker, job_id)
    for client in site.clients:
        nobodys_id = "n" * len(job_id)
        theirs, nobodys = (DOORS[door](client, "bob", one) for one in (job_id, nobodys_id))
        assert theirs.status_code == nobodys.status_code
        assert theirs.text == nobodys.text.replace(nobodys_id, job_id)
        assert "ann's" not in theirs.text
        if door.startswith("GET"):
            assert theirs.status_code == 404
        else:
            answer = answer_of(theirs)
            assert "error" in answer or answer["result"]["isError"] is True
        assert status_of(client, job_id) == before


@pytest.mark.parametrize("who", ["ann", "ann-refreshed", "admin"])
def test_ones_own_job_is_there_and_an_admin_sees_it(site: Site, called: tuple[str, str], who: str) -> None:
    for client in site.clients:
        for door in READING:
            if door.startswith("GET"):  # of the session in which it was called; see tests/mcp/test_resume.py
                continue
            answer = answer_of(DOORS[door](client, who, called[0]))
            assert "ann's" in json.dumps(answer["result"]), door


def test_a_job_that_was_called_is_a_job_like_any_other(site: Site, called: tuple[str, str]) -> None:
    for client in site.clients:
        assert client.get(f"/jobs/{called[0]}", headers=sent_by("ann")).text == "ann's"
        assert client.get(f"/jobs/{called[0]}", headers=sent_by("bob")).status_code == 404
        assert called[0] not in jobs_of(client, "bob")


def test_the_owner_cancels_and_an_admin_does(site: Site) -> None:
    for client in site.clients:
        for who, door in (("ann-refreshed", "job_cancel 2025-11-25"), ("admin", "tasks/cancel")):
            (job_id,) = new_jobs(client, "async_door", "ann")
            assert "error" not in answer_of(DOORS[door](client, who, job_id))
            assert status_of_end(client, job_id) == "cancelled"


def status_of_end(client: httpx.Client, job_id: str) -> str:
    client.get(f"/jobs/{job_id}", headers=sent_by("ann", prefer="wait=20"))
    return status_of(client, job_id)


# --- sessions ---


def test_the_same_session_and_request_id_of_two_principals_are_two_calls(site: Site) -> None:
    session = new_job_id()
    for client in site.clients:
        answers = {}
        for who in ("ann", "bob", "ann-refreshed"):
            response = call(client, sent_by(who), "echo", {"text": f"{who}'s"}, session=session, request_id=7)
            answers[who] = answer_of(response)["result"]["content"][0]["text"]
        assert answers == {who: f"{who}'s" for who in answers}


def cancelled(client: httpx.Client, who: str, session: str) -> httpx.Response:
    """Cancel request 7 of a session."""
    params = {"requestId": 7}
    return asked(client, sent_by(who), "notifications/cancelled", params, session=session, request_id=None)


def test_a_cancel_is_for_ones_own_call(site: Site) -> None:
    session = new_job_id()
    before = jobs_of(site.taker, "ann")
    call(site.taker, sent_by("ann"), "async_door", {"text": "ann's"}, session=session, request_id=7)
    (job_id,) = jobs_of(site.taker, "ann") - before
    for client in site.clients:
        for who in ("bob", "admin"):
            told = asked(
                client, sent_by(who), "notifications/cancelled", {"requestId": 7}, session=session, request_id=None
            )
            assert told.status_code == 202
        assert client.get(f"/jobs/{job_id}", headers=sent_by("ann", timeout="0.3")).status_code == 204
        assert status_of(client, job_id) == "executing"
    asked(
        site.other,
        sent_by("ann-refreshed"),
        "notifications/cancelled",
        {"requestId": 7},
        session=session,
        request_id=None,
    )
    assert status_of_end(site.taker, job_id) == "cancelled"


def test_anothers_session_opens_nothing_of_its_stream(site: Site) -> None:
    session = new_job_id()
    before = jobs_of(site.taker, "ann")
    call(site.taker, sent_by("ann"), "echo", {"text": "ann's"}, session=session)
    (job_id,) = jobs_of(site.taker, "ann") - before
    for client in site.clients:
        fields = {"mcp-session-id": session, "mcp-protocol-version": VERSION, "last-event-id": f"{job_id}/0"}
        for who, statuses in (("bob", {404}), ("ann-refreshed", {200})):
            answer = client.get("/mcp", headers={**sent_by(who), "accept": "text/event-stream", **fields})
            assert answer.status_code in statuses, who
            assert ("ann's" in answer.text) is (200 in statuses)
