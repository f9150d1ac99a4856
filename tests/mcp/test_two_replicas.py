"""Two servers on one store: whatever a client begins at one, it can go on with at the other."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mcp.jobs import end_of, job_of
from tests.mcp.streams import LATEST, MODERN, RawClient, progress_of
from tests.mcp.test_long_calls import job_in
from tests.support.gate import Gate
from tests.support.postgres_schema import POSTGRES_URL, new_schema
from tests.support.redis_jobs import new_prefix
from tests.support.redis_server import REDIS_URL
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.processes]

FILE = Path(__file__).with_name("long_service.py")
CALLS = 200


class Site(NamedTuple):
    """The URLs of two servers."""

    here: str
    there: str

    def turned(self) -> "Site":
        """The same, seen from the other one."""
        return Site(self.there, self.here)


@contextmanager
def store_of(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    if kind == "sqlite":
        yield {"LONG_STORE": f"sqlite:///{folder}/jobs.db"}
    elif kind == "redis":
        with new_prefix() as prefix:
            yield {"LONG_STORE": REDIS_URL, "LONG_PREFIX": prefix}
    else:
        with new_schema() as schema:
            yield {"LONG_STORE": POSTGRES_URL, "LONG_SCHEMA": schema}


@pytest.fixture(scope="module", params=["sqlite", "redis", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    with ExitStack() as stack:
        env = stack.enter_context(store_of(request.param, tmp_path_factory.mktemp("store")))
        here, there = (stack.enter_context(ServiceProcess(FILE, env=env)).url for _ in range(2))
        yield Site(here, there)


def call_with_a_session_of_the_other(site: Site, n: int) -> None:
    """2025: a session is of no server."""
    with RawClient(site.there) as other, RawClient(site.here, session=other.session) as client:
        assert client.call("held", {"text": str(n)}, request_id=n)["content"][0]["text"] == str(n)


def call_with_progress(site: Site, n: int) -> None:
    """2026: progress and the answer."""
    with (
        RawClient(site.here, MODERN) as client,
        client.stream("counting", {"values": [1, 2], "pause_seconds": 0.05}, token=n) as events,
    ):
        told, answer = progress_of(events)
    assert [one["progress"] for one in told] == [1, 2]
    assert answer["result"]["content"][0]["text"] == "said 2"


def cancel_at_the_other(site: Site, n: int) -> None:
    """2025: the notification reaches the other server."""
    with (
        Gate() as gate,
        RawClient(site.here) as client,
        RawClient(site.there, session=client.session) as other,
        client.stream("held", {"gate": gate.port}, request_id=n, token=n) as events,
    ):
        job_id = job_of(next(events))
        other.cancel(n)
        assert progress_of(events)[1]["result"]["isError"]
        assert end_of(site.there, job_id) == "cancelled"


def go_away(site: Site, _n: int) -> None:
    """2026: the stream is closed, and the job is cancelled wherever it runs."""
    with Gate() as gate:
        with RawClient(site.here, MODERN) as client, client.stream("held", {"gate": gate.port}, token=1) as events:
            next(events)
            held = gate.wait_for_arrival()
        held.wait_until_gone()


def resume_at_the_other(site: Site, n: int) -> None:
    """2025: a stream that was cut goes on at the other server."""
    with RawClient(site.here) as client, RawClient(site.there, session=client.session) as other:
        say = {"values": [1, 2, 3], "pause_seconds": 0.2}
        with client.stream("counting", say, request_id=n, token=n) as events:
            known = next(events).id
        assert known is not None
        with other.resumed(known) as events:
            told, answer = progress_of(events)
    assert [one["progress"] for one in told] == [1, 2, 3]
    assert (answer["id"], answer["result"]["content"][0]["text"]) == (n, "said 3")


KINDS: list[Callable[[Site, int], None]] = [
    call_with_a_session_of_the_other,
    call_with_progress,
    cancel_at_the_other,
    go_away,
    resume_at_the_other,
]


def test_of_200_calls_of_both_eras_with_cancels_sent_to_the_other_server_none_fails(site: Site) -> None:
    with ThreadPoolExecutor(16) as pool:
        done = [
            pool.submit(KINDS[n % len(KINDS)], site if n // len(KINDS) % 2 else site.turned(), n) for n in range(CALLS)
        ]
        for one in done:
            one.result(200)


@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_job_result_and_job_cancel_work_at_the_other_server(site: Site, version: str) -> None:
    with RawClient(site.there, version) as other, RawClient(site.here) as client, Gate() as gate:
        for tool in ("job_result", "job_cancel"):
            with client.stream("held", {"gate": gate.port}, token=1) as events:
                arguments = {"job_id": job_of(next(events))}
                held = gate.wait_for_arrival()
                first = other.call("job_result", {**arguments, "wait_seconds": 0.1})["content"][0]["text"]
                assert job_in(first) == arguments["job_id"]
                if tool == "job_result":
                    held.release()
                    assert other.call(tool, arguments)["content"][0]["text"] == "done"
                    assert progress_of(events)[1]["result"]["content"][0]["text"] == "done"
                else:
                    assert "cancelled" in other.call(tool, arguments)["content"][0]["text"]
                    assert progress_of(events)[1]["result"]["isError"]
