"""Annotations are found wherever they are written: as strings, of later classes, within functions."""

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lambda_kit import ToolDefinitionError
from tests.core.running_tools import a_server


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Makes a module of its source, as a file that is imported."""
    names: list[str] = []

    def make(source: str) -> ModuleType:
        name = f"a_tool_module_{len(names)}_{tmp_path.name.replace('-', '_')}"
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        names.append(name)
        spec.loader.exec_module(made)
        return made

    yield make
    for name in names:
        del sys.modules[name]


HEAD = """
from __future__ import annotations
from abc import ABC
from typing import Generic, TypeVar, Optional, TYPE_CHECKING
from pydantic import BaseModel
from lambda_kit import JobContext, LambdaTool
"""

SERVED = {
    "annotations that are strings": """
        class Ask(BaseModel):
            text: str

        class Tool(LambdaTool):
            def run(self, req: Ask, ctx: JobContext) -> str:
                return req.text
        """,
    "classes that are defined later": """
        class Tool(LambdaTool):
            def run(self, req: Ask) -> Answer:
                return Answer(text=req.text)

        class Ask(BaseModel):
            text: str

        class Answer(BaseModel):
            text: str
        """,
    "classes of the function that defines the tool": """
        def make():
            class Ask(BaseModel):
                text: str

            class Tool(LambdaTool):
                def run(self, req: Ask) -> Optional[Ask]:
                    return req.text
            return Tool
        Tool = make()
        """,
    "an abstract base class within a function": """
        def make():
            class Ask(BaseModel):
                text: str

            class Base(LambdaTool, ABC):
                def run(self, req: Ask) -> str:
                    return req.text

            class Tool(Base):
                pass
            return Tool
        Tool = make()
        """,
    "a generic base within a function": """
        T = TypeVar("T")

        class Base(LambdaTool, Generic[T]):
            def run(self, req: T) -> str:
                return req.text

        def make():
            class Ask(BaseModel):
                text: str

            class Tool(Base[Ask]):
                pass
            return Tool
        Tool = make()
        """,
    "a base with an __init_subclass__ of its own": """
        class Base(LambdaTool):
            def __init_subclass__(cls, **kwargs):
                super().__init_subclass__(**kwargs)

        def make():
            class Ask(BaseModel):
                text: str

            class Tool(Base):
                def run(self, req: Ask) -> str:
                    return req.text
            return Tool
        Tool = make()
        """,
}


@pytest.mark.parametrize("source", SERVED.values(), ids=SERVED.keys())
async def test_annotations_are_found(module: Callable[[str], ModuleType], source: str) -> None:
    tool = module(HEAD + textwrap.dedent(source)).Tool
    result = await a_server(tool).run_tool(tool, {"text": "hi"})
    assert getattr(result, "text", result) == "hi"


REFUSED_LATE = {
    "only for type checkers": (
        """
        if TYPE_CHECKING:
            from somewhere import Ask

        class Tool(LambdaTool):
            def run(self, req: Ask) -> str:
                return ""
        """,
        r"Tool\.run: an annotation names 'Ask', which is not defined.*not only under TYPE_CHECKING",
    ),
    "never defined": (
        """
        class Tool(LambdaTool):
            def run(self, req: Aks) -> str:
                return ""
        """,
        r"Tool\.run: an annotation names 'Aks'",
    ),
    "a result that is never defined": (
        """
        class Ask(BaseModel):
            text: str

        class Tool(LambdaTool):
            def run(self, req: Ask) -> Asnwer:
                return ""
        """,
        r"Tool\.run: an annotation names 'Asnwer'",
    ),
}


@pytest.mark.parametrize(("source", "message"), REFUSED_LATE.values(), ids=REFUSED_LATE.keys())
def test_names_that_never_come_are_refused_when_the_server_is_built(
    module: Callable[[str], ModuleType], source: str, message: str
) -> None:
    tool = module(HEAD + textwrap.dedent(source)).Tool
    with pytest.raises(ToolDefinitionError, match=message):
        a_server(tool)
