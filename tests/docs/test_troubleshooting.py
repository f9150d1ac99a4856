"""Each heading of docs/troubleshooting.md is reproduced here: what it says is what the software says."""

# mypy: disable-error-code="empty-body, no-untyped-def"
# pyright: reportReturnType=false

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from litestar import Request
from pydantic import BaseModel

from lambda_kit import (
    BaseEvent,
    ExecutorOpts,
    LambdaTool,
    MemoryJobStore,
    Service,
    ToolOptions,
    ToolServer,
    with_schema,
)
from lambda_kit.testing import ManualClock, TestClient

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^### `(.*)`$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
SERVICE = Service(name="Test", contact={"name": "Alice", "email": "alice@example.com"})

Reproduce = Callable[[], str]
REPRODUCTIONS: dict[str, Reproduce] = {}


@with_schema("urn:example:schema:greet.request.1")
class GreetRequest(BaseModel):
    name: str


def shows(heading: str) -> Callable[[Reproduce], Reproduce]:
    def keep(reproduce: Reproduce) -> Reproduce:
        REPRODUCTIONS[heading] = reproduce
        return reproduce

    return keep


def refused(heading: str) -> Callable[[Callable[[], None]], None]:
    def keep(make: Callable[[], None]) -> None:
        def reproduce() -> str:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - the text is compared with the page
                make()
            return str(caught.value)

        REPRODUCTIONS[heading] = reproduce

    return keep


def served(*tools: type[LambdaTool] | LambdaTool, **options: Any) -> ToolServer:
    return ToolServer(SERVICE, tools=tools, **options)


def greeter(annotation: Any = str, greeting: Any = "Hello", **members: Any) -> type[LambdaTool]:
    def run(self: LambdaTool, req: GreetRequest) -> Any:
        return greeting

    run.__annotations__["return"] = annotation
    return type("Greet", (LambdaTool,), {"run": run, **members})


def answer(status: int, *tools: type[LambdaTool] | LambdaTool, **request: Any) -> str:
    path, method = request.pop("path", "/greet"), request.pop("method", "POST")
    with TestClient(served(*(tools or (greeter(),)), **request.pop("options", {}))) as client:
        response = client.request(method, path, **request)
    assert response.status_code == status
    return str(response.json()["detail"])


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_software_says_what_the_heading_says(heading: str) -> None:
    assert heading in REPRODUCTIONS[heading]()


def test_every_reproduction_has_its_heading() -> None:
    assert sorted(REPRODUCTIONS) == sorted(HEADINGS)


# --- when a tool is defined ---


@refused("Greet.run has no return annotation")
def no_return_annotation() -> None:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest): ...


@refused("Greet.run has no request parameter")
def no_request() -> None:
    class Greet(LambdaTool):
        def run(self) -> str: ...


@refused("Greet.run has 2 request parameters")
def two_requests() -> None:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest, other: GreetRequest) -> str: ...


@refused("Greet.run: parameter 'name' is annotated with str, which nothing can supply")
def a_field_as_parameter() -> None:
    class Greet(LambdaTool):
        def run(self, name: str) -> str: ...


@refused("Greet.run: parameter 'ctx' has no annotation")
def no_annotation() -> None:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest, ctx) -> str: ...


@refused("use RequestInfo of lambda_kit (or litestar.Request) instead of starlette's Request")
def a_request_of_another_framework() -> None:
    starlette_request = type("Request", (), {"__module__": "starlette.requests"})

    class Greet(LambdaTool):
        def run(self, req: GreetRequest, request: starlette_request) -> str: ...  # type: ignore[valid-type]


@refused("Greet.run: an annotation names 'GreetRequest', which is not defined where the class is")
def an_unknown_name() -> None:
    names: dict[str, Any] = {"LambdaTool": LambdaTool, "__name__": "somewhere"}
    exec("class Greet(LambdaTool):\n    def run(self, req: 'GreetRequest') -> str: ...", names)
    served(names["Greet"])


@refused("Greet.run is a generator (it has a 'yield')")
def a_generator() -> None:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest) -> Any:
            yield req.name


@refused("must be a number of at least 0, or None")
def an_option_out_of_range() -> None:
    ToolOptions(max_wait_time=-1)


@refused("SlopeEvent must annotate SCHEMA as 'ClassVar[str]'")
def an_event_without_schema() -> None:
    class SlopeEvent(BaseEvent):
        slope: float


@refused("If it is to become a dataclass, write @with_schema above @dataclass")
def decorators_in_the_wrong_order() -> None:
    @dataclass
    @with_schema("urn:example:schema:shift.request.1")
    class ShiftRequest:
        by: float


# --- when a server is built ---


@refused("there is no tool to serve")
def no_tool() -> None:
    served()


@refused("Greet and Greet have the same name, 'greet'")
def the_same_name_twice() -> None:
    served(greeter(), greeter())


class Predict(LambdaTool):
    def __init__(self, model_file: Path) -> None:
        self.model_file = model_file

    def setup(self) -> None:
        self.model_file.read_bytes()

    def run(self, req: GreetRequest) -> str:
        return req.name


@refused("Predict() needs model_file: pass an instance")
def a_constructor_with_arguments() -> None:
    served(Predict)


@refused("tool 'jobs': path '/jobs' is reserved for the service itself")
def a_reserved_path() -> None:
    class Jobs(LambdaTool):
        def run(self, req: GreetRequest) -> str: ...

    served(Jobs)


@refused("Greet.run is a plain 'def', which would block the event loop")
def a_plain_def_on_the_loop() -> None:
    served(greeter(options=ToolOptions(executor="asyncio")))


@refused("the first argument must be a Service(name=..., contact={...})")
def no_service() -> None:
    ToolServer([greeter()])  # type: ignore[arg-type]


# --- when a service starts ---


@refused("tool 'predict': setup failed: FileNotFoundError")
def setup_fails() -> None:
    async def start() -> None:
        async with served(Predict(model_file=Path("no-such-file"))):
            pass

    asyncio.run(start())


@shows("address already in use")
def a_port_that_is_taken() -> str:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "docs_src.shout", "--host", "127.0.0.1", "--port", port]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IVCAP_")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50, check=False
        )
    assert done.returncode not in (0, -signal.SIGKILL)
    return done.stderr


# --- when a request is refused ---


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


@shows("Timeout: 'soon' is not a number of seconds")
def no_number() -> str:
    return answer(400, json={"name": "Ada"}, headers={"Timeout": "soon"})


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


# --- when a job fails ---


@shows("job 'my-job' can't be found: it never existed, or its result is no longer kept")
def expired() -> str:
    clock = ManualClock()
    tool = greeter(options=ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=60)))
    with TestClient(served(tool, store=MemoryJobStore(clock=clock))) as client:
        done = client.post("/greet", json={"name": "Ada"}, headers={"job-id": "my-job"})
        clock.advance(61)
        late = client.get("/jobs/my-job")
    assert (done.status_code, late.status_code) == (200, 404)
    return str(late.json()["detail"])


@shows("service did not return a result")
def none_against_the_annotation() -> str:
    return answer(500, greeter(greeting=None), json={"name": "Ada"})


@shows("can't be encoded: an object of type object can't be encoded as JSON")
def not_encodable() -> str:
    return answer(500, greeter(greeting=object()), json={"name": "Ada"})


@refused("InProcess.run wants a litestar.Request, which there is only over HTTP")
def no_request_in_process() -> None:
    class InProcess(LambdaTool):
        def run(self, req: GreetRequest, request: Request) -> str: ...  # type: ignore[type-arg]

    asyncio.run(served(InProcess).run_tool(InProcess, {"name": "Ada"}))
