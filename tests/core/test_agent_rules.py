"""docs/mcp.md, What agents read: each rule that a tool can break, and what is said of it."""

from typing import Any

import pytest
from litestar import Request
from pydantic import BaseModel, ConfigDict, Field, RootModel

from lambda_kit import LambdaTool, ToolOptions
from lambda_kit.core.tools.agent_rules import RULES, Finding, Severity, findings, instructions_finding
from lambda_kit.core.tools.agent_tool import agent_tool
from lambda_kit.core.tools.tool import BoundTool
from tests.core.agent_models import OddName, Tree
from tests.core.running_tools import Ask

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BROKEN: dict[str, type[LambdaTool]] = {}
"""For each rule a tool that breaks it, and no other."""


def breaks(rule: str) -> Any:
    def add(cls: type[LambdaTool]) -> type[LambdaTool]:
        BROKEN[rule] = cls
        return cls

    return add


class Odd(BaseModel):
    inner: list[OddName] = []


class Draft(BaseModel):
    """Names its dialect, and is no object."""

    model_config = ConfigDict(json_schema_extra=lambda made: (made.clear(), made.update({"$schema": DIALECT}))[1])


class Foreign(BaseModel):
    place: Any = Field(None, json_schema_extra={"$ref": "https://example.com/place.json"})


class Named(BaseModel):
    schema_: str = Field(alias="$schema")


class Thing(RootModel[Any]):
    pass


class AtSign(BaseModel):
    at: int = Field(1, serialization_alias="@at")


@breaks("name")
class Dotted(LambdaTool):
    """Say it"""

    name = "say.it"

    def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]


@breaks("reserved-name")
class Taken(LambdaTool):
    """Say it"""

    name = "job_result"

    def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]


@breaks("litestar-request")
class OverHttp(LambdaTool):
    """Say it"""

    def run(self, req: Ask, request: Request[Any, Any, Any]) -> str: ...  # type: ignore[empty-body]


@breaks("property-names")
class OddRequest(LambdaTool):
    """Say it"""

    def run(self, req: Odd) -> str: ...  # type: ignore[empty-body]


@breaks("required-schema")
class WithSchema(LambdaTool):
    """Say it"""

    def run(self, req: Named) -> str: ...  # type: ignore[empty-body]


@breaks("object")
class NoObject(LambdaTool):
    """Say it"""

    def run(self, req: Ask) -> Draft: ...  # type: ignore[empty-body]


@breaks("references")
class Elsewhere(LambdaTool):
    """Say it"""

    def run(self, req: Foreign) -> str: ...  # type: ignore[empty-body]


@breaks("docstring")
class Silent(LambdaTool):
    def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]


@breaks("long-description")
class Verbose(LambdaTool):
    __doc__ = "Say it\n\n" + "x" * 1025

    def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]


@breaks("recursion")
class Nested(LambdaTool):
    """Say it"""

    def run(self, req: Tree) -> str: ...  # type: ignore[empty-body]


@breaks("unknown-request")
class Unknown(LambdaTool):
    """Say it"""

    def run(self, req: Thing) -> str: ...  # type: ignore[empty-body]


@breaks("result-names")
class OddResult(LambdaTool):
    """Say it"""

    def run(self, req: Ask) -> AtSign: ...  # type: ignore[empty-body]


def found(tool: type[LambdaTool]) -> list[Finding]:
    bound = BoundTool.bind(tool())
    return findings(bound, agent_tool(bound), reserved={"job_result"})


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_broken_by_a_tool_that_it_names(rule: str):
    tool = BROKEN[rule]
    (finding,) = found(tool)
    assert (finding.rule, finding.tool, finding.severity) == (rule, tool.name, RULES[rule].severity)
    assert finding.text.startswith(tool.__name__)
    assert ": " in finding.text  # before what to do


WORDS = {
    "name": "'say.it'",
    "reserved-name": "'job_result'",
    "litestar-request": "litestar.Request | None",
    "property-names": "Odd has 'größe'",
    "required-schema": "'$schema'",
    "object": "the result Draft",
    "references": "the request Foreign refers to 'https://example.com/place.json'",
    "docstring": "has no docstring",
    "long-description": "1,025 characters",
    "recursion": "'Tree'",
    "unknown-request": "its request Thing",
    "result-names": "'@at' in its result AtSign",
}


@pytest.mark.parametrize(("rule", "words"), WORDS.items(), ids=WORDS)
def test_the_text_says_what_is_wrong(rule: str, words: str):
    assert words in found(BROKEN[rule])[0].text


def test_a_description_that_is_cut_is_told_from_one_that_is_refused():
    class Endless(LambdaTool):
        __doc__ = "Say it\n\n" + "x" * 2049

        def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]

    (finding,) = found(Endless)
    assert "2,049 characters" in finding.text
    assert "cut it after 2,048" in finding.text
    assert "2,048" not in found(BROKEN["long-description"])[0].text


def test_a_tool_can_break_several_rules():
    class Both(LambdaTool):
        name = "x" * 65

        def run(self, req: Ask) -> str: ...  # type: ignore[empty-body]

    assert [finding.rule for finding in found(Both)] == ["name", "docstring"]


def test_names_are_reserved_only_where_they_are_taken():
    bound = BoundTool.bind(Taken())
    assert findings(bound, agent_tool(bound)) == []


def test_nothing_is_said_of_a_tool_that_breaks_no_rule():
    class Fine(LambdaTool):
        """Say it"""

        name = "a" * 64
        options = ToolOptions(scopes=["say"])

        def run(self, req: Ask, request: Request[Any, Any, Any] | None) -> list[Ask]: ...  # type: ignore[empty-body]

    assert found(Fine) == []


def test_long_instructions_of_a_service_are_warned_of():
    assert instructions_finding(None) is None
    assert instructions_finding("x" * 2048) is None
    finding = instructions_finding("x" * 2049)
    assert finding is not None
    assert (finding.tool, finding.severity) == (None, Severity.WARNING)
    assert "Service(instructions=...)" in finding.text
