"""The version: that of ivcap-lambda whose interface this is, and that of lambda_kit, which does the work."""

import re

from lambda_kit.version import VERSION

__all__ = ["__version__", "get_version"]

_INTERFACE = "0.8.5"

# a local version (PEP 440), so that a comparison with a version of ivcap-lambda says what is there
__version__ = f"{_INTERFACE}+lambda.kit.{re.sub('[^a-z0-9]+', '.', VERSION.lower())}"


def get_version() -> str:
    """As ``__version__``."""
    return __version__
