"""Each heading of docs/troubleshooting.md is reproduced: what it says is what the software says."""

import re
from pathlib import Path

import pytest

from tests.docs import (  # noqa: F401 - they fill REPRODUCTIONS
    troubles_of_agents,
    troubles_of_callers,
    troubles_of_ivcap,
    troubles_of_jobs,
    troubles_of_mcp,
    troubles_of_requests,
    troubles_of_stores,
    troubles_of_tools,
)
from tests.docs.troubles import REPRODUCTIONS

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
HEADINGS = re.findall(r"^### `(.*)`$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_software_says_what_the_heading_says(heading: str) -> None:
    assert heading in REPRODUCTIONS[heading]()


def test_every_reproduction_has_its_heading() -> None:
    assert sorted(REPRODUCTIONS) == sorted(HEADINGS)
