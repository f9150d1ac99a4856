"""Whatever credentials are sent: wrong ones let nobody in, break nothing, and are nowhere in the log."""

import asyncio
import functools
import json
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lambda_kit
from lambda_kit import JobContext, LambdaTool, ToolServer
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator, TrustedHeader
from lambda_kit.testing import FakeIssuer
from tests.auth.keys import Key
from tests.callers.credential_fuzz import AUDIENCE, SLOW_OR_LARGE, Fuzzed, Known, fuzzed_fields
from tests.core.running_tools import Ask, a_server

GATEWAY = ("10.0.0.5", 4321)
ANYBODY = ("192.0.2.9", 4321)
JOB = "anns-job"
OPEN = [("GET", "/who"), ("GET", "/openapi.json"), ("GET", "/_livez")]
CLOSED = [
    ("POST", "/who"),
    ("GET", f"/who/jobs/{JOB}"),
    ("GET", f"/jobs/{JOB}"),
    ("GET", f"/jobs/{JOB}/events"),
    ("GET", f"/jobs/{JOB}/status"),
    ("GET", "/jobs"),
    ("DELETE", f"/jobs/{JOB}"),
    ("GET", "/metrics"),
]
SECONDS = 60.0
_SHORTEST_LEAK = 12


class Who(LambdaTool):
    """Says who asks"""

    path = "/who"

    async def run(self, req: Ask, ctx: JobContext) -> str:
        return ctx.principal.id if ctx.principal is not None else "nobody"


class Heard(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Got(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Service:
    """A server that is asked without HTTP between, so that every byte comes through."""

    def __init__(self, runner: asyncio.Runner, server: ToolServer, known: Known, heard: Heard) -> None:
        self.known = known
        self.heard = heard
        self._runner = runner
        self._app = server.app

    def ask(self, method: str, path: str, fields: list[tuple[bytes, bytes]], peer: tuple[str, int] = ANYBODY) -> Got:
        return self._runner.run(self._ask(method, path, fields, peer))

    async def _ask(self, method: str, path: str, fields: list[tuple[bytes, bytes]], peer: tuple[str, int]) -> Got:
        sent: list[Any] = []
        requests = [{"type": "http.request", "body": b"{}" if method == "POST" else b"", "more_body": False}]
        gone = asyncio.Event()

        async def receive() -> Any:
            if requests:
                return requests.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"testserver.local"), (b"content-type", b"application/json"), *fields]
        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": peer, "server": ("testserver.local", 80), "state": {}, "extensions": {},
        }  # fmt: skip
        async with asyncio.timeout(SECONDS):
            await self._app(scope, receive, send)
        gone.set()
        head, *rest = sent
        return Got(head["status"], dict(head["headers"]), b"".join(part.get("body", b"") for part in rest))


@pytest.fixture(scope="module")
def service() -> Generator[Service]:
    key = Key("ann")
    heard = Heard()
    root, ours = logging.getLogger(), logging.getLogger("lambda_kit")
    levels = root.level, ours.level
    with FakeIssuer() as issuer, asyncio.Runner() as runner:
        authenticators = [
            ApiKeys(key.line),
            OidcAuthenticator(issuer.url, audience=AUDIENCE),
            TrustedHeader(proxies=[GATEWAY[0]]),
        ]
        server = a_server(Who, authenticator=authenticators, job_list=True)
        known = Known(key.key, "key:ann", issuer, "ann", f"oidc:{issuer.url}#ann")
        runner.run(server.__aenter__())
        root.addHandler(heard)
        root.setLevel(logging.DEBUG)
        ours.setLevel(logging.DEBUG)
        try:
            site = Service(runner, server, known, heard)
            first = site.ask("POST", "/who", [(b"x-api-key", key.key.encode()), (b"job-id", JOB.encode())])
            assert (first.status, first.body) == (200, b"key:ann")
            yield site
        finally:
            root.removeHandler(heard)
            root.setLevel(levels[0])
            ours.setLevel(levels[1])
            runner.run(server.__aexit__(None, None, None))


def leaked(text: str, fields: list[tuple[bytes, bytes]]) -> set[str]:
    """The pieces of a text that are of a credential. Those of the same few characters, or of our code, say nothing."""
    said = _pieces(text.encode("latin-1", "backslashreplace").decode("latin-1"))
    return {
        piece
        for name, value in fields
        if name != b"x-forwarded-user"
        for piece in said & _pieces(value.decode("latin-1"))
        if len(set(piece)) > 4 and piece.strip() not in _own_words()
    }


@functools.cache
def _own_words() -> str:
    """All that the service itself can say. Hypothesis sends texts of it too, since it looks for some in the code."""
    folder = Path(lambda_kit.__file__).parent
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))


def _pieces(text: str) -> set[str]:
    return {text[at : at + _SHORTEST_LEAK] for at in range(len(text) - _SHORTEST_LEAK + 1)}


def check(service: Service, fuzzed: Fuzzed, route: tuple[str, str], peer: tuple[str, int]) -> None:
    """What must hold whatever is sent."""
    service.heard.lines.clear()
    got = service.ask(*route, fuzzed.fields, peer)
    assert got.status < 500, (got, service.heard.lines)
    users = [value for name, value in fuzzed.fields if name == b"x-forwarded-user"]
    if route in OPEN:
        assert got.status == 200 or (got.status == 400 and _is_twice(fuzzed))
    elif got.status < 300:
        allowed = set(fuzzed.may_be)
        if peer == GATEWAY and len(users) == 1:
            allowed.add("header:" + users[0].decode("utf-8", "replace").strip(" \t"))
        assert allowed, (got, "let in")
        assert route != ("POST", "/who") or got.body.decode() in allowed
        assert JOB not in route[1], "that is a job of another"
        assert JOB.encode() not in got.body
    elif got.status == 401:
        assert b"www-authenticate" in got.headers
        assert json.loads(got.body)["type"] == "unauthenticated"
    else:
        assert (got.status == 400 and _is_twice(fuzzed)) or got.status == 404, got
    assert not [line for line in service.heard.lines if line.startswith(("ERROR", "CRITICAL")) or "Traceback" in line]
    body = "" if got.status == 200 else got.body.decode("latin-1")
    assert leaked("\n".join([*service.heard.lines, repr(got.headers), body]), fuzzed.fields) == set()


def _is_twice(fuzzed: Fuzzed) -> bool:
    return [name for name, _ in fuzzed.fields].count(b"authorization") > 1


@pytest.mark.parametrize("examples", [100, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_wrong_credentials_let_nobody_in_and_break_nothing(service: Service, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=SLOW_OR_LARGE)
    @given(
        fuzzed=fuzzed_fields(service.known),
        route=st.sampled_from(CLOSED * 2 + OPEN),
        peer=st.sampled_from([ANYBODY, ANYBODY, GATEWAY]),
    )
    def try_it(fuzzed: Fuzzed, route: tuple[str, str], peer: tuple[str, int]) -> None:
        check(service, fuzzed, route, peer)

    try_it()
