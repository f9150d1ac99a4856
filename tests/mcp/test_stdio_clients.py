"""The official client starts services itself, and calls their tools on standard input and output."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.mcp.asking import ERAS, NEWEST
from tests.support.gate import Gate
from tests.support.mcp_stdio import stdio_environment
from tests.support.service_command import EXAMPLES

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parent / "stdio_service.py"

EXAMPLE_CALLS = [
    ("echo.py", "echo", {"message": "hello"}, "hello"),
    ("greeter.py", "greet", {"name": "Ada", "count": 2}, "Hello, Ada! Hello, Ada!"),
    ("testkit.py", "test_kit", {"echo": "hello"}, "hello"),
]


@asynccontextmanager
async def client_of(file: Path, mode: str, log: Path) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=sys.executable, args=[str(file), "--with-mcp-stdio"], env=stdio_environment()
    )
    with log.open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
            yield client


@pytest.mark.parametrize(
    ("file", "tool", "arguments", "expected", "mode"),
    [
        *((*call, mode) for call, mode in zip(EXAMPLE_CALLS[:2], ERAS, strict=True)),
        pytest.param(*EXAMPLE_CALLS[0], NEWEST, marks=pytest.mark.slow),
        pytest.param(*EXAMPLE_CALLS[0], "auto", marks=pytest.mark.slow),
        pytest.param(*EXAMPLE_CALLS[2], NEWEST, marks=pytest.mark.slow),
    ],
)
def test_the_examples_are_listed_and_called(
    file: str, tool: str, arguments: dict[str, object], expected: str, mode: str, tmp_path: Path
) -> None:
    async def use() -> None:
        async with client_of(EXAMPLES / file, mode, tmp_path / "log") as client:
            assert tool in [one.name for one in (await client.list_tools()).tools]
            steps: list[str | None] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                steps.append(message)

            result = await client.call_tool(tool, arguments, progress_callback=note)
            assert not result.is_error, result
            assert expected in str(result.content)

    asyncio.run(use())


@pytest.mark.parametrize("mode", ERAS)
def test_progress_reaches_the_client_before_the_result(mode: str, tmp_path: Path) -> None:
    async def use() -> None:
        async with client_of(SERVICE, mode, tmp_path / "log") as client:
            values: list[float] = []

            async def note(progress: float, total: float | None, message: str | None) -> None:
                values.append(progress)

            await client.call_tool("steps", {}, progress_callback=note)
            assert values[-1] == 5
            assert values == sorted(set(values))

    asyncio.run(use())


@pytest.mark.parametrize("mode", ERAS)
def test_a_call_that_the_client_cancels_ends_its_tool_and_no_other(mode: str, tmp_path: Path) -> None:
    async def use(gate: Gate) -> None:
        async with client_of(SERVICE, mode, tmp_path / "log") as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "await", {"port": gate.port})
                assert (await client.call_tool("echo", {"text": "meanwhile"})).structured_content
                group.cancel_scope.cancel()
            held = await asyncio.to_thread(gate.wait_for_arrival)
            held.release()
            assert (await client.call_tool("echo", {"text": "next"})).structured_content == {"text": "next"}

    with Gate() as gate:
        asyncio.run(use(gate))


@pytest.mark.parametrize("mode", [NEWEST, pytest.param("legacy", marks=pytest.mark.slow)])
def test_200_calls_at_once_and_ten_megabytes(mode: str, tmp_path: Path) -> None:
    async def use() -> None:
        async with client_of(SERVICE, mode, tmp_path / "log") as client:
            results = await asyncio.gather(*(client.call_tool("echo", {"text": str(n)}) for n in range(200)))
            assert [result.structured_content for result in results] == [{"text": str(n)} for n in range(200)]
            text = "0123456789" * 1_000_000
            result = await client.call_tool("plain", {"text": text})
            link = next(part for part in result.content if part.type == "resource_link")
            (whole,) = (await client.read_resource(link.uri)).contents
            assert getattr(whole, "text", None) == text

    asyncio.run(use())
