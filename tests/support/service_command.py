"""A service file that does something and ends, such as printing a description."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["EXAMPLES", "ROOT", "run_to_end"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_BOUND_SECONDS = 45.0
_UNWANTED = ("HOST", "PORT", "VERSION", "DOCKER_IMG", "DOCKERFILE", "ENTRYPOINT")


def run_to_end(
    file: Path, *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python FILE ARGS`` with nothing in the environment that a service reads, but `env`."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    kept = {name: value for name, value in kept.items() if not name.startswith(("IVCAP_", "LAMBDA_KIT_"))}
    return subprocess.run(
        [sys.executable, str(file), *args],
        cwd=cwd,
        env={**kept, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_BOUND_SECONDS,
        check=False,
    )
