"""What `lambda_kit` offers by name, and what importing it does not do."""

import importlib
import pkgutil
import subprocess
import sys
import textwrap

import pytest

import lambda_kit
import lambda_kit.core
import lambda_kit.testing

PROMISED = {
    "AsyncioExecutor", "BaseEvent", "BinaryResult", "Executor", "ExecutorOpts", "GenericErrorEvent", "GenericEvent",
    "Job", "JobContext", "JobNotFoundError", "JobSink", "JobStatus", "JobStore", "LambdaKitError", "LambdaTool",
    "MemoryJobStore", "QueueFullError", "RequestInfo", "Service", "ThreadExecutor", "ToolDefinitionError",
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


@pytest.mark.parametrize("module", [lambda_kit, lambda_kit.testing], ids=lambda module: str(module.__name__))
def test_every_name_can_be_had_and_is_sorted(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert names == sorted(names)
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(module, name) is not None
    assert set(names) <= set(dir(module))


def test_every_error_of_the_core_is_offered() -> None:
    errors = importlib.import_module("lambda_kit.core.errors")
    assert set(errors.__all__) <= set(lambda_kit.__all__)
    for name in errors.__all__:
        assert getattr(lambda_kit, name) is getattr(errors, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    for module in (lambda_kit, lambda_kit.testing):
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            module.Nothing  # noqa: B018


@pytest.mark.parametrize(
    "module", ["lambda_kit", "lambda_kit.core", "lambda_kit.logs", "lambda_kit.testing", "lambda_kit.version"]
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
