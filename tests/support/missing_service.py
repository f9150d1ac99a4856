"""Tests that need a service of the machine, such as a database, and what becomes of them where it is missing."""

import os
from typing import NoReturn

import pytest

__all__ = ["REASON", "missing_service", "services_are_required"]

REASON = "missing service: "


def services_are_required() -> bool:
    """Whether LAMBDA_KIT_REQUIRE_SERVICES says that a missing service is a failure."""
    return os.environ.get("LAMBDA_KIT_REQUIRE_SERVICES", "") not in ("", "0")


def missing_service(name: str) -> NoReturn:
    """Skip the running test, since a service is not there; with LAMBDA_KIT_REQUIRE_SERVICES=1 it fails instead.

    For a skip by a mark, begin its reason with `REASON`: it is treated alike.
    """
    pytest.skip(REASON + name)
