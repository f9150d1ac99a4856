"""kill -9 of the store's server while jobs wait, run and end: nothing is lost, and all goes on when it is back."""

import contextlib
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.recovery.caller import Caller
from tests.recovery.site import Site
from tests.support.gate import Gate
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.wire.answers import assert_problem, eventually

pytestmark = pytest.mark.timeout(180)

RUNNING = 10


class Server(NamedTuple):
    """A server of the test's own."""

    store: dict[str, str]
    kill: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture(params=["redis", pytest.param("postgres", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server]:
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            redis = stack.enter_context(RedisServer(tmp_path))
            store = {"RECOVERY_STORE": redis.url, "RECOVERY_PREFIX": "recovery"}
            yield Server(store, redis.kill, redis.start)
        else:
            postgres = stack.enter_context(PostgresServer())
            store = {"RECOVERY_STORE": postgres.url, "RECOVERY_SCHEMA": "recovery"}
            yield Server(store, postgres.kill_minus_nine, postgres.start)


def test_a_killed_store_loses_nothing_and_is_used_again_when_it_is_back(
    server: Server, gate: Gate, tmp_path: Path
) -> None:
    with Site(server.store, tmp_path / "journal") as site, Caller(service := site.start(gate=gate)) as caller:
        ended = caller.stories(caller.submit("/free", 30))
        running = caller.submit("/once", RUNNING // 2)
        posts = [caller.begin_post("/once", wait=50) for _ in range(RUNNING // 2 - 1)]
        brief_post = caller.begin_post("/once", wait=2)
        held = [gate.wait_for_arrival() for _ in range(RUNNING)]  # so all who wait are there
        waiting = caller.submit("/once", 10)
        stream = caller.pool.submit(caller.final_status, running[0], opened := threading.Event())
        assert opened.wait(20)
        server.kill()
        assert_away(caller.client.get(f"/jobs/{running[0]}"))
        assert_away(caller.client.post("/free", json={}, headers={"job-id": "refused"}))
        ends = [entry.job_id for entry in site.entries("end")]
        for tool in held:
            tool.release()
        service.wait_for_log(lambda log: log.count("\nend ") == len(ends) + RUNNING, seconds=30.0)
        assert_away(caller.client.get(f"/jobs/{next(iter(ended))}/status"))
        assert brief_post.result().status_code == 204  # the others go on waiting meanwhile
        server.start()
        for _ in waiting:
            gate.wait_for_arrival(25.0).release()
        assert [post.result().status_code for post in posts] == [200] * len(posts)
        assert stream.result() == "succeeded"
        for job_id, before in ended.items():
            after = caller.story(job_id)
            assert (after.statuses, after.answer.content) == (before.statuses, before.answer.content)
        for job_id, story in caller.stories([*running, *waiting]).items():
            assert story.statuses == ["pending", "executing", "succeeded"]
            assert site.attempts(job_id) == [1]
        eventually(lambda: caller.client.get("/jobs/refused"), lambda answer: answer.status_code == 404)
        [later] = caller.submit("/free")
        assert caller.story(later).status == "succeeded"
        assert site.attempts("refused") == []
        assert caller.client.get("/_healtz").status_code == 200


def assert_away(answer: httpx.Response) -> None:
    assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
