"""What a migration must not touch: bytes, line ends, encodings, tabs, comments, and whole files that it can't read."""

from pathlib import Path
from unittest import mock

import libcst
import pytest

from tests.migrate.migrating import GOLDEN, command, migrate_text

BEFORE = (GOLDEN / "shop_before.py").read_text()
AFTER = (GOLDEN / "shop_after.py").read_text()

SMALL = '''import ivcap_lambda
from pydantic import BaseModel


class Request(BaseModel):
    name: str


@ivcap_lambda.ivcap_lambda("/greet")
def greet(req: Request) -> dict:
    """Greet"""
    return {"greeting": f"Grüße, {req.name}"}
'''


def test_crlf_and_a_byte_order_mark_are_kept(tmp_path: Path) -> None:
    source = b"\xef\xbb\xbf" + BEFORE.replace("\n", "\r\n").encode()
    migrated = migrate_text(tmp_path, source)
    assert migrated.code == 0, migrated.said
    assert migrated.out == b"\xef\xbb\xbf" + AFTER.replace("\n", "\r\n").encode()


def test_an_encoding_cookie_is_obeyed_and_kept(tmp_path: Path) -> None:
    migrated = migrate_text(tmp_path, ("# -*- coding: latin-1 -*-\n" + SMALL).encode("latin-1"))
    assert migrated.code == 0, migrated.said
    text = migrated.out.decode("latin-1")
    assert text.startswith("# -*- coding: latin-1 -*-\n")
    assert "Grüße" in text


def test_tabs_and_narrow_indents_are_kept(tmp_path: Path) -> None:
    for indent in ("\t", "  "):
        migrated = migrate_text(tmp_path, SMALL.replace("    ", indent))
        assert migrated.code == 0, migrated.said
        text = migrated.out.decode()
        assert f'\n{indent}"""Greet"""\n' in text
        assert f"\n{indent}def run(self, req: Request) -> dict:\n{indent}{indent}return " in text


def test_all_that_is_not_a_tool_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    odd = "\n\nx  =  {'a':1 ,\n   'b' : 2}   # odd\nif x :\n      y = 1 ;  z=2\n# end   \n\n\n"
    migrated = migrate_text(tmp_path, SMALL + odd)
    assert migrated.code == 0, migrated.said
    assert migrated.out.decode().endswith(odd)


def test_names_are_imported_before_they_are_used(tmp_path: Path) -> None:
    source = (
        "from ivcap_service import BaseEvent, getLogger\nimport os\n\nlogger = getLogger('app')\nKINDS = [BaseEvent]\n"
        "from ivcap_ai_tool import get_event_reporter, get_job_id\n"
    )
    migrated = migrate_text(tmp_path, source)
    assert migrated.code == 0, migrated.said
    assert migrated.out.decode().splitlines()[:4] == [
        "from lambda_kit import BaseEvent, getLogger",
        "from lambda_kit.compat.ivcap_lambda import get_event_reporter, get_job_id",
        "import os",
        "",
    ]
    assert "ivcap_ai_tool" not in migrated.out.decode()
    exec(compile(migrated.out, "service.py", "exec"), {"__name__": "service"})


def test_lines_of_strings_that_go_over_several_lines_do_not_move(tmp_path: Path) -> None:
    texts = "text = \"\"\"a\n  b {not}\n\tc\n\"\"\"\n    more = f'''\n{req.name}\n    d'''\n"
    body = f'    {texts}    return {{"text": text + more}}\n'
    migrated = migrate_text(tmp_path, SMALL.partition("    return")[0] + body)
    assert migrated.code == 0, migrated.said
    assert (
        "        text = \"\"\"a\n  b {not}\n\tc\n\"\"\"\n        more = f'''\n{req.name}\n    d'''\n"
        in migrated.out.decode()
    )


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("x = 1\nif x:\nprint(x)\n", 3, "no valid Python"),
        ("x = 1\ny = \x00\n", 1, "no valid Python"),
        (f"x = {'(' * 5000}{')' * 5000}\n", 1, "no valid Python"),
        ("\x0cimport ivcap_lambda\n", 1, "lambda-kit-compat"),  # libcst loses the form feed
        (f"x = {'+'.join(['1'] * 1500)}\n", 1, "lambda-kit-compat"),  # libcst recurses
    ],
)
def test_a_file_that_cant_be_read_is_left_as_it_is(tmp_path: Path, source: str, line: int, said: str) -> None:
    file = tmp_path / "service.py"
    file.write_text(source)
    migrated = command("migrate", file, "--write")
    assert file.read_text() == source
    assert migrated.code == 1
    assert f"{file}:{line}: error: " in migrated.said
    assert said in migrated.said


def test_syntax_that_libcst_does_not_know_is_named_by_its_line(tmp_path: Path) -> None:
    """Which syntax that is changes with each version of libcst: here its parser is given what it can't know."""
    real = libcst.parse_module

    def parse(source: bytes) -> libcst.Module:
        return real(source.replace(b"match x:", b"match x x:"))

    file = tmp_path / "service.py"
    file.write_text(SMALL + "match x:\n    case 1: pass\n")
    with mock.patch.object(libcst, "parse_module", parse):
        migrated = command("migrate", file, "--write")
    assert migrated.code == 1
    assert f"{file}:13: error: there is syntax here that libcst can't read yet" in migrated.said
    assert "lambda-kit-compat" in migrated.said
    assert file.read_text().endswith("match x:\n    case 1: pass\n")
