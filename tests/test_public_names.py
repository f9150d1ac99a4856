"""What `lambda_kit` offers by name, and what importing it does not do."""

import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lambda_kit
import lambda_kit.core
import lambda_kit.spi
import lambda_kit.testing
from lambda_kit.core import errors

REFERENCE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()

PUBLIC = pytest.mark.parametrize(
    "module", [lambda_kit, lambda_kit.spi, lambda_kit.testing], ids=lambda module: str(module.__name__)
)
"""The modules whose names are for users: each has an ``__all__``, and `docs/reference.md` shows what is in it."""

PROMISED = {
    "AsyncioExecutor", "BaseEvent", "BinaryResult", "Executor", "ExecutorOpts", "GenericErrorEvent", "GenericEvent",
    "Job", "JobContext", "JobNotFoundError", "JobObserver", "JobSink", "JobStatus", "JobStore", "LambdaKitError",
    "LambdaTool", "MemoryJobStore", "QueueFullError", "RequestInfo", "Service", "ThreadExecutor", "ToolDefinitionError",
    "ToolOptions", "ToolServer", "getLogger", "logging_init", "with_schema",
}  # fmt: skip


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_every_promised_name_is_offered() -> None:
    assert set(lambda_kit.__all__) >= PROMISED


@PUBLIC
def test_every_name_can_be_had_and_is_sorted(module: ModuleType) -> None:
    names = module.__all__
    assert names == sorted(names)
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(module, name) is not None
    assert set(names) <= set(dir(module))


@PUBLIC
def test_the_reference_shows_every_name_and_no_other(module: ModuleType) -> None:
    shown = set(re.findall(rf"^::: {re.escape(module.__name__)}\.(\w+)$", REFERENCE, re.MULTILINE))
    # names of other packages have a line in a table
    told = set(re.findall(r"^\| `(\w+)", REFERENCE, re.MULTILINE))
    told |= set(re.findall(rf"`{re.escape(module.__name__)}\.(\w+)` is", REFERENCE))
    assert set(module.__all__) - shown - told == set()
    assert shown - set(module.__all__) == set()


def the_tree_of_errors() -> Iterator[tuple[str, str]]:
    """Each error in the docstring of the module and its base there."""
    above: list[tuple[int, str]] = []
    lines = (errors.__doc__ or "").splitlines()
    for at, name, base in (
        (match.start(1), match[1], match[2])
        for match in (re.match(r"^ [ │├└─]*([A-Z]\w+Error)\b(?: \((\w+)\))?", line) for line in lines)
        if match
    ):
        while above and above[-1][0] >= at:
            above.pop()
        yield name, base or (above[-1][1] if above else "Exception")
        above.append((at, name))


def test_the_tree_of_errors_is_that_of_the_classes() -> None:
    classes = {
        name: value.__base__.__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__ and value.__base__
    }
    assert dict(the_tree_of_errors()) == classes


def test_every_error_of_the_tree_is_offered() -> None:
    names = {name for name, _ in the_tree_of_errors()}
    assert len(names) > 15
    assert set(errors.__all__) == names
    offered = [getattr(lambda_kit, name) for name in lambda_kit.__all__]
    assert {value.__name__ for value in offered if inspect.isclass(value) and issubclass(value, BaseException)} == names
    for name in names:
        assert getattr(lambda_kit, name) is getattr(errors, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    for module in (lambda_kit, lambda_kit.testing):
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            module.Nothing  # noqa: B018


@pytest.mark.parametrize(
    "module",
    ["lambda_kit", "lambda_kit.core", "lambda_kit.logs", "lambda_kit.testing", "lambda_kit.version"],
)
@pytest.mark.processes
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    heavy = run(f"""
        import sys, {module}
        heavy = ("litestar", "uvicorn", "ivcap_service", "hypothesis", "pytest")
        print([name for name in heavy if name in sys.modules])
    """)
    assert heavy == "[]"


@pytest.mark.processes
def test_the_core_knows_no_web_framework() -> None:
    modules = [info.name for info in pkgutil.walk_packages(lambda_kit.core.__path__, "lambda_kit.core.")]
    assert len(modules) > 15
    heavy = run(f"""
        import sys, importlib
        for module in {modules!r}:
            importlib.import_module(module)
        print([name for name in ("litestar", "uvicorn", "starlette", "sqlite3", "mcp", "redis") if name in sys.modules])
    """)
    assert heavy == "[]"


@pytest.mark.processes
def test_importing_and_building_a_server_has_no_side_effects() -> None:
    told = run("""
        import asyncio, logging, signal, sys, threading

        def state():
            handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
            root = logging.getLogger()
            return handlers, list(root.handlers), root.level, threading.active_count(), sys.excepthook

        import ivcap_service  # what that one does is its own affair
        before = state()
        import lambda_kit
        for name in lambda_kit.__all__:
            getattr(lambda_kit, name)
        from pydantic import BaseModel
        class Ask(BaseModel): pass
        class Echo(lambda_kit.LambdaTool):
            def run(self, req: Ask) -> str:
                return "x"
        service = lambda_kit.Service(name="x", contact={"name": "x", "email": "x@example.com"})
        lambda_kit.ToolServer(service, tools=[Echo]).app
        assert state() == before, (before, state())
        assert not any(h for h in logging.getLogger("lambda_kit").handlers if not isinstance(h, logging.NullHandler))
        print("same")
    """)
    assert told == "same"
