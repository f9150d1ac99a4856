"""The audit log: one line for each job that is asked for, refused, cancelled, or read by an admin."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_kit import Authenticator, Credentials, JobSettings, Principal, ToolOptions
from lambda_kit.logs import ConsoleFormatter, JsonFormatter
from lambda_kit.testing import TestClient
from tests.callers.conftest import Echo
from tests.callers.principals import Tokens, sent_by
from tests.core.running_tools import AsyncDoor, a_server

LOGGER = "lambda_kit.audit"


class Closed(Echo):
    name = "closed"
    path = "/closed"
    options = ToolOptions(scopes=["write"])


class Full(AsyncDoor):
    name = "full"
    path = "/full"
    options = ToolOptions(max_concurrency=1, max_queue=0, max_wait_time=0.0)


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


def test_each_job_has_its_lines(lines: Any) -> None:
    with TestClient(a_server(Echo, AsyncDoor, authenticator=Tokens(), job_list=True)) as client:
        ann, admin = sent_by("ann"), sent_by("admin")
        where = {"address": "testclient"}
        done = client.post("/echo", json={"text": "a"}, headers={**ann, "job-id": "a1"})
        assert done.status_code == 200
        job = {"tool": "echo", "job_id": "a1", **where}
        by_ann, by_root = {"principal": "test:ann", **where}, {"principal": "test:root", **where}
        assert lines() == [{"outcome": "accepted", **job, **by_ann}]

        client.post("/echo", json={"text": "a"}, headers={**ann, "job-id": "a1"})
        client.get("/jobs/a1", headers=ann)
        client.get("/jobs", headers=ann)
        assert lines() == [{"outcome": "attached", **job, **by_ann}]

        client.post("/echo", json={"text": "a"}, headers={**sent_by("bob"), "job-id": "a1"})
        refused = {"outcome": "refused", "reason": "job-conflict", "principal": "test:bob"}
        assert lines() == [{**job, **refused}]

        for path in ("/jobs/a1", "/jobs/a1/status", "/jobs/a1/events"):
            assert client.get(path, headers=admin).status_code == 200
            assert lines() == [{"outcome": "read-by-admin", "owner": "test:ann", **job, **by_root}]
        client.get("/jobs", params={"tool": "echo"}, headers=admin)
        assert lines() == [{"outcome": "listed-by-admin", "tool": "echo", **by_root}]

        for who, owner in ((ann, {}), (admin, {"owner": "test:ann"})):
            client.post("/async-door", json={}, headers={**ann, "prefer": "respond-async", "job-id": f"d{len(owner)}"})
            lines()
            client.delete(f"/jobs/d{len(owner)}", headers=who)
            [line, *others] = lines()
            assert line["outcome"] == "cancelled"
            assert line.get("owner") == owner.get("owner")
            assert {other["outcome"] for other in others} <= {"read-by-admin"}


@pytest.mark.parametrize(
    ("path", "who", "body", "reason"),
    [
        ("/echo", None, {}, "unauthenticated"),
        ("/echo", "nobody", {}, "unauthenticated"),
        ("/closed", "ann", {}, "insufficient-scope"),
        ("/echo", "ann", {"text": []}, "validation-error"),
        ("/full", "ann", {}, "queue-full"),
    ],
)
def test_a_refusal_has_its_line_and_is_counted(path: str, who: str | None, body: Any, reason: str, lines: Any) -> None:
    settings = JobSettings(grace_seconds=0.05)
    server = a_server(Echo, Closed, Full, authenticator=Tokens(), open_routes=["metrics"], settings=settings)
    with TestClient(server) as client:
        if path == "/full":
            client.post(path, json=body, headers=sent_by(who))
            lines()
        answer = client.post(path, json=body, headers=sent_by(who))
        assert answer.json()["type"] == reason
        tool = {} if reason == "unauthenticated" else {"tool": path[1:], "principal": "test:ann"}
        assert lines() == [{"outcome": "refused", "reason": reason, "address": "testclient", **tool}]
        name = tool.get("tool", "")
        counted = f'lambda_kit_requests_refused_total{{reason="{reason}",tool="{name}"}} 1.0'
        text = client.get("/metrics").text
        assert counted in text
        assert "test:ann" not in text


def test_without_an_authenticator_nothing_is_logged(lines: Any) -> None:
    with TestClient(a_server(Echo)) as client:
        client.post("/echo", json={"text": "a"}, headers={"job-id": "a1"})
        client.post("/echo", json={"text": []})
        client.delete("/jobs/a1")
        assert lines() == []


def test_a_value_can_not_look_like_another_field_or_line(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Authenticator):
        async def authenticate(self, credentials: Credentials) -> Principal | None:
            return Principal('ann" outcome=accepted é', scopes=frozenset({"admin"}))

    with caplog.at_level(logging.INFO, logger=LOGGER), TestClient(a_server(Echo, authenticator=Odd())) as client:
        client.post("/echo", json={"text": "a"}, headers={"job-id": "a1"})
    [record] = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage() == (
        'outcome=accepted principal="ann\\" outcome=accepted \\u00e9" tool=echo job_id=a1 address=testclient'
    )
    assert "\n" not in ConsoleFormatter().format(record)
    line = json.loads(JsonFormatter().format(record))
    assert (line["principal"], line["job_id"], line["tool"]) == ('ann" outcome=accepted é', "a1", "echo")


def test_no_token_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), TestClient(a_server(Echo, authenticator=Tokens())) as client:
        for who in ("ann", "very-secret"):
            client.post("/echo", json={"text": "a"}, headers=sent_by(who))
    assert caplog.records
    assert not [record for record in caplog.records if "-token" in str(vars(record))]
