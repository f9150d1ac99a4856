"""The library that this one succeeds, in an environment of its own: `scripts/original.sh` installs it."""

from pathlib import Path

from tests.support.missing_service import missing_service

__all__ = ["original_python"]

_PYTHON = Path(__file__).parents[2] / ".venv-original" / "bin" / "python"


def original_python() -> Path:
    """The interpreter that has it. Skips the running test if it is not there."""
    if not _PYTHON.exists():
        missing_service("ivcap-lambda, the original: install it by scripts/original.sh")
    return _PYTHON
