"""`lambda-kit key`."""

import hashlib
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lambda_kit.adapters.auth import ApiKeys
from lambda_kit.cli.command import main
from lambda_kit.testing import AuthenticatorContract

sent = AuthenticatorContract.request_with


def test_it_prints_the_key_to_stdout_and_its_line_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "--name", "ann", "--scopes", "greet, admin", "--expires", "2999-01-31"]) == 0
    shown = capsys.readouterr()
    key = shown.out.rstrip("\n")
    assert re.fullmatch(r"lk_[0-9A-Za-z]{49}", key)
    line = f"ann  scopes=greet,admin  expires=2999-01-31  sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert line in shown.err.splitlines()
    assert key not in shown.err


async def test_the_line_lets_the_key_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key"]) == 0
    shown = capsys.readouterr()
    (line,) = (line for line in shown.err.splitlines() if "sha256:" in line)
    principal = await ApiKeys(line).authenticate(sent({"x-api-key": shown.out.strip()}))
    assert principal is not None
    assert re.fullmatch(r"key:key-[0-9a-f]{8}", principal.id)


def test_days_are_counted_from_today_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC)
    assert main(["key", "--expires", "90"]) == 0
    days = {f"expires={at.date() + timedelta(days=90)}" for at in (before, datetime.now(UTC))}
    assert days & set(capsys.readouterr().err.split())


async def test_append_adds_the_line_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys"
    assert main(["key", "--name", "ann", "--append", str(file)]) == 0
    ann = capsys.readouterr()
    assert not stat.S_IMODE(file.stat().st_mode) & 0o007
    assert "sha256:" not in ann.err
    file.write_text(file.read_text().rstrip("\n"))  # as some editors leave it
    assert main(["key", "--name", "ben", "--append", str(file)]) == 0
    ben = capsys.readouterr()
    keys = ApiKeys(file.read_text())
    for name, shown in (("ann", ann), ("ben", ben)):
        principal = await keys.authenticate(sent({"x-api-key": shown.out.strip()}))
        assert principal is not None
        assert principal.name == name


@pytest.mark.parametrize("content", ["ann sha256:abc\n", "\xff"])
def test_a_file_that_is_wrong_is_left_as_it_is(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys"
    file.write_text(content, "latin-1")
    assert main(["key", "--append", str(file)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"lambda-kit key: error: {file}")
    assert file.read_text("latin-1") == content


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "--append", str(tmp_path / "none" / "keys")]) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["--name", "a b"], "the name of a key must be letters"), (["--scopes", 'a,"b"'], "the scopes of a key must be")],
)
def test_what_cannot_be_written_in_a_line_is_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", *arguments]) == 1
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("day", ["soon", "2026-01-01", "2027-13-01", "99999999999999", "-1"])
def test_a_day_that_is_none_is_a_wrong_command_line(day: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["key", "--expires", day])
