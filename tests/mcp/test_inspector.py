"""The Inspector, MCP's own tool for developers, lists and calls the examples from a terminal, in each era."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.mcp_peers import node_tool
from tests.support.service_command import EXAMPLES, ROOT
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

ERAS = ("legacy", "modern", "auto")
BOUND_SECONDS = 120.0

CALLS: dict[Path, tuple[str, list[str], Callable[[dict[str, Any]], bool]]] = {
    ROOT / "docs_src" / "words.py": ("count_words", ["text=to be or not"], lambda found: found == {"result": 4}),
    EXAMPLES / "echo.py": ("echo", ["message=hello"], lambda found: found["echo"] == "hello"),
    EXAMPLES / "greeter.py": ("greet", ["name=Ada", "count=2"], lambda found: "Ada! Hello, Ada" in found["greeting"]),
    EXAMPLES / "artifact_size.py": (
        "artifact_size",
        [f"artifact_id={ROOT / 'LICENSE'}"],
        lambda found: found["size"] == (ROOT / "LICENSE").stat().st_size,
    ),
    EXAMPLES / "testkit.py": ("test_kit", ["echo=hello"], lambda found: found["echo"] == "hello"),
    EXAMPLES / "upload.py": (
        "count_words",
        ['text={"filename": "a.txt", "content": "b25lIHR3byBvbmU="}'],
        lambda found: found["words"] == 3,
    ),
}
"""By file: a tool, its arguments, and what its structured result must be like."""
BY_DEFAULT = {("greeter", "legacy"), ("words", "modern"), ("upload", "auto")}


def inspect(server: Sequence[str], era: str, *arguments: str) -> dict[str, Any]:
    command = node_tool("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--cli", *server, "--connect-timeout", "90000", "--protocol-era", era, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=BOUND_SECONDS,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def list_and_call(server: Sequence[str], era: str, file: Path) -> None:
    tool, arguments, is_right = CALLS[file]
    # --strict fails where a schema has what some clients do not take
    listed = inspect(server, era, "--method", "tools/list", "--strict")["tools"]
    assert tool in [one["name"] for one in listed]
    more = [part for argument in arguments for part in ("--tool-arg", argument)]
    called = inspect(server, era, "--method", "tools/call", "--tool-name", tool, *more)
    assert not called.get("isError"), called
    assert is_right(called["structuredContent"]), called
    assert json.loads(called["content"][0]["text"]) == called["structuredContent"]


@pytest.fixture(scope="module")
def service_of() -> Iterator[Callable[[Path], ServiceProcess]]:
    started: dict[Path, ServiceProcess] = {}

    def get(file: Path) -> ServiceProcess:
        if file not in started:
            started[file] = ServiceProcess(file, ["--with-mcp"]).__enter__()
        return started[file]

    yield get
    for service in started.values():
        service.__exit__(None)


@pytest.mark.parametrize(
    ("file", "era"),
    [
        pytest.param(file, era, marks=() if (file.stem, era) in BY_DEFAULT else pytest.mark.slow)
        for file in CALLS
        for era in ERAS
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_over_http(service_of: Callable[[Path], ServiceProcess], file: Path, era: str) -> None:
    server = ["--transport", "http", "--server-url", service_of(file).url + "/mcp"]
    list_and_call(server, era, file)


@pytest.mark.parametrize("era", [*(pytest.param(era, marks=pytest.mark.slow) for era in ERAS[:2]), "auto"])
def test_on_standard_input_and_output(era: str) -> None:
    file = EXAMPLES / "greeter.py"
    list_and_call([sys.executable, str(file), "--with-mcp-stdio"], era, file)
