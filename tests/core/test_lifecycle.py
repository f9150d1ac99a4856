"""The hooks of a tool: setup, is_ready, teardown."""
# ruff: noqa: ASYNC110 - what is waited for has no event: another thread or task does it

import asyncio
import threading
from typing import Any

import pytest

from lambda_kit import ConfigurationError, LambdaTool
from lambda_kit.core.tools.lifecycle import ToolLifecycle
from lambda_kit.core.tools.tool import BoundTool
from tests.core.running_tools import LONG_SECONDS, Ask, a_server, until


class Noted(LambdaTool):
    """Notes which hooks were called, and where."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.path, self.calls = name, f"/{name}", calls
        self.threads: list[threading.Thread] = []

    def setup(self) -> Any:
        self.calls.append(f"setup {self.name}")
        self.threads.append(threading.current_thread())

    def teardown(self) -> Any:
        self.calls.append(f"teardown {self.name}")

    def run(self, req: Ask) -> str:
        self.calls.append(f"run {self.name}")
        return "done"


class NotedAsync(Noted):
    async def setup(self) -> None:
        await asyncio.sleep(0)
        super().setup()

    async def teardown(self) -> None:
        await asyncio.sleep(0)
        super().teardown()


async def test_tools_are_set_up_before_the_first_job_and_torn_down_after_the_last() -> None:
    calls: list[str] = []
    tools = [Noted("a", calls), NotedAsync("b", calls)]
    server = a_server(*tools)
    async with server:
        assert calls == ["setup a", "setup b"]
        await server.run_tool("a", Ask())
        await server.run_tool("b", Ask())
    assert calls == ["setup a", "setup b", "run a", "run b", "teardown b", "teardown a"]


async def test_a_plain_setup_runs_on_a_thread_and_an_async_one_on_the_loop() -> None:
    plain, not_plain = Noted("a", []), NotedAsync("b", [])
    async with a_server(plain, not_plain):
        pass
    assert plain.threads[0] is not threading.main_thread()
    assert not_plain.threads == [threading.main_thread()]


async def test_a_plain_setup_may_return_an_awaitable() -> None:
    calls: list[str] = []

    class Returns(Noted):
        def setup(self) -> Any:
            async def later() -> None:
                calls.append("later")

            return later()

    async with a_server(Returns("a", calls)):
        assert calls == ["later"]


async def test_a_server_that_starts_again_sets_up_again() -> None:
    calls: list[str] = []
    server = a_server(Noted("a", calls))
    for _ in range(2):
        async with server, server:
            pass
    assert calls == ["setup a", "teardown a"] * 2


@pytest.mark.parametrize(
    "error", [RuntimeError("no model"), OSError(), SystemExit(3), KeyError("k"), StopIteration("s")], ids=repr
)
@pytest.mark.parametrize("base", [Noted, NotedAsync])
async def test_a_setup_that_fails_names_the_tool_and_tears_the_others_down(base: type, error: BaseException) -> None:
    calls: list[str] = []

    class Plain(Noted):
        def setup(self) -> None:
            raise error

    class NotPlain(NotedAsync):
        async def setup(self) -> None:
            raise error

    bad = (Plain if base is Noted else NotPlain)("bad", calls)
    server = a_server(Noted("good", calls), bad, Noted("never", calls))
    with pytest.raises(ConfigurationError, match="tool 'bad': setup failed"):
        async with server:
            raise AssertionError("it must not start")
    assert calls == ["setup good", "teardown bad", "teardown good"]
    assert await server.why_not_ready() is not None


async def test_after_a_setup_that_failed_the_server_can_be_started() -> None:
    class Late(LambdaTool):
        tries = 0

        def setup(self) -> None:
            Late.tries += 1
            if Late.tries == 1:
                raise ConnectionError("not yet")

        def run(self, req: Ask) -> str:
            return "done"

    server = a_server(Late)
    with pytest.raises(ConfigurationError, match="ConnectionError: not yet"):
        await server.run_tool(Late, Ask())
    assert await server.run_tool(Late, Ask()) == "done"


async def test_a_start_that_is_given_up_tears_down() -> None:
    calls: list[str] = []

    class Slow(NotedAsync):
        async def setup(self) -> None:
            calls.append("begun")
            await asyncio.Event().wait()

    server = a_server(Noted("a", calls), Slow("b", calls))
    start = asyncio.create_task(server.__aenter__())
    await until(lambda: "begun" in calls)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert calls == ["setup a", "begun", "teardown b", "teardown a"]


async def test_a_teardown_that_fails_does_not_keep_the_others_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    class Bad(Noted):
        def teardown(self) -> None:
            raise RuntimeError("still open")

    async with a_server(Noted("a", calls), Bad("b", calls), Noted("c", calls)):
        calls.clear()
    assert calls == ["teardown c", "teardown a"]
    assert "tool 'b': teardown failed" in caplog.text
    assert "still open" in caplog.text


class GivenUp(BaseException):
    """What a test framework's skip is: no Exception."""


@pytest.mark.parametrize("base", [Noted, NotedAsync])
async def test_a_setup_that_is_given_up_tears_down_and_passes_it_on(base: type[Any]) -> None:
    calls: list[str] = []

    class Plain(Noted):
        def setup(self) -> None:
            raise GivenUp("skipped")

    class NotPlain(NotedAsync):
        async def setup(self) -> None:
            raise GivenUp("skipped")

    server = a_server(Noted("a", calls), (Plain if base is Noted else NotPlain)("b", calls))
    with pytest.raises(GivenUp, match="skipped"):
        await server.__aenter__()
    assert calls == ["setup a", "teardown b", "teardown a"]


async def test_a_teardown_that_is_given_up_does_not_keep_the_others_from_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []

    class Bad(NotedAsync):
        async def teardown(self) -> None:
            raise GivenUp("skipped")

    async with a_server(Noted("a", calls), Bad("b", calls)):
        calls.clear()
    assert calls == ["teardown a"]
    assert "tool 'b': teardown failed" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_teardown_that_hangs_is_given_up_and_named(caplog: pytest.LogCaptureFixture, is_async: bool) -> None:
    calls: list[str] = []
    door = threading.Event()

    class Hangs(Noted):
        def teardown(self) -> None:
            door.wait(LONG_SECONDS)

    class HangsAsync(Noted):
        async def teardown(self) -> None:
            await asyncio.Event().wait()

    tools = [Noted("a", calls), (HangsAsync if is_async else Hangs)("b", calls)]
    lifecycle = ToolLifecycle([BoundTool.bind(tool) for tool in tools], teardown_seconds=0.02)
    await lifecycle.set_up()
    async with asyncio.timeout(LONG_SECONDS):
        await lifecycle.tear_down()
    door.set()
    assert calls == ["setup a", "setup b", "teardown a"]
    assert "tool 'b': teardown is not done after 1 s" in caplog.text


async def test_a_teardown_that_raises_a_timeout_of_its_own_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Noted):
        def teardown(self) -> None:
            raise TimeoutError("the device is silent")

    async with a_server(Bad("a", [])):
        pass
    assert "tool 'a': teardown failed" in caplog.text
    assert "the device is silent" in caplog.text


class Says(LambdaTool):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def is_ready(self) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def run(self, req: Ask) -> str:
        return "done"


@pytest.mark.parametrize("answer", [False, None, 0, RuntimeError("no")])
async def test_a_tool_that_is_not_ready_is_named(answer: Any) -> None:
    async with a_server(Says(answer)) as server:
        assert (await server.why_not_ready() or "").startswith("tool 'says' is not ready")


async def test_a_tool_that_is_ready_is_ready() -> None:
    tool = Says(False)
    async with a_server(tool) as server:
        tool.answer = True
        assert await server.why_not_ready() is None
        tool.answer = False
        assert await server.why_not_ready() is not None


async def test_an_async_is_ready_is_awaited() -> None:
    class Later(LambdaTool):
        async def is_ready(self) -> bool:
            await asyncio.sleep(0)
            return False

        def run(self, req: Ask) -> str:
            return "done"

    async with a_server(Later) as server:
        assert await server.why_not_ready() == "tool 'later' is not ready"


async def test_a_server_that_does_not_run_is_not_ready() -> None:
    server = a_server(Says(True))
    assert await server.why_not_ready() == "the service has not been started"
    async with server:
        assert await server.why_not_ready() is None
    assert await server.why_not_ready() == "the service is stopping"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_tool_that_hangs_when_asked_is_not_ready_and_is_asked_once(is_async: bool) -> None:
    asked = 0
    door = threading.Event()
    async_door = asyncio.Event()

    class Hangs(LambdaTool):
        def is_ready(self) -> bool:
            nonlocal asked
            asked += 1
            return door.wait(LONG_SECONDS)

        def run(self, req: Ask) -> str:
            return "done"

    class HangsAsync(LambdaTool):
        async def is_ready(self) -> bool:
            nonlocal asked
            asked += 1
            return await async_door.wait()

        def run(self, req: Ask) -> str:
            return "done"

    lifecycle = ToolLifecycle([BoundTool.bind(HangsAsync() if is_async else Hangs())], ready_seconds=0.02)
    for _ in range(3):
        assert "does not say whether it is ready" in (await lifecycle.why_not_ready() or "")
    assert asked == 1
    door.set()
    async_door.set()
    async with asyncio.timeout(LONG_SECONDS):
        while await lifecycle.why_not_ready() is not None:
            await asyncio.sleep(0)
    await lifecycle.tear_down()
