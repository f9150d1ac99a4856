"""Calls of tools beside OpenTelemetry's instrumentors: baggage stays within the platform, exports are left alone."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
import requests
from opentelemetry import baggage, context
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer
from lambda_kit.core.runtime.own_calls import own_calls
from tests.ivcap.recorder import Call, Recorder

SERVICE = Service(name="T", contact={"name": "T", "email": "t@example.com"})


class Order(BaseModel):
    urls: list[str]
    own_baggage: str = ""
    how: str = ""


def _call_all(order: Order) -> None:
    fields = {"baggage": order.own_baggage} if order.own_baggage else {}
    for url in order.urls:
        requests.get(url, headers=fields)
        httpx.get(url, headers=fields, follow_redirects=True)
        httpx2.get(url, headers=fields, follow_redirects=True)


class CallSync(LambdaTool):
    """Calls, with baggage in its context."""

    def run(self, req: Order) -> int:
        token = context.attach(baggage.set_baggage("user", "alice"))
        try:
            around = {"own": own_calls, "export": suppress_instrumentation}.get(req.how, contextlib.nullcontext)
            with around():
                _call_all(req)
        finally:
            context.detach(token)
        return 0


class CallAsync(LambdaTool):
    """Calls, with baggage in its context."""

    async def run(self, req: Order) -> int:
        token = context.attach(baggage.set_baggage("user", "alice"))
        try:
            for url in req.urls:
                async with httpx.AsyncClient(follow_redirects=True) as client:
                    await client.get(url)
                async with httpx2.AsyncClient(follow_redirects=True) as client2:
                    await client2.get(url)
        finally:
            context.detach(token)
        return 0


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with Recorder() as recorder:
        monkeypatch.setenv("IVCAP_URL", recorder.url("127.0.0.1"))
        yield recorder


@contextlib.contextmanager
def instrumentors() -> Iterator[None]:
    found: list[Any] = [RequestsInstrumentor(), HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor()]
    for instrumentor in found:
        instrumentor.instrument(tracer_provider=TracerProvider(), skip_dep_check=True)
    try:
        yield
    finally:
        for instrumentor in found:
            instrumentor.uninstrument()


async def calls_of(recorder: Recorder, tool: type[LambdaTool], order: Order, *, first: str) -> list[Call]:
    server = ToolServer(SERVICE, tools=[tool])
    async with contextlib.AsyncExitStack() as stack:
        if first == "instrumentors":
            stack.enter_context(instrumentors())
        await stack.enter_async_context(server)
        if first == "server":
            stack.enter_context(instrumentors())
        await server.run_tool(tool, order)
    return recorder.take()


@pytest.mark.parametrize("first", ["instrumentors", "server"])
@pytest.mark.parametrize("tool", [CallSync, CallAsync])
async def test_baggage_goes_to_the_platform_only_and_the_trace_everywhere(
    recorder: Recorder, tool: type[LambdaTool], first: str
) -> None:
    stranger = recorder.url("localhost", "/end")
    urls = [recorder.url("127.0.0.1"), recorder.url("localhost"), recorder.url("127.0.0.1", f"/to/{stranger}")]
    calls = await calls_of(recorder, tool, Order(urls=urls), first=first)
    assert len(calls) == 4 * (3 if tool is CallSync else 2)
    for call in calls:
        is_platform = call.host == "127.0.0.1"
        assert call.of("baggage") == ("user=alice" if is_platform else None), call.path
        assert (call.of("Ivcap-Job-Id") is not None) == is_platform
        assert call.of("traceparent") is not None


async def test_baggage_that_a_tool_writes_itself_stays(recorder: Recorder) -> None:
    urls = [recorder.url("127.0.0.1"), recorder.url("localhost")]
    calls = await calls_of(recorder, CallSync, Order(urls=urls, own_baggage="a=b"), first="neither")
    assert [call.of("baggage") for call in calls] == ["a=b"] * 6


@pytest.mark.parametrize("how", ["own", "export"])
async def test_calls_of_ours_and_exports_are_left_alone(
    recorder: Recorder, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IVCAP_PROXY_URL", "http://127.0.0.1:9/")
    urls = [recorder.url("127.0.0.1"), recorder.url("localhost")]
    calls = await calls_of(recorder, CallSync, Order(urls=urls, how=how), first="neither")
    assert [call.of("Ivcap-Job-Id") for call in calls] == [None] * 6
    assert [call.of("Ivcap-Forward-Url") for call in calls] == [None] * 6
