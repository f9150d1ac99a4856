"""What can't be migrated: each is named with its line and a reason, and the file is left as it is."""

from pathlib import Path

import pytest

from tests.migrate.migrating import command, migrate_text

HEAD = """\
from fastapi import Request as FRequest
from ivcap_lambda import *OLD*
from ivcap_service import JobContext, Service
from pydantic import BaseModel


class Req(BaseModel):
    name: str


"""
TOOL = '@ivcap_lambda("/a"*MORE*)\ndef a(req: Req*PARAMETERS*) -> dict:\n    *BODY*\n'


def source(
    rest: str = "", *, old: str = "ToolOptions, ivcap_lambda", more: str = "", parameters: str = "", body: str = "pass"
) -> str:
    tool = TOOL.replace("*MORE*", more).replace("*PARAMETERS*", parameters).replace("*BODY*", body)
    return HEAD.replace("*OLD*", old) + tool + rest


IMPOSSIBLE = {
    "two tools of one function": (
        source().replace("@ivcap", '@ivcap_lambda("/b")\n@ivcap'),
        11,
        "a is made a tool 2 times",
    ),
    "a decorator above": (source().replace("@ivcap", "@print\n@ivcap"), 12, "the decorator above applies"),
    "a tool in a function": (
        source('def f():\n    @ivcap_lambda("/b")\n    def b(req: Req) -> dict: pass\n'),
        15,
        "b is made a tool in a function",
    ),
    "a context": (source(more=", context=None or 1"), 11, "ExecutionContext has no counterpart"),
    "hidden arguments": (source(more=", **{}"), 11, "behind '*' or '**'"),
    "a parameter in the path": (source().replace('"/a"', '"/a/{id}"'), 11, "path '/a/{id}' has a parameter"),
    "a path without a slash": (source().replace('"/a"', '"a"'), 11, "does not begin with '/'"),
    "any arguments": (source(parameters=", **more"), 12, "nothing can supply '*more'"),
    "no annotation": (source(parameters=", more"), 12, "parameter 'more' has no annotation"),
    "two requests": (source(parameters=", more: Req"), 12, "a has 2 parameters that may be the request"),
    "a generator": (source(body="yield {}"), 12, "a is a generator"),
    "a star import": (source(old="*"), 2, "hides which names are meant"),
    "the app": (
        source("app = get_fast_app()\n", old="get_fast_app, ivcap_lambda"),
        14,
        "the app of a server is server.app",
    ),
    "the public URL": (
        source("get_public_url_prefix(1)\n", old="get_public_url_prefix, ivcap_lambda"),
        14,
        "lambda_kit makes public URLs by itself",
    ),
    "the decorator as a function": (source("b = ivcap_lambda('/b')(print)\n"), 14, "use it as a decorator"),
    "the start as a value": (
        source("go = start_tool_server\n", old="ivcap_lambda, start_tool_server"),
        14,
        "start_tool_server can't be migrated here: call it",
    ),
    "another start": (
        source("start_tool_server(1, 2)\n", old="ivcap_lambda, start_tool_server"),
        14,
        "started with other arguments",
    ),
    "options that are changed": (
        source("options = ToolOptions()\noptions.tags = []\n", more=", opts=options"),
        15,
        "options.tags is assigned: options are frozen",
    ),
    "FastAPI's options of a route": (
        source(more=", opts=ToolOptions(post_route_opts={'dependencies': []})"),
        11,
        "post_route_opts has dependencies",
    ),
    "a batch service of ivcap-service": (
        "from ivcap_service import Service, start_batch_service\n\nstart_batch_service(Service(), print)\n",
        3,
        "start_batch_service can't be migrated here",
    ),
    "a name that classes have": (
        source("path = 1\n", parameters=", n: path = None"),
        12,
        "uses the module's 'path'",
    ),
    "a LambdaTool of its own": (source("class LambdaTool: pass\n"), 1, "has a LambdaTool of its own"),
    "the body of the HTTP request": (
        source(parameters=", freq: FRequest", body="freq.body()"),
        13,
        "freq.body: RequestInfo has method, url, headers and client",
    ),
    "the parts of the URL": (
        source(parameters=", freq: FRequest", body="freq.url.path"),
        13,
        "freq.url.path: RequestInfo.url is a string",
    ),
    "the token in the header": (
        source(parameters=", freq: FRequest", body='freq.headers["Authorization"]'),
        13,
        "use job_authorization of the JobContext",
    ),
    "a computed header": (
        source(parameters=", freq: FRequest", body="freq.headers.get(req.name)"),
        13,
        "this one is computed",
    ),
    "the HTTP request as a whole": (
        source(parameters=", freq: FRequest", body="print(freq)"),
        13,
        "freq is used as a whole",
    ),
    "what a function of the file reads of it": (
        source("def f(r: FRequest): return r.cookies\n", parameters=", freq: FRequest", body="f(freq)"),
        14,
        "r.cookies: RequestInfo has",
    ),
}


@pytest.mark.parametrize(("text", "line", "reason"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_cant_be_migrated_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    file = tmp_path / "service.py"
    file.write_text(text)
    migrated = command("migrate", file, "--write")
    errors = [said for said in migrated.said.splitlines() if ": error: " in said]
    assert any(said.startswith(f"{file}:{line}: error: ") and reason in said for said in errors), migrated.said
    assert migrated.code == 1
    assert file.read_text() == text


def test_one_tool_that_cant_be_migrated_holds_back_the_whole_file(tmp_path: Path) -> None:
    migrated = migrate_text(tmp_path, source('@ivcap_lambda("/b")\ndef b(req: Req):\n    yield 1\n'))
    assert migrated.code == 1
    assert migrated.out == b""
    assert "not migrated, and left as it is" in migrated.said


KEPT = {
    "it is used in line 14": source("b = a(Req(name='x'))\n"),
    "it is used in line 13": source(body="return a(req)"),
    "another decorator is made for a function": source().replace("\ndef a", "\n@print\ndef a"),
    "it is in __all__": source("__all__ = ['a']\n"),
    "it has a 'self' of its own": source(body="self = 1"),
    "in a class, names that begin with '__' mean something else": source("__hidden = 1\n", body="return __hidden"),
    "it is registered by add_tool_api_route": source(old="ToolOptions, add_tool_api_route, get_fast_app").replace(
        '@ivcap_lambda("/a")\n', ""
    )
    + 'add_tool_api_route(get_fast_app(), "/a", a, opts=ToolOptions())\n',
}


@pytest.mark.parametrize("reason", KEPT)
def test_a_function_that_is_needed_stays_and_run_calls_it(tmp_path: Path, reason: str) -> None:
    migrated = migrate_text(tmp_path, KEPT[reason])
    assert migrated.code == 0, migrated.said
    assert f"a stays a function, which A.run calls: {reason}" in migrated.said
    text = migrated.out.decode()
    assert "\ndef a(req: Req) -> dict:\n" in text
    assert "    def run(self, req: Req) -> dict:\n        return a(req)\n" in text
    assert "ivcap_lambda" not in text


def test_a_function_that_other_files_import_stays(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("import os\n\nfrom service import (\n    a,\n)\n")
    migrated = migrate_text(tmp_path, source())
    assert migrated.code == 0
    assert "it is imported in tests/test_a.py:3" in migrated.said
    assert "\ndef a(req: Req)" in migrated.out.decode()


ASYNC = source().replace("def a", "async def a")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return {}", "it awaits nothing, so nothing else runs until it ends"),
        ("await x()\n    import time\n    time.sleep(1)", "time.sleep() blocks"),
        ("await x()\n    import requests\n    requests.get(req.name)", "requests.get() blocks"),
        ("await x()\n    import subprocess\n    subprocess.run([req.name])", "subprocess.run() blocks"),
        ("await x()\n    from openai import OpenAI\n    c = OpenAI()", "openai.OpenAI() blocks"),
        ("await x()\n    from httpx import get\n    get(req.name)", "httpx.get() blocks"),
        ("await x()\n    return slow()", "slow blocks: time.sleep() (line 17)"),
        ("await x()\n    return helper.deep()", "deep blocks: sleepy blocks: time.sleep() (line 3) (helper.py:6)"),
    ],
)
def test_an_async_tool_that_blocks_runs_on_a_thread(tmp_path: Path, body: str, reason: str) -> None:
    (tmp_path / "helper.py").write_text("import time\ndef sleepy():\n    time.sleep(1)\n\ndef deep():\n    sleepy()\n")
    text = ASYNC.replace("    pass\n", f"    {body}\n")
    text += "\n" * (14 - text.count("\n")) + "import time, helper\n\ndef slow(): time.sleep(1)\n"
    migrated = migrate_text(tmp_path, text)
    assert migrated.code == 0, migrated.said
    assert f"a is 'async def' and blocks ({reason}): executor=\"thread\" is written" in migrated.said
    assert 'options = ToolOptions(executor="thread")' in migrated.out.decode()


@pytest.mark.parametrize(
    "body",
    [
        "await x()",
        "async with x(): pass",
        "return [y async for y in x()]",
        "import asyncio, time\n    await asyncio.to_thread(time.sleep, 1)",
        "import asyncio, time\n    await asyncio.to_thread(lambda: time.sleep(1))",
    ],
)
def test_an_async_tool_that_does_not_block_keeps_the_loop(tmp_path: Path, body: str) -> None:
    migrated = migrate_text(tmp_path, ASYNC.replace("    pass\n", f"    {body}\n"))
    assert migrated.code == 0, migrated.said
    assert "blocks" not in migrated.said
    assert 'executor="thread"' not in migrated.out.decode()


@pytest.mark.parametrize("options", ["options", "make('x')"])
def test_options_from_elsewhere_are_left_and_the_thread_is_asked_for(tmp_path: Path, options: str) -> None:
    made = "options = ToolOptions()\n\n\ndef make(tag): return ToolOptions(tags=[tag])\n\n\nclass Req"
    text = ASYNC.replace('"/a"', f'"/a", opts={options}').replace("class Req", made)
    migrated = migrate_text(tmp_path, text)
    assert migrated.code == 0, migrated.said
    assert 'write executor="thread" into its ToolOptions' in migrated.said
    assert f"    options = {options}\n" in migrated.out.decode()


def test_a_loop_that_awaits_nothing_is_warned_of(tmp_path: Path) -> None:
    body = "await x()\n    while True:\n        req.name += 'x'"
    migrated = migrate_text(tmp_path, ASYNC.replace("    pass\n", f"    {body}\n"))
    assert migrated.code == 0
    assert ":14: warning: a: this loop awaits nothing" in migrated.said


def test_a_file_beside_that_has_tools_too_is_named_and_all_tools_are_served(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text("from ivcap_lambda import ivcap_lambda\n")
    text = source("import more\nstart_lambda_server(Service())\n", old="ivcap_lambda, start_lambda_server")
    migrated = migrate_text(tmp_path, text)
    assert migrated.code == 0
    assert "more.py uses ivcap-lambda, too" in migrated.said
    assert "\nToolServer(Service()).serve()\n" in migrated.out.decode()


def test_an_import_that_is_tried_is_taken_out(tmp_path: Path) -> None:
    tried = (
        "try:\n    from ivcap_lambda import ivcap_lambda\nexcept ImportError:\n"
        "    from ivcap_ai_tool import ivcap_ai_tool as ivcap_lambda\n"
    )
    migrated = migrate_text(tmp_path, source().replace("from ivcap_lambda import ToolOptions, ivcap_lambda\n", tried))
    assert migrated.code == 0, migrated.said
    text = migrated.out.decode()
    assert "try:\n    pass\nexcept ImportError:\n    pass\nfrom lambda_kit import " in text
