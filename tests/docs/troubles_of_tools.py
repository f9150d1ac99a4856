"""What docs/troubleshooting.md says of tools, servers and their start, reproduced."""

# mypy: disable-error-code="empty-body, no-untyped-def"
# pyright: reportReturnType=false

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_kit import (
    BaseEvent,
    LambdaTool,
    MemoryJobStore,
    Service,
    ToolOptions,
    ToolServer,
    with_schema,
)
from tests.docs.process_tools import Locked
from tests.docs.troubles import SERVICE, GreetRequest, greeter, refused, served, shows
from tests.support.service_command import run_to_end

ROOT = Path(__file__).parents[2]


# --- when a tool is defined ---


@refused("Greet.run has no return annotation")
def no_return_annotation() -> None:
    class Greet(LambdaTool):
        def run(self, req: GreetRequest): ...


@refused("Greet.run has no request parameter")
def no_request() -> None:
    class Greet(LambdaTool):
        def run(self) -> str: ...


@refused("Greet.run has no 'self': its first parameter is 'req'")
def no_self() -> None:
    class Greet(LambdaTool):
        def run(req: GreetRequest) -> str: ...  # type: ignore[misc]  # noqa: N805


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


@refused("must be a number of at least 0 and at most 2147483648, or None")
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


@refused("ToolServer(tools=Greet): must be a list of tools: write tools=[Greet]")
def a_class_for_a_list() -> None:
    ToolServer(SERVICE, tools=greeter())  # type: ignore[arg-type]


@refused("Greet.is_ready is a property: remove '@property'")
def a_property_as_hook() -> None:
    served(greeter(is_ready=property(lambda _self: True)))


@refused("ToolServer(store=MemoryJobStore): it is a class: pass an instance, MemoryJobStore(...)")
def a_class_for_an_instance() -> None:
    served(greeter(), store=MemoryJobStore)


@refused("Service(contact=...): Field required")
def a_service_without_contact() -> None:
    Service(name="Test")  # type: ignore[call-arg]


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


@refused("Greet is defined inside a function, where a worker process can't find it")
def a_tool_that_workers_cant_find() -> None:
    class Greet(LambdaTool):
        options = ToolOptions(executor="process")

        def run(self, req: GreetRequest) -> str: ...

    served(Greet)


@refused("Locked can't be pickled, and so not be sent to a worker process (its attribute 'lock' is what can't be)")
def a_tool_that_cant_be_pickled() -> None:
    served(Locked)


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


@shows("a worker process imports this file to find its tools, and that starts the service again")
def a_file_without_guard() -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "unguarded.py"
        guarded = (ROOT / "docs_src" / "in_processes.py").read_text()
        file.write_text(re.sub(r"if __name__ == .*\n +", "", guarded))
        done = run_to_end(file, "--host", "127.0.0.1", "--port", "0", by_new_interpreter=True)
    assert done.returncode == 3
    return done.stderr


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
