from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

FILE = Path(__file__).with_name("service.py")
SECONDS = 60.0

Background = Callable[..., Future[httpx.Response]]


@pytest.fixture(scope="session")
def service() -> Generator[ServiceProcess]:
    """The service with all defaults."""
    with ServiceProcess(FILE) as process:
        yield process


@pytest.fixture(scope="session")
def service_with_options() -> Generator[ServiceProcess]:
    """The same tools with every option on, and a small limit of the body's size."""
    env = {
        "IVCAP_SERVICE_ID": "urn:ivcap:service:1234",
        "VERSION": "1.2.3",
        "WIRE_MAX_BODY_BYTES": "100000",
        "WIRE_TRY_LATER_BODY": "1",
    }
    with ServiceProcess(FILE, ["--job-list", "--debug"], env=env) as process:
        yield process


@pytest.fixture(scope="session")
def client(service: ServiceProcess) -> Generator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=SECONDS) as session:
        yield session


@pytest.fixture(scope="session")
def client_with_options(service_with_options: ServiceProcess) -> Generator[httpx.Client]:
    with httpx.Client(base_url=service_with_options.url, timeout=SECONDS) as session:
        yield session


@pytest.fixture
def gate() -> Generator[Gate]:
    with Gate() as held:
        yield held


@pytest.fixture
def background(gate: Gate) -> Generator[Background]:
    """Does a call on a thread; what it waits for at the gate is released before the test ends."""
    with ThreadPoolExecutor(32) as pool:

        def submit(*args: Any, **kwargs: Any) -> Future[httpx.Response]:
            return pool.submit(*args, **kwargs)

        yield submit
        gate.release_all()
