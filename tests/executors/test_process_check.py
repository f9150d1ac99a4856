"""Tools that can't be run in a worker process are refused when the server is built."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litestar
import pytest

from lambda_kit import ConfigurationError, LambdaTool, ProcessExecutor, ToolDefinitionError
from tests.executors.process_tools import Order
from tests.executors.processes import a_server


class WithAttribute(LambdaTool):
    def __init__(self, thing: Any) -> None:
        self.fine = 1
        self.thing = thing

    def run(self, req: Order) -> None: ...


class WantsRequest(LambdaTool):
    def run(self, req: Order, request: litestar.Request[Any, Any, Any]) -> None: ...


class RefusesToBePickled(LambdaTool):
    def __reduce__(self) -> Any:
        raise RuntimeError("no copies")

    def run(self, req: Order) -> None: ...


def _in_a_function() -> LambdaTool:
    class Inner(LambdaTool):
        def run(self, req: Order) -> None: ...

    return Inner()


def _with_a_file() -> LambdaTool:
    with Path(__file__).open() as file:
        return WithAttribute(file)


def _with_a_lambda() -> LambdaTool:
    return WithAttribute(lambda: 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_with_a_lambda, r"WithAttribute can't be pickled.*'thing'.*in 'setup'"),
        (_with_a_file, r"WithAttribute can't be pickled.*'thing'.*in 'setup'"),
        (RefusesToBePickled, r"RefusesToBePickled can't be pickled.*RuntimeError: no copies"),
        (WantsRequest, r"WantsRequest.run takes a litestar.Request.*RequestInfo"),
        (_in_a_function, r"Inner is defined inside a function.*top of a module"),
    ],
)
def test_a_tool_that_can_not_be_sent_is_refused(make: Callable[[], LambdaTool], said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        a_server(make())


@pytest.mark.parametrize(
    "arguments", [{"max_workers": 0}, {"memory_limit_bytes": 0}, {"max_jobs_per_worker": 0}, {"max_workers": -1}]
)
def test_numbers_that_are_too_small_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        ProcessExecutor(**arguments)  # type: ignore[arg-type]


def test_a_tool_that_is_defined_interactively_is_refused() -> None:
    script = """
        from lambda_kit import LambdaTool, ProcessExecutor, Service, ToolServer
        from pydantic import BaseModel
        class Ask(BaseModel): pass
        class Typed(LambdaTool):
            def run(self, req: Ask) -> int: return 1
        service = Service(name="x", contact={"name": "x", "email": "x@example.com"})
        ToolServer(service, [Typed], executor=ProcessExecutor(1, name="workers"))
    """
    done = subprocess.run(
        [sys.executable, "-"], input=textwrap.dedent(script), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Typed is defined interactively" in done.stderr


@pytest.mark.parametrize("start", ["server.serve()", "import asyncio; asyncio.run(server.run_tool(Typed, {}))"])
def test_a_service_file_without_a_guard_is_told_so(tmp_path: Path, start: str) -> None:
    file = tmp_path / "unguarded.py"
    file.write_text(
        textwrap.dedent(f"""
            from lambda_kit import LambdaTool, ProcessExecutor, Service, ToolServer
            from pydantic import BaseModel
            class Ask(BaseModel): pass
            class Typed(LambdaTool):
                def run(self, req: Ask) -> int: return 1
            service = Service(name="x", contact={{"name": "x", "email": "x@example.com"}})
            server = ToolServer(service, [Typed], executor=ProcessExecutor(1, name="workers"))
            {start}
        """)
    )
    command = [sys.executable, str(file), *(["--port", "0"] if "serve()" in start else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "start it under 'if __name__ == \"__main__\":'" in done.stderr
    assert "a worker process ended while it started" in done.stderr
