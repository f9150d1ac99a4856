"""Builds the wheels and checks what is in them: the packages, all of them, and nothing else."""

import subprocess
import sys
import tempfile
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = {ROOT: ("lambda_kit",), ROOT / "compat": ("ivcap_ai_tool", "ivcap_lambda")}
"""Where each distribution is, and its packages."""


def build_wheel(project: Path, folder: Path) -> Path:
    """Builds a wheel with the build backend that is installed here, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    before = set(folder.glob("*.whl"))
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def faults(wheel: Path, project: Path, packages: tuple[str, ...]) -> list[str]:
    """Says what is missing from a wheel and what has no place in it."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    wanted = {f"{info}/licenses/LICENSE"}
    for package in packages:
        wanted |= {
            path.relative_to(project).as_posix()
            for path in (project / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        wanted.add(f"{package}/py.typed")
    found = [f"missing: {name}" for name in sorted(wanted - names)]
    found += [f"not wanted: {name}" for name in sorted(names - wanted) if not name.startswith(f"{info}/")]
    found += [f"empty: {key}" for key in ("Version", "Requires-Python", "Summary") if not metadata[key]]
    return found


def main() -> int:
    """Prints the faults and returns the exit status."""
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        for project, packages in DISTRIBUTIONS.items():
            wheel = build_wheel(project, Path(folder))
            found = faults(wheel, project, packages)
            print("\n".join(found) or f"{wheel.name} holds {', '.join(packages)} and nothing else")
            status = status or int(bool(found))
    return status


if __name__ == "__main__":
    sys.exit(main())
