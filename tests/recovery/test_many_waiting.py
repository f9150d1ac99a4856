"""A service that finds thousands of jobs which waited in one that is gone: it begins at once, and runs them all."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.recovery.caller import Caller
from tests.recovery.site import Site
from tests.support.service_process import ROOT
from tests.wire.answers import eventually

pytestmark = pytest.mark.timeout(180)

FILE = Path(__file__).with_name("fill.py")
LAST = 50


def test_jobs_that_waited_are_all_run(site: Site) -> None:
    run_all_that_waited(site, 500)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_jobs_that_waited_are_all_run(site: Site) -> None:
    run_all_that_waited(site, 10_000, heartbeat_seconds=3.0)


def run_all_that_waited(site: Site, count: int, *, heartbeat_seconds: float = 0.3) -> None:
    """Fill the store by a process that is killed, start a service, and wait until all has run."""
    fill(site, count)
    with Caller(site.start(heartbeat_seconds=heartbeat_seconds), hands=2) as caller:
        assert caller.wait("waits-0").json()["job"] == "waits-0"
        for n in range(count - LAST, count):  # those that were made last are run last, more or less
            caller.wait(f"waits-{n}", seconds=200.0)
        eventually(
            lambda: caller.client.get("/jobs?limit=1&status=pending&status=executing"),
            lambda answer: answer.status_code == 200 and not answer.json()["items"],
        )
        assert Counter(statuses(caller)) == {"succeeded": count}
    assert Counter(Counter(entry.job_id for entry in site.entries("start")).values()) == {1: count}


def fill(site: Site, count: int) -> None:
    env = {**os.environ, **site.environment, "PYTHONPATH": str(ROOT), "RECOVERY_LEASE": "10", "RECOVERY_HEARTBEAT": "3"}
    with subprocess.Popen([sys.executable, FILE, str(count)], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "filled\n"
        finally:
            process.kill()


def statuses(caller: Caller) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = caller.client.get("/jobs", params={"limit": 1000, **cursor}).json()
        found += [record["status"] for record in page["items"]]
        if "next-cursor" not in page:
            return found
        cursor = {"cursor": page["next-cursor"]}
