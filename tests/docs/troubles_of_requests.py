"""What docs/troubleshooting.md says of requests that are refused, reproduced."""

# mypy: disable-error-code="empty-body, no-untyped-def"
# pyright: reportReturnType=false

import asyncio
import errno
import sys
import threading
from typing import Any
from unittest import mock

from pydantic import BaseModel

from lambda_kit import (
    CallerLimits,
    LambdaTool,
    ToolOptions,
    UploadedFile,
)
from lambda_kit.adapters.metrics import prometheus
from lambda_kit.testing import TestClient
from tests.docs.troubles import GreetRequest, Warnings, answer, greeter, refused, served, shows
from tests.support.metrics_source import FixedNumbers, ready


class WithFile(BaseModel):
    file: UploadedFile


@shows("there is no such path: GET /openapi.json lists all")
def a_misspelt_path() -> str:
    return answer(404, path="/great", json={"name": "Ada"})


@shows("Content-Type 'application/x-www-form-urlencoded': send JSON in UTF-8 as 'application/json'")
def a_form() -> str:
    return answer(415, data={"name": "Ada"})


@shows("The request does not fit GreetRequest: body.name: Field required")
def a_missing_field() -> str:
    return answer(422, json={})


@shows("The request does not fit GreetRequest: body: Invalid JSON")
def broken_json() -> str:
    return answer(422, content=b"{'name': 'Ada'}")


@shows("$schema must be 'urn:example:schema:greet.request.1', got 'urn:example:schema:other.1'")
def another_schema() -> str:
    return answer(422, json={"$schema": "urn:example:schema:other.1", "name": "Ada"})


@shows("the body is over the limit of 1000 bytes")
def too_large() -> str:
    return answer(413, json={"name": "A" * 1000}, options={"max_body_bytes": 1000})


@shows("the request comes from a page of another origin, which may not change anything here")
def a_page_of_another_origin() -> str:
    return answer(403, json={"name": "Ada"}, headers={"Origin": "https://app.example.com"})


@shows("Host: it is none of those by which this service may be called")
def a_foreign_host() -> str:
    return answer(403, json={"name": "Ada"}, options={"allowed_hosts": ["api.example.com"]})


@shows("Content-Encoding: send the body as it is, without a coding")
def a_compressed_body() -> str:
    return answer(415, content=b"x", headers={"Content-Encoding": "gzip"})


@shows("is ignored, since that is no trusted proxy")
def a_proxy_that_is_not_trusted() -> str:
    with (
        Warnings("lambda_kit.http", "no trusted proxy") as log,
        TestClient(served(greeter(), forwarded_allow_ips="10.0.0.0/8")) as client,
    ):
        client.get("/greet", headers={"X-Forwarded-Host": "api.example.com"})
    return log.message


@shows("jobs are refused by 503: the server has not been started")
def a_server_without_lifespan() -> str:
    with Warnings("lambda_kit.service", "has not been started") as log:
        TestClient(served(greeter())).post("/greet", json={"name": "Ada"})
    return log.message


class Size(LambdaTool):
    path = "/size"

    def run(self, req: WithFile) -> int:
        return req.file.size


@shows("the parts of the form are over the limit of 1000 bytes")
def too_large_a_form() -> str:
    return answer(413, Size, path="/size", files={"file": b"A" * 1001}, options={"max_upload_bytes": 1000})


@shows("Content-Type: multipart/form-data without a boundary: let your HTTP client set the field")
def no_boundary() -> str:
    return answer(400, Size, path="/size", content=b"", headers={"Content-Type": "multipart/form-data"})


@shows("the service has no room for an upload now")
def no_room() -> str:
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("tempfile.mkstemp", side_effect=full):
        return answer(503, Size, path="/size", files={"file": b"A" * 2_000_000})


@shows("Timeout: 'soon' is not a number of seconds")
def no_number() -> str:
    return answer(400, json={"name": "Ada"}, headers={"Timeout": "soon"})


@shows("Job-Time-Limit: 'soon' is not a number of seconds")
def no_number_as_limit() -> str:
    return answer(400, json={"name": "Ada"}, headers={"Job-Time-Limit": "soon"})


@shows("a time limit of 90 s: tool 'greet' allows at most 60 s")
def a_limit_over_the_tools() -> str:
    tool = greeter(options=ToolOptions(time_limit_seconds=60))
    return answer(400, tool, json={"name": "Ada"}, headers={"Job-Time-Limit": "90"})


@shows("tool 'greet' has 1 jobs waiting or running: come back later")
def a_full_queue() -> str:
    go_on = threading.Event()

    class Greet(LambdaTool):
        options = ToolOptions(max_concurrency=1, max_queue=0)

        def run(self, req: GreetRequest) -> bool:
            return go_on.wait(30)

    with TestClient(served(Greet)) as client:
        first = client.post("/greet", json={"name": "Ada"}, headers={"Prefer": "respond-async"})
        second = client.post("/greet", json={"name": "Bob"})
        go_on.set()
    assert (first.status_code, second.status_code) == (204, 429)
    assert int(second.headers["retry-after"]) >= 1
    return str(second.json()["detail"])


@shows("you may start 1 job per second, and 1 at once: come back later")
def too_many_requests() -> str:
    limits = CallerLimits(rate_per_second=1, by_address=True)
    with TestClient(served(greeter(), caller_limits=limits)) as client:
        sender = {"X-Forwarded-For": "192.0.2.1"}
        answers = [client.post("/greet", json={"name": "Ada"}, headers=sender) for _ in range(10)]
    return next(str(answer.json()["detail"]) for answer in answers if answer.status_code == 429)


@shows("2 of your jobs are waiting or running, which is as many as you may have")
def too_many_unfinished_jobs() -> str:
    go_on = threading.Event()

    class Greet(LambdaTool):
        options = ToolOptions(max_wait_time=0)

        def run(self, req: GreetRequest) -> bool:
            return go_on.wait(30)

    with TestClient(served(Greet, caller_limits=CallerLimits(max_unfinished=2, by_address=True))) as client:
        sender = {"X-Forwarded-For": "192.0.2.1"}
        answers = [client.post("/greet", json={"name": "Ada"}, headers=sender) for _ in range(3)]
        go_on.set()
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    return str(answers[-1].json()["detail"])


@refused("the service is not taking jobs now")
def a_service_that_stops() -> None:
    async def ask_too_late() -> None:
        async with served(greeter()) as server:
            server.begin_stop()
            await server.run_tool("greet", {"name": "Ada"})

    asyncio.run(ask_too_late())


@shows("'my job' is not a job id")
def no_job_id() -> str:
    return answer(400, json={"name": "Ada"}, headers={"job-id": "my job"})


@shows("job 'my-job' was made with another body: choose another id for another request")
def the_id_of_another_body() -> str:
    with TestClient(served(greeter())) as client:
        first = client.post("/greet", json={"name": "Ada"}, headers={"job-id": "my-job"})
        second = client.post("/greet", json={"name": "Bob"}, headers={"job-id": "my-job"})
    assert (first.status_code, second.status_code) == (200, 409)
    return str(second.json()["detail"])


@shows("job 'my-job' has succeeded already: there is nothing to cancel")
def a_late_cancel() -> str:
    with TestClient(served(greeter())) as client:
        first = client.post("/greet", json={"name": "Ada"}, headers={"job-id": "my-job"})
        second = client.delete("/jobs/my-job")
    assert (first.status_code, second.status_code) == (200, 409)
    return str(second.json()["detail"])


@shows("Last-Event-ID 'soon': must be the id of an event, a whole number")
def a_bad_place_to_resume_at() -> str:
    with TestClient(served(greeter())) as client:
        client.post("/greet", json={"name": "Ada"}, headers={"job-id": "my-job"})
        answered = client.get("/jobs/my-job/events", headers={"Last-Event-ID": "soon"})
    assert answered.status_code == 400
    return str(answered.json()["detail"])


@shows("Method Not Allowed")
def another_method() -> str:
    return answer(405, method="DELETE", path="/greet/jobs/my-job")


@shows("tool 'predict' is not ready")
def not_ready() -> str:
    tool = greeter(name="predict", is_ready=lambda _self: False)
    return answer(503, tool, method="GET", path="/_healtz")


@refused("the exposition for Prometheus needs the extra 'metrics', which is not installed")
def no_metrics_extra() -> None:
    missing: dict[str, Any] = {"prometheus_client": None, "lambda_kit.adapters.metrics.exposition": None}
    with mock.patch.dict(sys.modules, missing):
        del sys.modules["lambda_kit.adapters.metrics.exposition"]
        asyncio.run(prometheus.PrometheusMetrics(FixedNumbers(), ready).render(None))
