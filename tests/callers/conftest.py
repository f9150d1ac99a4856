"""Two servers on one store, whose callers are told apart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from lambda_kit import JobContext, LambdaTool, McpOptions, ToolServer
from lambda_kit.testing import TestClient
from tests.callers.principals import Tokens, sent_by
from tests.core.running_tools import Ask, AsyncDoor, a_server
from tests.support.store_opener import opener

STORES = ("memory", "sqlite", "redis", "postgres")


class Echo(LambdaTool):
    """Says a text"""

    path = "/echo"

    async def run(self, req: Ask, ctx: JobContext) -> str:
        return req.text


class Site(NamedTuple):
    """Where ann has two jobs: one has ended, one runs."""

    taker: httpx.Client
    """Talks to the server that took the jobs."""
    other: httpx.Client
    """Talks to another server on the store; with a store that is not shared, to the same one."""
    finished: str
    running: str

    @property
    def clients(self) -> tuple[httpx.Client, httpx.Client]:
        return self.taker, self.other


def make_server(folder: Path, store: object, **options: Any) -> ToolServer:
    options.setdefault("mcp", McpOptions(wait_seconds=0.2))
    server = a_server(Echo, AsyncDoor, store=store, authenticator=Tokens(), job_list=True, **options)
    server.add_platform_api(artifacts=folder / "artifacts")
    return server


@pytest.fixture(scope="module", params=STORES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as opened:
        open_store: Callable[[], object] = opened.enter_context(opener(request.param, folder))
        taker = opened.enter_context(TestClient(make_server(folder, open_store())))
        other: httpx.Client = taker
        if request.param != "memory":
            other = opened.enter_context(TestClient(make_server(folder, open_store())))
        ids = []
        for path, wait in (("/echo", "wait=20"), ("/async-door", "respond-async")):
            answer = taker.post(path, json={"text": "ann's"}, headers=sent_by("ann", prefer=wait))
            assert answer.status_code in (200, 204)
            ids.append(answer.headers["job-id"].rpartition(":")[2])
        yield Site(taker, other, *ids)
        assert taker.delete(f"/jobs/{ids[1]}", headers=sent_by("ann")).status_code in (200, 202)
