"""`OidcAuthenticator` without the packages of its extra."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules[{missing!r}] = None
from lambda_kit import MissingExtraError
from lambda_kit.adapters.auth import OidcAuthenticator
try:
    OidcAuthenticator("https://login.example.org", audience="a")
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.processes
@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_the_extra_the_error_says_which_command_installs_it(missing: str):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(missing=missing)], capture_output=True, text=True, timeout=50, check=True
    )
    assert "pip install 'lambda-kit[auth]'" in done.stdout
