"""The console command ``lambda-kit``, and where ``migrate`` writes to."""

import importlib
import stat
import tomllib
from pathlib import Path

import pytest

from lambda_kit.version import VERSION
from tests.migrate.migrating import GOLDEN, ROOT, command, process

BEFORE = GOLDEN / "shop_before.py"
AFTER = (GOLDEN / "shop_after.py").read_bytes()


def test_the_distribution_has_the_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["lambda-kit"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_it_tells_its_version_and_its_commands() -> None:
    assert command("--version").out.decode().strip() == f"lambda-kit {VERSION}"
    shown = command("--help")
    assert shown.code == 0
    assert b"migrate" in shown.out
    assert b"FILE" in command("migrate", "--help").out


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("migrate",), ("migrate", "x.py", "--write", "-o", "y.py")])
def test_a_wrong_command_line_is_refused_with_2(arguments: tuple[str, ...]) -> None:
    assert command(*arguments).code == 2


def test_without_a_target_the_result_goes_to_stdout_and_all_else_to_stderr() -> None:
    migrated = process("migrate", BEFORE)
    assert migrated.code == 0
    assert migrated.out == AFTER
    assert f"{BEFORE}:22: note: Service(license_info=...)" in migrated.said


def test_write_replaces_the_file_and_keeps_its_rights_and_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.py", tmp_path / "service.py"
    real.write_bytes(BEFORE.read_bytes())
    real.chmod(0o750)
    link.symlink_to(real)
    migrated = command("migrate", link, "--write")
    assert (migrated.code, migrated.out) == (0, b"")
    assert real.read_bytes() == AFTER
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o750
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real.py", "service.py"]


def test_output_names_another_file(tmp_path: Path) -> None:
    out = tmp_path / "out.py"
    assert command("migrate", BEFORE, "-o", out).code == 0
    assert out.read_bytes() == AFTER


def test_a_migrated_file_stays_as_it_is() -> None:
    migrated = command("migrate", GOLDEN / "shop_after.py")
    assert (migrated.code, migrated.out) == (0, AFTER)


def test_a_file_with_classes_has_nothing_to_migrate() -> None:
    file = ROOT / "docs_src" / "greet.py"
    migrated = command("migrate", file)
    assert (migrated.code, migrated.out) == (0, file.read_bytes())
    assert "nothing of ivcap-lambda is used here" in migrated.said


def test_a_file_that_is_not_there_is_named() -> None:
    migrated = command("migrate", "no_such_file.py")
    assert migrated.code == 1
    assert migrated.said == "lambda-kit migrate: error: no_such_file.py: No such file or directory\n"


def test_without_libcst_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "libcst.py").write_text("raise ModuleNotFoundError('No module named libcst', name='libcst')\n")
    migrated = process("migrate", BEFORE, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert migrated.code == 1
    assert "pip install 'lambda-kit[migrate]'" in migrated.said


def test_the_file_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    ran = tmp_path / "ran"
    file.write_text(f"open({str(ran)!r}, 'w')\n{BEFORE.read_text()}")
    assert command("migrate", file).code == 0
    assert not ran.exists()
