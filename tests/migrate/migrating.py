"""Runs ``lambda-kit``, in this process or in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from lambda_kit.cli.command import main

__all__ = ["GOLDEN", "ROOT", "Ran", "command", "migrate_text", "process"]

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True)
class Ran:
    """What the command did."""

    code: int
    out: bytes
    said: str


def process(*arguments: str | Path, env: dict[str, str] | None = None) -> Ran:
    """Run ``lambda-kit`` with arguments, as a process of its own."""
    program = "from lambda_kit.cli.command import main; raise SystemExit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        timeout=55,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr.decode())


def command(*arguments: str | Path) -> Ran:
    """Run ``lambda-kit`` with arguments, here."""
    out, said = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with mock.patch.object(sys, "stdout", out), contextlib.redirect_stderr(said):
        try:
            code = main([*map(str, arguments)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out.flush()
        return Ran(code, out.buffer.getvalue(), said.getvalue())


def migrate_text(folder: Path, source: str | bytes, name: str = "service.py") -> Ran:
    """Migrate a file with this content."""
    file = folder / name
    file.write_bytes(source.encode() if isinstance(source, str) else source)
    return command("migrate", file)
