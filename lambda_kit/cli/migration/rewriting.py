"""Puts the parts of a migrated file together: each changed node is replaced, all else stays as it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import libcst as cst

from lambda_kit.cli.migration.class_code import class_beside, class_instead, without_decorator
from lambda_kit.cli.migration.imports import ImportEdits, import_lines
from lambda_kit.cli.migration.source_view import SourceView
from lambda_kit.cli.migration.tools import ToolPlan

__all__ = ["Edits", "Rewriter", "service_call", "start_call"]

Edits = dict[cst.CSTNode, Callable[[Any], Any]]
"""What to do with a node, given as it was and as it is after the changes inside of it."""

_GONE = "__lambda_kit_gone__"
_NO_SPACE = cst.SimpleWhitespace("")
_EQUAL = cst.AssignEqual(_NO_SPACE, _NO_SPACE)


class Rewriter(cst.CSTTransformer):
    """Applies the edits.

    Args:
        view: The file.
        edits: By node.
        plans: The tools.
        imports: What becomes of the imports.
    """

    def __init__(self, view: SourceView, edits: Edits, plans: Sequence[ToolPlan], imports: ImportEdits) -> None:
        super().__init__()
        self._view = view
        self._edits = dict(edits)
        self._imports = imports
        for plan in plans:
            if plan.registration.decorator is None:
                statement = view.parent(view.parent(plan.registration.call) or view.module) or view.module
                self._edits[statement] = self._added(plan)
            else:
                self._edits[plan.function] = self._decorated(plan)
        for line in imports.lines:
            self._edits[line] = self._import(line)

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        """Put in what becomes of a node."""
        edit = self._edits.get(original_node)
        changed = super().on_leave(original_node, updated_node)
        return edit(changed) if edit is not None else changed

    def _decorated(self, plan: ToolPlan) -> Callable[[cst.FunctionDef], Any]:
        def edit(function: cst.FunctionDef) -> Any:
            call = function.decorators[0].decorator
            assert isinstance(call, cst.Call)  # noqa: S101 - for the type checker
            if not plan.keeps_function:
                return class_instead(self._view, plan, function, call)
            blank = [cst.EmptyLine(indent=False)] * 2
            beside = class_beside(self._view, plan, call, blank)
            return cst.FlattenSentinel([without_decorator(function), beside])

        return edit

    def _added(self, plan: ToolPlan) -> Callable[[cst.SimpleStatementLine], Any]:
        def edit(line: cst.SimpleStatementLine) -> Any:
            expression = line.body[0]
            assert isinstance(expression, cst.Expr)  # noqa: S101 - for the type checker
            assert isinstance(expression.value, cst.Call)  # noqa: S101 - for the type checker
            return class_beside(self._view, plan, expression.value, line.leading_lines)

        return edit

    def _import(self, original: cst.SimpleStatementLine) -> Callable[[cst.SimpleStatementLine], Any]:
        def edit(line: cst.SimpleStatementLine) -> Any:
            left = self._imports.lines[original]
            new: list[cst.SimpleStatementLine] = []
            if left:
                ended = [*left[:-1], left[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]
                new.append(line.with_changes(body=ended))
            new += import_lines(self._imports.wanted_in.get(original, {}), self._view.module.default_indent)
            if not new:  # its comments are handed to the next line
                is_top = self._view.parent(original) is self._view.module
                gone = cst.Expr(cst.Name(_GONE)) if is_top else cst.Pass()
                return line.with_changes(body=[gone])
            if not left:
                lines, comment = line.leading_lines, line.trailing_whitespace
                new[0] = new[0].with_changes(leading_lines=lines, trailing_whitespace=comment)
            return cst.FlattenSentinel(new)

        return edit

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        """Take out the lines of which nothing is left, and keep the comments above them."""
        statements: list[cst.BaseStatement] = []
        above: list[cst.EmptyLine] = []
        for statement in updated_node.body:
            lines = list(getattr(statement, "leading_lines", ()))
            if _is_gone(statement):
                above += lines
                continue
            if above and (not lines or any(line.comment for line in above)):
                statement = statement.with_changes(leading_lines=[*above, *lines])  # noqa: PLW2901
            above = []
            statements.append(statement)
        return updated_node.with_changes(body=statements, footer=[*above, *updated_node.footer])


def _is_gone(statement: cst.BaseStatement) -> bool:
    first = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(first, cst.Expr) and isinstance(first.value, cst.Name) and first.value.value == _GONE


def start_call(call: cst.Call, tools: Sequence[str] | None, keep_headers: Sequence[str]) -> cst.Call:
    """``ToolServer(service, tools=[...]).serve(...)`` for ``start_lambda_server(service, ...)``.

    Args:
        call: The call of the function.
        tools: The names of the classes. None: all that are defined when it is called.
        keep_headers: Header fields that tools read and that are not kept by themselves.
    """
    service = next(a for a in call.args if a.keyword is None or a.keyword.value == "service")
    kept = [a for a in call.args if a is not service and (a.keyword is None or a.keyword.value != "logger")]
    arguments = [cst.Arg(service.value)]
    if tools is not None:
        arguments.append(cst.Arg(_list(map(cst.Name, tools)), keyword=cst.Name("tools"), equal=_EQUAL))
    if keep_headers:
        texts = (cst.SimpleString(f'"{name}"') for name in keep_headers)
        arguments.append(cst.Arg(_list(texts), keyword=cst.Name("keep_headers"), equal=_EQUAL))
    server = cst.Call(cst.Name("ToolServer"), arguments)
    if kept and kept[-1] is not call.args[-1]:
        kept[-1] = kept[-1].with_changes(comma=call.args[-1].comma)
    return cst.Call(
        cst.Attribute(server, cst.Name("serve")),
        kept,
        lpar=call.lpar,
        rpar=call.rpar,
        whitespace_before_args=call.whitespace_before_args if kept else _NO_SPACE,
    )


def _list(values: Any) -> cst.List:
    return cst.List([cst.Element(value) for value in values])


def service_call(call: cst.Call, becomes: Mapping[str, str | None]) -> cst.Call:
    """A call of ``Service`` with some arguments renamed, or without them."""
    kept = []
    for argument in call.args:
        name = argument.keyword.value if argument.keyword is not None else None
        if name is None or name not in becomes:
            kept.append(argument)
        elif (new := becomes[name]) is not None:
            kept.append(argument.with_changes(keyword=cst.Name(new)))
    if kept and len(kept) < len(call.args):
        kept[-1] = kept[-1].with_changes(comma=call.args[-1].comma)
    return call.with_changes(args=kept)
