"""Migrates one file: from its bytes to the bytes of the new one, with all that there is to say about it."""

import ast
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
import libcst.matchers as m

from lambda_kit.cli.migration.findings import Finding, Findings
from lambda_kit.cli.migration.imports import read_imports
from lambda_kit.cli.migration.old_names import REQUESTS
from lambda_kit.cli.migration.project import Project
from lambda_kit.cli.migration.references import References
from lambda_kit.cli.migration.request_parameters import RequestParameters
from lambda_kit.cli.migration.rewriting import Edits, Rewriter, service_call, start_call
from lambda_kit.cli.migration.source_view import SourceView, text_of
from lambda_kit.cli.migration.tool_options import OptionsReader
from lambda_kit.cli.migration.tools import ToolPlan, plan_tools

__all__ = ["Migration", "migrate"]

_NEW_NAMES = ("LambdaTool", "ToolServer", "ToolOptions", "RequestInfo")
_RUNS_AS_IT_IS = (
    "It runs as it is with lambda-kit-compat, or with the names imported from lambda_kit.compat.ivcap_lambda"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """What came of it."""

    findings: list[Finding]
    result: bytes | None
    """The new file; None if the file can't be migrated."""


def migrate(source: bytes, path: Path) -> Migration:
    """Migrate a service file of ivcap-lambda, or of ivcap-ai-tool, to classes. Nothing of it is run or written.

    All of the file is migrated, or nothing: a file with tools of both kinds would serve only some of them.

    Args:
        source: What is in the file, in whatever encoding and with whatever line ends; the new one has the same.
        path: Where the file is: files around it are looked at for uses of its tools.
    """
    findings = Findings()
    module = _parsed(source, findings)
    result = None
    if module is not None:
        try:
            result = _Migrator(SourceView(module, path), findings).migrated()
        except RecursionError:
            findings.error(1, f"an expression is nested too deeply. {_RUNS_AS_IT_IS}")
    if result is not None and not findings.has_errors:
        _check(result, findings)
    return Migration(findings.sorted(), None if findings.has_errors else result)


def _parsed(source: bytes, findings: Findings) -> cst.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own escapes and comparisons
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        findings.error(line, f"no valid Python {version}: {getattr(error, 'msg', error)}")
        return None
    try:
        module = cst.parse_module(source)
        is_kept = module.bytes == source
    except cst.ParserSyntaxError as error:
        findings.error(_line_of(error), f"there is syntax here that libcst can't read yet. {_RUNS_AS_IT_IS}")
        return None
    except Exception as error:  # noqa: BLE001 - whatever a parser can't do
        findings.error(1, f"libcst can't read the file: {error}. {_RUNS_AS_IT_IS}")
        return None
    if not is_kept:
        findings.error(
            1, f"libcst would change more than is asked for, such as a form feed or lone CR. {_RUNS_AS_IT_IS}"
        )
        return None
    return module


def _line_of(error: cst.ParserSyntaxError) -> int:
    place = re.search(r"error at (\d+):", str(error))  # raw_line is that of the token behind
    return int(place[1]) if place else error.raw_line


def _check(result: bytes, findings: Findings) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(result)
    except (SyntaxError, ValueError) as error:
        findings.error(1, f"the migrated file would be no valid Python ({error}): please report this")


class _Migrator:
    def __init__(self, view: SourceView, findings: Findings) -> None:
        self._view = view
        self._findings = findings
        self._options = OptionsReader(view, findings)
        self._requests = RequestParameters(view, findings)
        self._references = References(view, self._options, findings)
        self._project = Project(view.path)

    def migrated(self) -> bytes:
        view, references = self._view, self._references
        view.module.visit(references)
        plans = plan_tools(view, self._project, self._options, self._requests, self._findings)
        references.refuse_loose([plan.registration for plan in plans])
        edits = self._edits(plans)
        self._want(plans)
        imports = read_imports(view, self._findings, self._gone(), references.wanted)
        if not plans and not references.starts and not imports.lines:
            self._findings.note(1, "nothing of ivcap-lambda is used here")
        self._note_globals(plans)
        if self._findings.has_errors:
            return view.module.bytes
        rewritten = view.module.visit(Rewriter(view, edits, plans, imports))
        return rewritten.bytes

    def _edits(self, plans: Sequence[ToolPlan]) -> Edits:
        edits: Edits = {}
        for attribute, name in self._references.renamed.items():
            edits[attribute] = _replaced_by(cst.Name(name))
        for call, options in self._options.calls.items():
            edits[call] = options.rewritten
        for call, becomes in self._references.service_arguments().items():
            edits[call] = _with(service_call, becomes)
        for key, lower in self._requests.keys.items():
            edits[key] = _replaced_by(cst.SimpleString(f"{key.prefix}{key.quote}{lower}{key.quote}"))
        for parameter in self._requests.followed:
            edits.update(self._request_annotation(parameter))
        for call in self._references.starts:
            if self._check_start(call):
                edits[call] = _with(start_call, self._served(call, plans), sorted(self._requests.keep_headers))
        return edits

    def _request_annotation(self, parameter: cst.Param) -> Edits:
        annotation = parameter.annotation
        assert annotation is not None  # noqa: S101 - it was followed because of it
        name = cst.Name("RequestInfo")
        if text_of(annotation.annotation) is not None:
            return {annotation.annotation: _replaced_by(name)}
        found = m.findall(annotation, m.Name() | m.Attribute())
        return {node: _replaced_by(name) for node in found if not REQUESTS.isdisjoint(self._view.imported(node))}

    def _check_start(self, call: cst.Call) -> bool:
        line = self._view.line(call)
        positional = [a for a in call.args if a.keyword is None and not a.star]
        names = {a.keyword.value for a in call.args if a.keyword is not None}
        if len(positional) + ("service" in names) != 1 or any(a.star == "*" for a in call.args):
            self._findings.error(line, "the server is started with other arguments than (service, name=...)")
            return False
        unknown = names - {"service", "logger", "custom_args", "run_opts", "with_telemetry"}
        if unknown:
            self._findings.error(line, f"the server is started with {', '.join(sorted(unknown))}, which is unknown")
            return False
        if "logger" in names:
            self._findings.note(line, "logger= is dropped: lambda_kit logs as 'lambda_kit.*'")
        if any(a.star == "**" for a in call.args):
            self._findings.warning(
                line, "**: serve() takes custom_args, run_opts and with_telemetry, and refuses others"
            )
        return True

    def _served(self, call: cst.Call, plans: Sequence[ToolPlan]) -> list[str] | None:
        """The classes to be served. None: all that are defined by then."""
        siblings = self._project.old_siblings(_imported_modules(self._view))
        if siblings:
            self._findings.warning(
                self._view.line(call),
                f"{', '.join(siblings)} uses ivcap-lambda, too: migrate it, or its tools are missing",
            )
        at_module = self._view.owner(call) is None
        served = [plan for plan in plans if not at_module or self._place(plan) < self._view.place(call)]
        is_conditional = any(self._view.parent(self._statement(plan)) is not self._view.module for plan in plans)
        return None if siblings or is_conditional or not served else [plan.class_name for plan in served]

    def _place(self, plan: ToolPlan) -> tuple[int, int]:
        return self._view.place(self._statement(plan))

    def _statement(self, plan: ToolPlan) -> cst.CSTNode:
        if plan.registration.decorator is not None:
            return plan.function
        expression = self._view.parent(plan.registration.call)
        return (self._view.parent(expression) if expression is not None else None) or plan.function

    def _want(self, plans: Sequence[ToolPlan]) -> None:
        wanted = self._references.wanted
        needs = {
            "LambdaTool": bool(plans),
            "ToolServer": any(self._view.owner(call) is None or plans for call in self._references.starts),
            "ToolOptions": any(plan.on_thread and plan.options is None for plan in plans),
            "RequestInfo": bool(self._requests.followed),
        }
        for name in _NEW_NAMES:
            if needs[name]:
                wanted["lambda_kit"].add((name, None))
                self._refuse_taken(name)
        if any(plan.returns == "Any" for plan in plans) and "typing.Any" not in self._view.imported("Any"):
            wanted["typing"].add(("Any", None))

    def _refuse_taken(self, name: str) -> None:
        taken = [
            assigned
            for assigned in self._view.globals[name]
            if isinstance(node := getattr(assigned, "node", None), cst.CSTNode)
            and self._view.old(cst.Name(name)) is None
            and not isinstance(node, cst.ImportFrom | cst.Import)
        ]
        if taken:
            self._findings.error(1, f"the file has a {name} of its own: give it another name")

    def _gone(self) -> frozenset[str]:
        """Qualified names that nothing uses any more once the file is migrated."""
        changed = {id(node) for parameter in self._requests.followed for node in self._request_annotation(parameter)}
        if not changed:
            return frozenset()
        uses = {
            node: REQUESTS & self._view.imported(node)
            for node in m.findall(self._view.module, m.Name() | m.Attribute())
            if not self._is_import(node)
        }
        still_used = {name for node, names in uses.items() if id(node) not in changed for name in names}
        return REQUESTS - still_used

    def _is_import(self, node: cst.CSTNode) -> bool:
        return any(isinstance(above, cst.Import | cst.ImportFrom) for above in self._view.parents(node))

    def _note_globals(self, plans: Sequence[ToolPlan]) -> None:
        for plan in plans:
            for node in m.findall(plan.function, m.Global()):
                self._findings.note(
                    self._view.line(node),
                    f"{plan.function.name.value} changes a global: with several workers each has its own; what is "
                    "loaded once can become an attribute that setup() sets",
                )


def _replaced_by(node: cst.CSTNode) -> Any:
    return lambda _: node


def _with(edit: Any, *arguments: Any) -> Any:
    return lambda node: edit(node, *arguments)


def _imported_modules(view: SourceView) -> set[str]:
    modules = set()
    for found in m.findall(view.module, m.ImportFrom() | m.Import()):
        if isinstance(found, cst.ImportFrom) and found.module is not None and not found.relative:
            modules.add(cst.Module([]).code_for_node(found.module))
        elif isinstance(found, cst.Import):
            modules.update(alias.evaluated_name for alias in found.names)
    return modules
