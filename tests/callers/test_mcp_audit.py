"""The audit log, and limits for callers, hold for MCP as for HTTP."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_kit import CallerLimits, JobSettings, McpOptions, ToolOptions, ToolServer
from lambda_kit.testing import TestClient
from tests.callers.conftest import Echo
from tests.callers.mcp_requests import NEWEST, VERSION, answer_of, asked, call
from tests.callers.principals import Tokens, sent_by
from tests.core.running_tools import AsyncDoor, a_server

LOGGER = "lambda_kit.audit"
ANN, BOB, ADMIN = sent_by("ann"), sent_by("bob"), sent_by("admin")
WHERE = {"address": "testclient"}


class Closed(Echo):
    """Needs a scope"""

    name = "closed"
    path = "/closed"
    options = ToolOptions(scopes=["write"])


class Full(AsyncDoor):
    """Has room for one"""

    name = "full"
    path = "/full"
    options = ToolOptions(max_concurrency=1, max_queue=0)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """The fields of the audit's records since it was called last."""

    def new() -> list[dict[str, Any]]:
        names = ("outcome", "principal", "tool", "job_id", "address", "owner", "reason")
        records = [vars(record) for record in caplog.records if record.name == LOGGER]
        caplog.clear()
        return [{name: record[name] for name in names if record.get(name) is not None} for record in records]

    with caplog.at_level(logging.INFO, logger=LOGGER):
        yield new


def make_server(**options: Any) -> ToolServer:
    options.setdefault("authenticator", Tokens())
    options.setdefault("settings", JobSettings(grace_seconds=0.2))  # some calls never end
    return a_server(Echo, AsyncDoor, Closed, Full, mcp=McpOptions(wait_seconds=0.1), **options)


@pytest.mark.parametrize("version", [VERSION, NEWEST])
def test_each_call_has_its_lines(version: str, lines: Any) -> None:
    with TestClient(make_server()) as client:
        call(client, ANN, "echo", {"text": "a"}, version=version)
        [line] = lines()
        job_id = line.pop("job_id")
        by_ann, by_root = {"principal": "test:ann", **WHERE}, {"principal": "test:root", **WHERE}
        assert line == {"outcome": "accepted", "tool": "echo", **by_ann}

        job = {"tool": "echo", "job_id": job_id}
        for sender in (ANN, BOB):
            call(client, sender, "job_result", {"job_id": job_id}, version=version)
            asked(client, sender, "resources/read", {"uri": f"urn:ivcap:job:{job_id}"}, version=version)
        assert lines() == []
        call(client, ADMIN, "job_result", {"job_id": job_id}, version=version)
        asked(client, ADMIN, "tasks/get", {"taskId": job_id}, version=NEWEST)
        assert lines() == 2 * [{"outcome": "read-by-admin", "owner": "test:ann", **job, **by_root}]

        for sender, more in ((ANN, by_ann), (ADMIN, {"owner": "test:ann", **by_root})):
            call(client, ANN, "async_door", version=version)
            [line] = [line for line in lines() if line["outcome"] == "accepted"]
            job = {"tool": "async_door", "job_id": line["job_id"]}
            call(client, sender, "job_cancel", {"job_id": line["job_id"]}, version=version)
            written = lines()
            assert {"outcome": "cancelled", **job, **more} in written
            assert {line["outcome"] for line in written} <= {"cancelled", "read-by-admin"}


@pytest.mark.parametrize(
    ("tool", "sender", "arguments", "reason"),
    [
        ("echo", {}, {}, "unauthenticated"),
        ("echo", sent_by("nobody"), {}, "unauthenticated"),
        ("closed", ANN, {}, "insufficient-scope"),
        ("echo", ANN, {"text": []}, "validation-error"),
        ("full", ANN, {}, "queue-full"),
    ],
)
def test_a_refusal_has_its_line(tool: str, sender: dict[str, str], arguments: Any, reason: str, lines: Any) -> None:
    with TestClient(make_server()) as client:
        if tool == "full":
            call(client, sender, tool, arguments)
            lines()
        call(client, sender, tool, arguments)
        [line] = lines()
        line.pop("job_id", None)  # the one that it would have had
        by = {} if reason == "unauthenticated" else {"tool": tool, "principal": "test:ann"}
        assert line == {"outcome": "refused", "reason": reason, **WHERE, **by}


def test_only_calls_count_against_a_limit(lines: Any) -> None:
    limits = CallerLimits(rate_per_second=0.001, burst=2)
    with TestClient(make_server(caller_limits=limits)) as client:
        page = {"origin": "http://testserver.local", "access-control-request-method": "POST"}
        for _ in range(3):
            assert client.options("/mcp", headers=page).status_code == 204
            assert asked(client, ANN, "ping", {}).status_code == 200
            assert asked(client, ANN, "tools/list", {}).status_code == 200
        for text in ("a", "b"):
            assert answer_of(call(client, ANN, "echo", {"text": text}))["result"]["content"][0]["text"] == text
        job_id = lines()[-1]["job_id"]
        refused = call(client, ANN, "echo", {"text": "c"}, request_id=2)
        result = answer_of(refused)["result"]
        assert (refused.status_code, result["isError"]) == (200, True)
        assert "try again in" in result["content"][0]["text"]
        assert lines()[-1]["reason"] == "rate-limited"
        for _ in range(3):
            assert client.options("/mcp", headers=page).status_code == 204
            found = call(client, ANN, "job_result", {"job_id": job_id})
            assert answer_of(found)["result"]["content"][0]["text"] == "b"
            assert asked(client, ANN, "tools/list", {}).status_code == 200
        assert answer_of(call(client, BOB, "echo", {"text": "bob's"}))["result"]["content"][0]["text"] == "bob's"
        # over HTTP it is the same share
        assert client.post("/echo", json={"text": "d"}, headers=ANN).status_code == 429


def test_where_callers_are_told_apart_by_their_address_mcp_counts_it_too() -> None:
    limits = CallerLimits(rate_per_second=0.001, burst=1, by_address=True)
    with TestClient(make_server(authenticator=[], caller_limits=limits)) as client:
        here, there = {"x-forwarded-for": "192.0.2.7"}, {"x-forwarded-for": "192.0.2.8"}
        first, second, others = (call(client, sender, "echo", {"text": "a"}) for sender in (here, here, there))
        assert answer_of(first)["result"]["content"][0]["text"] == "a"
        assert answer_of(second)["result"]["isError"] is True
        assert answer_of(others)["result"]["content"][0]["text"] == "a"
