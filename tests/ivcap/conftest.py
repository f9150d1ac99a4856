from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.conftest import StartService
from tests.support.dead_proxies import DEAD_PROXIES
from tests.support.service_process import ServiceProcess

SERVICE = Path(__file__).parent / "sidecar_service.py"


@pytest.fixture(scope="module")
def sidecar() -> Iterator[FakeSidecar]:
    """One for all tests of a file, as is the service: each test has job ids of its own."""
    with FakeSidecar() as running:
        yield running


@pytest.fixture(scope="module")
def service(sidecar: FakeSidecar) -> Iterator[ServiceProcess]:
    """The service of these tests, with little patience and three tools."""
    # no proxy may touch its calls
    env = {"IVCAP_BASE_URL": sidecar.url, "QUICK_DELIVERY": "1", "TOOLS": "3", **DEAD_PROXIES}
    with ServiceProcess(SERVICE, env=env, seconds=60) as running:
        yield running


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> None:
    """What one test did to the sidecar is no other's."""
    if "sidecar" in request.fixturenames:
        running: FakeSidecar = request.getfixturevalue("sidecar")
        running.come_back()
        running.heal()


@pytest.fixture
def start(service_process: StartService, fake_sidecar: FakeSidecar) -> Callable[..., ServiceProcess]:
    """Starts a service that tells the fake sidecar, by default with little patience."""

    def started(*args: str, quick: bool = True, **env: str) -> ServiceProcess:
        env = {"IVCAP_BASE_URL": fake_sidecar.url, "QUICK_DELIVERY": "1" if quick else "", **env}
        return service_process(SERVICE, args, env=env, seconds=60, exit_code=0)

    return started


def post(service: ServiceProcess, job_id: str, *, path: str = "/", wait: bool = True, **body: Any) -> httpx.Response:
    """Run a job. Its token is ``Bearer <job id>``."""
    headers = {"job-id": job_id, "Authorization": f"Bearer token-of-{job_id}", **({} if wait else {"Timeout": "0"})}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(service.url + path, json=body, headers=headers)


def told(calls: list[SidecarCall]) -> list[str]:
    """What the sidecar took of one job, in order: the number of each progress event, and ``end``."""
    taken = [call for call in calls if call.status is not None and 200 <= call.status < 300]
    return ["end" if call.kind == "results" else str(call.json()["options"]["done"]) for call in taken]
