"""Builds the wheel and checks what is in it: the package, all of it, and nothing else."""

import subprocess
import sys
import tempfile
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "lambda_kit"


def build_wheel(folder: Path) -> Path:
    """Builds the wheel with the build backend that is installed here, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def faults(wheel: Path) -> list[str]:
    """Says what is missing from the wheel and what has no place in it."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {*sources, f"{PACKAGE}/py.typed", f"{info}/licenses/LICENSE"}
    found = [f"missing: {name}" for name in sorted(wanted - names)]
    found += [f"not wanted: {name}" for name in sorted(names - wanted) if not name.startswith(f"{info}/")]
    found += [f"empty: {key}" for key in ("Version", "Requires-Python", "Summary") if not metadata[key]]
    return found


def main() -> int:
    """Prints the faults and returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        found = faults(wheel)
        print("\n".join(found) or f"{wheel.name} holds {PACKAGE} and nothing else")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
