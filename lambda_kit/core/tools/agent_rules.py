"""What agents' clients ask of tools: each rule is a check, and says how to mend what breaks it."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from lambda_kit.core.tools.agent_tool import AgentTool
from lambda_kit.core.tools.plain_schema import PROPERTY_NAME
from lambda_kit.core.tools.schema import json_schema, request_schema
from lambda_kit.core.tools.schema_references import subschemas
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.core.tools.type_names import type_name

__all__ = ["RULES", "Finding", "Severity", "findings", "instructions_finding"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SCHEMA_MEMBER = "$schema"
_CUT_CHARACTERS = 2048
_LONG_CHARACTERS = 1024
_TAKEN = "ASCII letters, digits, '_', '-' and '.', at most 64 of them"
_LEAVE_OUT = "or leave the tool out for agents by ToolOptions(mcp=False)"


class Severity(Enum):
    """What becomes of a tool that breaks a rule."""

    ERROR = "error"
    """It can't be offered to agents: some clients would refuse it, and others all tools with it."""
    WARNING = "warning"
    """It works, but worse than it could."""


class Finding(NamedTuple):
    """A rule that a tool breaks."""

    tool: str | None
    """The tool's name. None: it is the service that breaks it."""
    rule: str
    """The rule: a key of `RULES`, or ``long-instructions``."""
    severity: Severity
    text: str
    """What is wrong, with class and field, and how to mend it."""


class _Subject(NamedTuple):
    bound: BoundTool
    agent: AgentTool
    reserved: Collection[str]

    @property
    def owner(self) -> str:
        return type(self.bound.tool).__name__

    @property
    def request(self) -> str:
        return type_name(self.bound.signature.request_type)

    @property
    def schemas(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """What agents get, each with what it is called in a text."""
        yield f"the request {self.request}", self.agent.input_schema
        if self.agent.output_schema is not None:
            yield f"the result {type_name(self.bound.signature.result_type)}", self.agent.output_schema


def findings(bound: BoundTool, agent: AgentTool, *, reserved: Collection[str] = ()) -> list[Finding]:
    """Check a tool by all rules.

    Args:
        bound: The tool.
        agent: The tool as agents are told of it.
        reserved: Names that no tool may have, since tools of the adapter's own have them.

    Returns:
        One finding for each rule that it breaks, in the order of `RULES`.
    """
    subject = _Subject(bound, agent, reserved)
    checked = ((name, rule, rule.check(subject)) for name, rule in RULES.items())
    return [Finding(bound.name, name, rule.severity, text) for name, rule, text in checked if text is not None]


def instructions_finding(instructions: str | None) -> Finding | None:
    """Check the instructions of a service.

    Args:
        instructions: `Service.instructions`.
    """
    if instructions is None or len(instructions) <= _CUT_CHARACTERS:
        return None
    text = (
        f"Service(instructions=...): they have {len(instructions):,} characters, and some clients cut them after "
        f"{_CUT_CHARACTERS:,}: shorten them, or move what is about one tool into its docstring"
    )
    return Finding(None, "long-instructions", Severity.WARNING, text)


def _name(subject: _Subject) -> str | None:
    if _NAME.fullmatch(subject.bound.name):
        return None
    return (
        f"{subject.owner}.name = {subject.bound.name!r}: clients take only ASCII letters, digits, '_' and '-', and at "
        f"most 64 of them: set another 'name' in the class, {_LEAVE_OUT}"
    )


def _reserved_name(subject: _Subject) -> str | None:
    if subject.bound.name not in subject.reserved:
        return None
    return (
        f"{subject.owner}.name = {subject.bound.name!r}: agents get a tool of this name by which they ask for their "
        f"jobs: set another 'name' in the class, {_LEAVE_OUT}"
    )


def _transport_request(subject: _Subject) -> str | None:
    if not subject.bound.signature.needs_transport_request:
        return None
    return (
        f"{subject.owner}.run needs the litestar.Request, and a call of an agent has none: annotate the parameter with "
        f"litestar.Request | None, use RequestInfo instead, {_LEAVE_OUT}"
    )


def _request_names(subject: _Subject) -> str | None:
    names = sorted({name for name in _property_names(subject.agent.input_schema) if not PROPERTY_NAME.fullmatch(name)})
    if not names:
        return None
    return (
        f"{subject.owner}: its request {subject.request} has {_listed(names)}: clients take only names of {_TAKEN}: "
        f"give the field another name or alias, {_LEAVE_OUT}"
    )


def _required_schema(subject: _Subject) -> str | None:
    raw = request_schema(subject.bound.signature.request_type)
    if not any(_SCHEMA_MEMBER in node.get("required", ()) for node in _nodes(raw)):
        return None
    return (
        f"{subject.owner}: its request {subject.request} can't do without the member {_SCHEMA_MEMBER!r}, which clients "
        "let no agent send: give the field a default"
    )


def _root(subject: _Subject) -> str | None:
    wrong = next((what for what, schema in subject.schemas if schema.get("type") != "object"), None)
    if wrong is None:
        return None
    return (
        f"{subject.owner}: the schema of {wrong} names its dialect by {_SCHEMA_MEMBER!r}, so it is left as it is, but "
        f"clients take only objects: give it 'type': 'object', or leave the {_SCHEMA_MEMBER!r} out of it"
    )


def _references(subject: _Subject) -> str | None:
    for what, schema in subject.schemas:
        for node in _nodes(schema):
            ref = node.get("$ref")
            if isinstance(ref, str) and not ref.startswith("#"):
                return (
                    f"{subject.owner}: the schema of {what} refers to {ref!r}, which clients don't fetch: write what "
                    "it means in its place"
                )
    return None


def _docstring(subject: _Subject) -> str | None:
    if subject.bound.doc and subject.bound.doc.strip():
        return None
    return (
        f"{subject.owner} has no docstring, by which agents decide whether to use it: write one in the class, its "
        "first line for a title, the rest to say what the tool does, for what, and what it returns"
    )


def _long_description(subject: _Subject) -> str | None:
    length = len(subject.agent.description)
    if length <= _LONG_CHARACTERS:
        return None
    cut = f", and others cut it after {_CUT_CHARACTERS:,}" if length > _CUT_CHARACTERS else ""
    return (
        f"{subject.owner}: its description has {length:,} characters, some clients take at most "
        f"{_LONG_CHARACTERS:,}{cut}: shorten the docstring of the class, or put parts of it into the descriptions of "
        "the request's fields"
    )


def _recursion(subject: _Subject) -> str | None:
    definitions = subject.agent.input_schema.get("$defs")
    if not definitions or _SCHEMA_MEMBER in subject.agent.input_schema:
        return None
    return (
        f"{subject.owner}: the schema of its request {subject.request} keeps references, to {_listed(definitions)}, "
        "since it contains itself or would be huge without them; some clients follow none: a flat model is understood "
        "by all"
    )


def _unknown_request(subject: _Subject) -> str | None:
    members = subject.agent.input_schema.get("properties", {}).values()
    if not subject.agent.wraps_request or all(members):
        return None
    return (
        f"{subject.owner}: agents are told nothing of its request {subject.request} but that it can be any value: "
        "annotate it with a model, or with a union of models of one library"
    )


def _result_names(subject: _Subject) -> str | None:
    if subject.agent.output_schema is None:
        return None
    raw = json_schema(subject.bound.signature.result_type, "serialization")
    odd = {name for name in _property_names(raw) if not PROPERTY_NAME.fullmatch(name)} - {_SCHEMA_MEMBER}
    if not odd:
        return None
    return (
        f"{subject.owner}: agents are not told of {_listed(sorted(odd))} in its result "
        f"{type_name(subject.bound.signature.result_type)}: give the field a name or alias of {_TAKEN}"
    )


class _Rule(NamedTuple):
    severity: Severity
    check: Callable[[_Subject], str | None]
    """What is wrong with a tool. None: nothing."""


RULES: Mapping[str, _Rule] = {
    "name": _Rule(Severity.ERROR, _name),
    "reserved-name": _Rule(Severity.ERROR, _reserved_name),
    "litestar-request": _Rule(Severity.ERROR, _transport_request),
    "property-names": _Rule(Severity.ERROR, _request_names),
    "required-schema": _Rule(Severity.ERROR, _required_schema),
    "object": _Rule(Severity.ERROR, _root),
    "references": _Rule(Severity.ERROR, _references),
    "docstring": _Rule(Severity.WARNING, _docstring),
    "long-description": _Rule(Severity.WARNING, _long_description),
    "recursion": _Rule(Severity.WARNING, _recursion),
    "unknown-request": _Rule(Severity.WARNING, _unknown_request),
    "result-names": _Rule(Severity.WARNING, _result_names),
}
"""The rules by name (docs/mcp.md, What agents read)."""


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _nodes(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema and all in it, its definitions too."""
    waiting: list[Any] = [schema]
    for node in waiting:  # which grows meanwhile
        if isinstance(node, Mapping):
            yield node
            waiting.extend(member for _, member in subschemas(node))
            for definitions in (node.get("$defs"), node.get("definitions")):
                waiting.extend(definitions.values() if isinstance(definitions, Mapping) else ())


def _property_names(schema: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(schema):
        properties = node.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()
