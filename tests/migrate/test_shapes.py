"""Odd but valid ways to write a tool: the class that comes of each can be served, and looks as it should."""

import runpy
from pathlib import Path

import pytest

from lambda_kit import LambdaTool, Service, ToolServer
from tests.migrate.migrating import command

MODEL = "from pydantic import BaseModel\n\n\nclass R(BaseModel):\n    n: int = 1\n\n\n"
IMPORT = f"from ivcap_lambda import ivcap_lambda\n{MODEL}"
OPTIONS = f"from ivcap_lambda import ToolOptions, ivcap_lambda\n{MODEL}"
CONTEXT = f"from ivcap_lambda import ivcap_lambda\nfrom ivcap_service import JobContext\n{MODEL}"

PARAMETERS = """\
    def run(
        self,
        req: R,  # this
        /,
        *,
        ctx: JobContext,
    ) -> R:  # that
        # first

        return req
        # last
# after
"""

SHAPES = {
    "imports by their full names": (
        "import ivcap_lambda\nimport ivcap_lambda.executor\n"
        + MODEL
        + '@ivcap_lambda.ivcap_lambda("/a", opts=ivcap_lambda.ToolOptions(\n'
        "    executor_opts=ivcap_lambda.executor.ExecutorOpts(max_workers=1)))\ndef a(req: R) -> R:\n    return req\n",
        {"a": "/a"},
        "executor_opts=ExecutorOpts(max_workers=1))",
    ),
    "an import line that was changed to the compatibility layer": (
        "from lambda_kit.compat.ivcap_lambda import ToolOptions as TO, ivcap_lambda as tool\n"
        + MODEL
        + '@tool(path_prefix="/a", opts=TO(tags=["x"],))\ndef a(req: R) -> R:\n    return req\n',
        {"a": "/a"},
        '    options = TO(tags=["x"],)\n',
    ),
    "several statements on a line": (
        "import os; from ivcap_lambda import ivcap_lambda; import sys\n"
        + MODEL
        + '@ivcap_lambda("/a")\ndef a(req: R) -> R: "doc"; return req\n',
        {"a": "/a"},
        "import os; import sys\nfrom lambda_kit import LambdaTool\n",
    ),
    "nothing but a docstring, and comments at lines that go": (
        "# top\nfrom ivcap_lambda import ivcap_lambda  # one\n\n# two\nfrom ivcap_lambda import logging_init\n"
        + MODEL
        + '@ivcap_lambda("/a")\ndef a(req: R) -> None:\n    """only doc"""\n# end',
        {"a": "/a"},
        "# top\nfrom lambda_kit import LambdaTool, logging_init  # one\n\n# two\n",
    ),
    "a tool in an if": (
        IMPORT + 'if True:\n    @ivcap_lambda("/a")\n    def a(req: R) -> R:\n        return req\n',
        {"a": "/a"},
        "if True:\n    class A(LambdaTool):\n        path = ",
    ),
    "parameters on lines of their own": (
        CONTEXT
        + '@ivcap_lambda("/a")\ndef a(\n    req: R,  # this\n    /,\n    *,\n    ctx: JobContext,\n) -> R:  # that\n'
        "    # first\n\n    return req\n    # last\n# after\n",
        {"a": "/a"},
        PARAMETERS,
    ),
    "readiness by a lambda": (
        OPTIONS + '@ivcap_lambda("/a", opts=ToolOptions(is_ready=lambda: True))\ndef a(req: R) -> R: return req\n',
        {"a": "/a"},
        "    def is_ready(self) -> bool:\n        return (lambda: True)()\n",
    ),
    "readiness by an async function, in options that two tools share": (
        OPTIONS
        + "async def ok(): return True\n\n\nO = ToolOptions(is_ready=ok, max_wait_time=3)\n\n\n"
        + '@ivcap_lambda("/a", opts=O)\ndef a(req: R) -> R: return req\n\n\n'
        + '@ivcap_lambda("/b", opts=O)\ndef b(req: R) -> R: return req\n',
        {"a": "/a", "b": "/b"},
        "    async def is_ready(self) -> bool:\n        return await ok()\n",
    ),
    "two functions of one name": (
        IMPORT
        + '@ivcap_lambda("/a")\ndef a(req: R) -> R: return req\n@ivcap_lambda("/b")\ndef a(req: R) -> R: return req\n',
        {"a": "/a", "a_2": "/b"},
        'class ATool(LambdaTool):\n    name = "a_2"\n',
    ),
    "annotations that are strings": (
        "from __future__ import annotations\nfrom fastapi import Request\n"
        + IMPORT
        + '@ivcap_lambda("/a")\ndef a(req: "R", fr: "Request | None") -> "R":\n    print(fr.headers["Host"])\n'
        + "    return req\n",
        {"a": "/a"},
        'def run(self, req: "R", fr: RequestInfo) -> "R":\n        print(fr.headers["host"])\n',
    ),
    "a class that has the function's name": (
        IMPORT + 'Greet = 1\n\n\n@ivcap_lambda("/a")\ndef greet(req: R) -> R: return R(n=Greet)\n',
        {"greet": "/a"},
        'class GreetTool(LambdaTool):\n    name = "greet"\n',
    ),
    "no return annotation, and results of two kinds": (
        IMPORT + '@ivcap_lambda("/a")\ndef _a1(req: R):\n    if req.n: return {}\n    return R()\n',
        {"_a1": "/a"},
        "-> Any:",
    ),
    "the start in a function": (
        IMPORT
        + '@ivcap_lambda("/a")\ndef a(req: R) -> R: return req\n\n\n'
        + "def main(service):\n    from ivcap_lambda import start_lambda_server\n    start_lambda_server(service)\n",
        {"a": "/a"},
        "def main(service):\n    from lambda_kit import ToolServer\n    ToolServer(service, tools=[A]).serve()\n",
    ),
}


@pytest.mark.parametrize(("source", "tools", "looks"), SHAPES.values(), ids=SHAPES.keys())
def test_the_class_can_be_served(tmp_path: Path, source: str, tools: dict[str, str], looks: str) -> None:
    file, out = tmp_path / "before.py", tmp_path / "after.py"
    file.write_text(source)
    migrated = command("migrate", file, "-o", out)
    assert migrated.code == 0, migrated.said
    text = out.read_text()
    assert looks in text
    assert "ivcap_lambda" not in text
    found = [value for value in runpy.run_path(str(out)).values() if _is_tool(value)]
    server = ToolServer(Service(name="x", contact={"name": "a", "email": "a@example.com"}), tools=found)
    assert {name: tool.path for name, tool in server.tools.items()} == tools


def _is_tool(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, LambdaTool) and value is not LambdaTool
