"""The fixtures for tests of services. pytest finds them by itself where lambda_kit is installed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lambda_kit.testing.fake_issuer import FakeIssuer
    from lambda_kit.testing.fake_sidecar import FakeSidecar

__all__ = ["fake_issuer", "fake_sidecar"]


@pytest.fixture
def fake_issuer() -> "Iterator[FakeIssuer]":
    """An OpenID Connect provider that runs for one test (`lambda_kit.testing.FakeIssuer`). Needs the extra ``auth``."""
    from lambda_kit.testing.fake_issuer import FakeIssuer  # noqa: PLC0415 - not before a test asks for it

    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def fake_sidecar() -> "Iterator[FakeSidecar]":
    """A sidecar of the IVCAP platform that runs for one test (`lambda_kit.testing.FakeSidecar`).

    ``$IVCAP_BASE_URL`` is left as it is: set it to the sidecar's `url` for the service under test.
    """
    from lambda_kit.testing.fake_sidecar import FakeSidecar  # noqa: PLC0415 - not before a test asks for it

    with FakeSidecar() as sidecar:
        yield sidecar
