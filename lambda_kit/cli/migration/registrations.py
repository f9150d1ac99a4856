"""Where a file registers its tools: by the decorator, or by ``add_tool_api_route``."""

from dataclasses import dataclass

import libcst as cst

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.source_view import SourceView

__all__ = ["Registration", "find_registrations"]

_ADD = "add_tool_api_route"


@dataclass(slots=True)
class Registration:
    """One tool, as it is registered."""

    function: cst.FunctionDef
    call: cst.Call
    """The call of the decorator, or of ``add_tool_api_route``."""
    decorator: cst.Decorator | None
    """None: it is registered by ``add_tool_api_route``."""
    path: cst.BaseExpression
    options: cst.BaseExpression | None


class _Finder(cst.CSTVisitor):
    def __init__(self, view: SourceView, findings: Findings, decorators: frozenset[str]) -> None:
        super().__init__()
        self._view = view
        self._findings = findings
        self._decorators = decorators
        self.found: list[Registration] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        ours = [d for d in node.decorators if self._is_ours(d)]
        if not ours:
            return
        line, name = self._view.line(ours[0]), node.name.value
        if len(ours) > 1:
            self._findings.error(line, f"{name} is made a tool {len(ours)} times: write one class per path")
        elif self._view.owner(node) is not None:
            self._findings.error(line, f"{name} is made a tool in a function or class: move it to the module's level")
        elif node.decorators[0] is not ours[0]:
            self._findings.error(
                line,
                f"{name}: the decorator above applies to the function, not to the tool: put it below, or remove it",
            )
        elif isinstance(call := ours[0].decorator, cst.Call):
            self._add(node, call, ours[0])

    def _is_ours(self, decorator: cst.Decorator) -> bool:
        call = decorator.decorator
        return isinstance(call, cst.Call) and self._view.old(call.func) in self._decorators

    def visit_Call(self, node: cst.Call) -> None:
        if self._view.old(node.func) != _ADD:
            return
        statement = self._view.parent(node)
        function = self._view.function(node.args[2].value) if len(node.args) > 2 else None
        app = node.args[0].value if node.args else None
        is_plain = isinstance(statement, cst.Expr) and self._view.owner(node) is None and self._is_fast_app(app)
        if not is_plain or function is None:
            return  # it is refused with the names that have no counterpart
        self._add(function, node, None)

    def _is_fast_app(self, app: cst.CSTNode | None) -> bool:
        return isinstance(app, cst.Call) and self._view.old(app.func) == "get_fast_app"

    def _add(self, function: cst.FunctionDef, call: cst.Call, decorator: cst.Decorator | None) -> None:
        line, name = self._view.line(call), function.name.value
        given = {a.keyword.value: a.value for a in call.args if a.keyword is not None}
        positional = [a.value for a in call.args if a.keyword is None and not a.star]
        if any(a.star for a in call.args):
            self._findings.error(line, f"{name}: the arguments of the decorator can't be seen behind '*' or '**'")
            return
        if "context" in given and not _is_none(given["context"]):
            self._findings.error(
                line, f"{name}: an ExecutionContext has no counterpart: make what it holds an attribute, set in setup()"
            )
        at = 0 if decorator is not None else 1
        path = given.get("path_prefix") or (positional[at] if len(positional) > at else None)
        if path is None:
            self._findings.error(line, f"{name} has no path")
            return
        options = given.get("opts")
        options = None if options is None or _is_none(options) else options
        self.found.append(Registration(function, call, decorator, path, options))


def _is_none(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"


def find_registrations(view: SourceView, findings: Findings, decorators: frozenset[str]) -> list[Registration]:
    """All tools that a file registers, in order; those that can't be migrated are errors in `findings`."""
    finder = _Finder(view, findings, decorators)
    view.module.visit(finder)
    return finder.found
