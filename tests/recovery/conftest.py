from collections.abc import Generator
from pathlib import Path

import pytest

from tests.recovery.site import STORES, Site, site_on
from tests.support.gate import Gate


@pytest.fixture(params=[STORES[0], *(pytest.param(store, marks=pytest.mark.slow) for store in STORES[1:])])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Site]:
    """A store that outlives its services, and a journal of what they run."""
    with site_on(request.param, tmp_path) as a_site:
        yield a_site


@pytest.fixture
def gate() -> Generator[Gate]:
    with Gate() as held:
        yield held
