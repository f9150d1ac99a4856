from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from ivcap_client.ivcap import IVCAP

from tests.support.service_process import ServiceProcess

SERVICE = Path(__file__).with_name("laptop_service.py")


class Laptop(ServiceProcess):
    """The service with the platform's API, which its tools take for the platform."""

    def __init__(self, artifacts: Path, *flags: str) -> None:
        super().__init__(SERVICE, ["--with-platform-api", "--artifacts", str(artifacts), *flags])
        self._env |= {"IVCAP_URL": self.url, "IVCAP_JWT": "the-token-of-the-laptop"}
        self.artifacts = artifacts

    def client(self) -> Any:
        """The real client of the platform."""
        return IVCAP(url=self.url, token="the-token-of-the-laptop")


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Laptop]:
    """One service for all tests of a module."""
    with Laptop(tmp_path_factory.mktemp("laptop") / "artifacts") as service:
        yield service


@pytest.fixture
def ivcap(laptop: Laptop) -> Generator[Any]:
    """A client of that service."""
    client = laptop.client()
    yield client
    client._client.get_httpx_client().close()
