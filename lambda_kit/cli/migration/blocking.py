"""Whether an ``async def`` would hold up the event loop.

ivcap-lambda runs each job on a thread with a loop of its own, so there a blocking call in an ``async def`` holds up
nobody else. An ``async def run`` of a class shares the server's loop.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libcst as cst

from lambda_kit.cli.migration.source_view import SourceView

__all__ = ["Blocking", "find_blocking", "long_loops"]

_CALLS = frozenset(
    {
        *("time.sleep", "input", "builtins.input", "urllib.request.urlopen", "socket.create_connection"),
        *("os.system", "os.popen", "os.wait", "os.waitpid", "shutil.copytree", "shutil.rmtree"),
        *(f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "getoutput", "Popen")),
        *(f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "options", "request")),
        *("httpx.stream", "httpx.Client", "openai.OpenAI", "openai.AzureOpenAI", "openai.Client"),
        *("anthropic.Anthropic", "litellm.completion", "litellm.embedding", "sqlite3.connect", "psycopg2.connect"),
        *("psycopg.connect", "pymysql.connect", "pymongo.MongoClient", "redis.Redis", "smtplib.SMTP", "ftplib.FTP"),
    }
)
_PACKAGES = ("requests.", "boto3.", "urllib3.")
_ELSEWHERE = frozenset({"to_thread", "run_in_executor", "run_sync", "run_in_threadpool"})
"""What is handed to these runs on another thread."""

Sibling = Callable[[str], tuple[SourceView, cst.FunctionDef] | None]
"""Finds the function that a qualified name of an imported module means, where that module is a file beside."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """Why a function holds up the event loop."""

    line: int
    reason: str


def find_blocking(view: SourceView, function: cst.FunctionDef, sibling: Sibling) -> Blocking | None:
    """The first thing in an ``async def``, or in what it calls, that blocks. None: nothing was found."""
    if not _awaits(function.body):
        return Blocking(view.line(function), "it awaits nothing, so nothing else runs until it ends")
    return next(_blocking_calls(view, function, sibling, set()), None)


def _awaits(body: cst.CSTNode) -> bool:
    seen = _Awaits()
    body.visit(seen)
    return seen.found


class _Awaits(cst.CSTVisitor):
    """Whether there is an await in a body, not in the functions that are defined in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def visit_Await(self, node: cst.Await) -> None:
        self.found = True

    def visit_Asynchronous(self, node: cst.Asynchronous) -> None:
        self.found = True


class _Calls(cst.CSTVisitor):
    """The calls that a function makes on its own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[cst.Call] = []

    def visit_Call(self, node: cst.Call) -> bool:
        name = node.func.attr.value if isinstance(node.func, cst.Attribute) else getattr(node.func, "value", None)
        if name in _ELSEWHERE:
            return False
        self.calls.append(node)
        return True


def _blocking_calls(
    view: SourceView, function: cst.FunctionDef, sibling: Sibling, seen: set[cst.FunctionDef]
) -> Iterator[Blocking]:
    seen.add(function)
    collected = _Calls()
    function.body.visit(collected)
    for call in collected.calls:
        shown = _shown(view, call)
        if shown is not None:
            yield Blocking(view.line(call), f"{shown} blocks")
            continue
        called = _called(view, call, sibling)
        if called is None or called[1] in seen:
            continue
        for deeper in _blocking_calls(*called, sibling, seen):
            where = f" ({called[0].path.name}:{deeper.line})" if called[0] is not view else f" (line {deeper.line})"
            name = called[1].name.value
            yield Blocking(view.line(call), f"{name} blocks: {deeper.reason.removesuffix(' blocks')}{where}")


def _called(view: SourceView, call: cst.Call, sibling: Sibling) -> tuple[SourceView, cst.FunctionDef] | None:
    own = view.function(call.func)
    if own is not None:
        return view, own
    return next(filter(None, map(sibling, view.imported(call.func))), None)


def _shown(view: SourceView, call: cst.Call) -> str | None:
    """The call as it is shown, if it is known to block."""
    for name in sorted(view.qualified(call.func)):
        if name in _CALLS or name.startswith(_PACKAGES):
            return f"{name.removeprefix('builtins.')}()"
    node: cst.BaseExpression = call.func
    while isinstance(node, cst.Attribute):
        if node.attr.value == "ivcap" and isinstance(node.value, cst.Name):
            return f"{node.value.value}.ivcap"
        if node.attr.value == "llm_client":
            return "llm_client()"
        node = node.value
    return None


def long_loops(view: SourceView, function: cst.FunctionDef) -> list[int]:
    """The lines of loops within loops, and of ``while`` loops, that await nothing."""
    found = _Loops()
    function.body.visit(found)
    return [view.line(loop) for loop in found.long]


class _Loops(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.long: list[cst.CSTNode] = []
        self._depth = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_While(self, node: cst.While) -> bool:
        return self._enter(node, is_long=True)

    def visit_For(self, node: cst.For) -> bool:
        return self._enter(node, is_long=self._depth > 0)

    def leave_While(self, original_node: cst.While) -> None:
        self._depth -= 1

    def leave_For(self, original_node: cst.For) -> None:
        self._depth -= 1

    def _enter(self, node: cst.While | cst.For, *, is_long: bool) -> bool:
        self._depth += 1
        if is_long and not _awaits(node):
            self.long.append(node)
            return False
        return True
