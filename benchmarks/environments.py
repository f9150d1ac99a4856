"""The interpreters: one virtual environment for the original, one for lambda_kit and the bare handlers."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import SetupError
from benchmarks.processes import ROOT

__all__ = ["ORIGINAL_REQUIREMENTS", "checkout_python", "fastmcp_python", "original_python", "versions"]

ORIGINAL_REQUIREMENTS = ("ivcap-lambda[mcp]==0.8.5", "uvloop", "httptools")
_FASTMCP_REQUIREMENTS = ("fastmcp==4.2.3", "uvloop", "httptools")

_HERE = Path(__file__).resolve().parent
_NEEDED = "import httptools, litestar, mcp, msgspec, pydantic, uvicorn, uvloop"
_REPORTED = ("lambda-kit", "ivcap-lambda", "fastmcp", "mcp", "litestar", "fastapi", "ivcap-service", "pydantic",
             "msgspec", "uvicorn", "uvloop", "httptools")  # fmt: skip
_INSTALL_SECONDS = 900


def original_python() -> str:
    """The interpreter that has `ivcap-lambda` 0.8.5; installs it the first time.

    Raises:
        SetupError: it can't be installed.
    """
    return _environment(_HERE / ".venv-original", ORIGINAL_REQUIREMENTS, stamp="")


def fastmcp_python() -> str:
    """The interpreter that has fastmcp; installs it the first time.

    Raises:
        SetupError: it can't be installed.
    """
    return _environment(_HERE / ".venv-fastmcp", _FASTMCP_REQUIREMENTS, stamp="")


def checkout_python(*, needs_lambda_kit: bool) -> str:
    """The running interpreter when it has all that the checkout needs, else one of its own.

    Raises:
        SetupError: it can't be installed.
    """
    probe = _NEEDED + ("; from lambda_kit import ToolServer" if needs_lambda_kit else "")
    # From the checkout, as the contestants are started: `lambda_kit` itself need not be installed.
    tried = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, timeout=120, check=False)
    if tried.returncode == 0:
        return sys.executable
    project = ROOT / "pyproject.toml"
    if not project.exists():
        raise SetupError(f"{project} is missing, so lambda_kit can't be installed: run this from a checkout")
    stamp = hashlib.sha256(project.read_bytes()).hexdigest()
    return _environment(_HERE / ".venv-ours", ("-e", f"{ROOT}[mcp]", "uvloop", "httptools"), stamp=stamp)


def _environment(folder: Path, requirements: Sequence[str], *, stamp: str) -> str:
    """A virtual environment of the running Python; made anew when what it should hold has changed."""
    python = folder / "bin" / "python"
    marker = folder / "benchmark-requirements.json"
    wanted = json.dumps({"requirements": list(requirements), "python": sys.version, "stamp": stamp})
    if marker.exists() and marker.read_text() == wanted and python.exists():
        return str(python)
    sys.stderr.write(f"installing {' '.join(requirements)} into {folder}\n")
    _install([sys.executable, "-m", "venv", "--clear", str(folder)], "the venv module (Debian: python3-venv)")
    _install([str(python), "-m", "pip", "install", "--quiet", *requirements], "pip and a package index")
    marker.write_text(wanted)
    return str(python)


def _install(command: list[str], needed: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SetupError(f"not done after {_INSTALL_SECONDS} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed; it needs {needed}:\n{(done.stderr or done.stdout)[-2000:]}")


def versions(python: str) -> str:
    """The versions in an interpreter that matter for speed, for people to read."""
    code = (
        "import json, platform, sys\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "found = {}\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    try: found[name] = version(name)\n"
        "    except PackageNotFoundError: pass\n"
        "print(json.dumps({'python': platform.python_version(), **found}))\n"
    )
    # Not from the checkout: what lies there must not be taken for what is installed.
    done = subprocess.run(
        [python, "-I", "-c", code, json.dumps(_REPORTED)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return ", ".join(f"{name} {version}" for name, version in found.items())
