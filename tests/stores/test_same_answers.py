"""What clients are told does not depend on where the jobs are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lambda_kit import Job, JobContext, LambdaTool, Service, ToolServer
from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.testing import TestClient
from tests.support.store_opener import opener


class Ask(BaseModel):
    numbers: list[int | float] = [1, 2]


class Says(LambdaTool):
    """Says how far it is"""

    def run(self, req: Ask, ctx: JobContext) -> None:
        ctx.progress(20, 20.0, "both")
        done, total = req.numbers
        ctx.progress(done, total)


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    service = Service(name="Same", contact={"name": "A", "email": "a@example.com"})
    with (
        opener(request.param, tmp_path) as new_store,
        TestClient(ToolServer(service, [Says], store=new_store(), job_list=True)) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [([3, 10], '"done":3,"total":10'), ([3.0, 10], '"done":3.0,"total":10'), ([1, 10**40], '"done":1,"total":1e40')],
)
def test_progress_is_shown_as_it_was_said(client: TestClient, numbers: list[Any], shown: str) -> None:
    assert client.post("/says", json={"numbers": numbers}, headers={"job-id": "one"}).status_code == 200
    record = client.get("/jobs/one/status").text.replace("1e+40", "1e40")
    assert f'"progress":{{{shown}' in record
    events = client.get("/jobs/one/events").text.replace("1e+40", "1e40")
    assert '"done":20,"total":20.0,"message":"both"' in events.replace(": ", ":").replace(", ", ",")
    assert shown in events.replace(": ", ":").replace(", ", ",")


def test_the_list_of_a_tool_that_can_not_be_is_empty(client: TestClient) -> None:
    client.post("/says", json={})
    for name in ("%00", "says%00", "nowhere", "%F0%9F%98%80"):
        answer = client.get(f"/jobs?tool={name}")
        assert (answer.status_code, answer.json()) == (200, {"items": []})


def test_the_events_of_a_job_have_other_ids_than_those_of_an_earlier_one_of_its_id() -> None:
    event = Event(3, EventKind.STATUS, "urn:x", 0.0)
    first, second = (Job(id="same", tool="says", requested_at=at) for at in (1.0, 2.0))
    assert event.event_id(first) == event.event_id(first)
    assert event.event_id(first) != event.event_id(second)
