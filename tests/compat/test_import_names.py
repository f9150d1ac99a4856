"""The import names: one module whichever of them is used, and what importing does."""

import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lambda_kit.compat.ivcap_lambda

ROOT = Path(__file__).parents[2]
NAMES = ("ivcap_lambda.executor", "ivcap_ai_tool.executor", "lambda_kit.compat.ivcap_lambda.executor")
SUBMODULES = (
    "builder", "decorators", "executor", "health_handler", "logger", "mcp", "secret", "server", "service_definition",
    "utils", "version",
)  # fmt: skip

pytestmark = pytest.mark.processes


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=False, env={"PYTHONPATH": f"{ROOT}:{ROOT}/compat"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("order", list(itertools.permutations(NAMES)), ids=" ".join)
def test_a_module_is_one_whatever_name_is_imported_first(order: tuple[str, ...]) -> None:
    told = run(f"""
        import importlib, pickle, sys
        first, *others = [importlib.import_module(name) for name in {order!r}]
        assert all(other is first for other in others)
        import ivcap_ai_tool, ivcap_lambda, lambda_kit.compat.ivcap_lambda
        assert ivcap_lambda is ivcap_ai_tool is lambda_kit.compat.ivcap_lambda
        from ivcap_ai_tool.executor import ExecutionContext
        from ivcap_lambda.executor import ExecutionContext as Other
        class Own(Other): pass
        assert isinstance(Own(), ExecutionContext)
        importlib.reload(ivcap_lambda)
        for name in {SUBMODULES!r}:
            modules = {{importlib.import_module(f"{{top}}.{{name}}") for top in ("ivcap_lambda", "ivcap_ai_tool")}}
            assert modules == {{sys.modules[f"lambda_kit.compat.ivcap_lambda.{{name}}"]}}, name
        options = ivcap_lambda.ToolOptions(tags=["a"])
        assert pickle.loads(pickle.dumps(options)) == options
        print("one")
    """)
    assert told == "one"


def test_a_missing_submodule_is_named_as_it_was_asked_for() -> None:
    told = run("""
        import importlib, importlib.util
        for name in ("ivcap_lambda.nothing", "ivcap_ai_tool.nothing", "ivcap_lambda.executor.nothing"):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                assert error.name == name
                print(error)
        assert importlib.util.find_spec("ivcap_lambda.nothing") is None
    """)
    assert told.splitlines() == [
        "No module named 'ivcap_lambda.nothing'",
        "No module named 'ivcap_ai_tool.nothing'",
        "No module named 'ivcap_lambda.executor.nothing'; 'ivcap_lambda.executor' is not a package",
    ]


def test_a_class_of_one_name_is_pickled_to_a_worker_process_that_knows_it_by_another() -> None:
    told = run(
        """
        import pickle, subprocess, sys
        import ivcap_lambda
        sent = pickle.dumps(ivcap_lambda.ToolOptions(tags=["a"]))
        program = (
            "import pickle, sys; from lambda_kit.compat.ivcap_lambda import ToolOptions; "
            "got = pickle.load(sys.stdin.buffer); print(isinstance(got, ToolOptions), got.tags)"
        )
        print(subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True).stdout.decode())
        """
    )
    assert told == "True ['a']"


def test_the_old_package_warns_once_and_at_its_import() -> None:
    told = run("""
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import ivcap_ai_tool
            import ivcap_ai_tool.builder
            from ivcap_ai_tool import ToolOptions
            import ivcap_lambda
        told = [(w.category.__name__, str(w.message)) for w in caught if "ivcap_ai_tool" in str(w.message)]
        print([(name, "ivcap_lambda" in text) for name, text in told])
    """)
    assert told == "[('DeprecationWarning', True)]"


def test_importing_the_names_loads_no_fastapi_and_starts_nothing() -> None:
    told = run("""
        import logging, signal, sys, threading
        import ivcap_service
        state = lambda: (signal.getsignal(signal.SIGTERM), list(logging.getLogger().handlers), threading.active_count())
        before = state()
        import ivcap_lambda
        import ivcap_lambda.mcp, ivcap_lambda.service_definition, ivcap_lambda.health_handler
        assert state() == before
        print([name for name in ("fastapi", "starlette", "uvicorn") if name in sys.modules])
    """)
    assert told == "[]"


def test_a_server_of_classes_does_not_find_functions_by_itself() -> None:
    told = run("""
        from pydantic import BaseModel
        import lambda_kit
        from lambda_kit.compat.ivcap_lambda import ivcap_lambda
        from lambda_kit.compat.ivcap_lambda.server import get_tool_server

        class Ask(BaseModel): ...

        @ivcap_lambda("/function")
        def function(req: Ask) -> str: return ""

        class Own(lambda_kit.LambdaTool):
            def run(self, req: Ask) -> str: return ""

        service = lambda_kit.Service(name="x", contact={"name": "x", "email": "x@example.com"})
        functions = get_tool_server(service)
        print(list(functions.tools), list(lambda_kit.ToolServer(service).tools))
    """)
    assert told == "['function'] ['own']"


def test_every_name_of_the_original_is_there() -> None:
    module = lambda_kit.compat.ivcap_lambda
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert module.__version__.startswith("0.8.5+lambda.kit.")
