"""``ToolOptions`` and ``ExecutorOpts``: what of them lambda_kit takes, and in which form."""

from dataclasses import dataclass, field

import libcst as cst

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.source_view import SourceView, text_of

__all__ = ["OptionsCall", "OptionsReader", "with_argument"]

_TOOL = frozenset(
    {"name", "tags", "max_wait_time", "refresh_interval", "executor_opts", "post_route_opts", "service_id", "is_ready"}
)
_EXECUTOR = frozenset({"job_cache_size", "job_cache_ttl", "max_workers"})
_FOREVER = "2**31"
_CHANGING = frozenset({"model_copy", "copy", "model_construct", "construct", "model_validate", "parse_obj"})
# what FastAPI and Litestar name alike and mean alike
_ROUTE = frozenset({"deprecated", "include_in_schema", "operation_id"})


@dataclass(slots=True)
class OptionsCall:
    """One call of ``ToolOptions``."""

    call: cst.Call
    is_ready: cst.BaseExpression | None = None
    """What was given as ``is_ready``: a function; it becomes a method of the class."""
    dropped: set[str] = field(default_factory=set)
    forever: bool = False

    def rewritten(self, call: cst.Call) -> cst.Call:
        """The call with what lambda_kit takes."""
        return _without(call, self.dropped, _FOREVER if self.forever else None)


class OptionsReader:
    """Reads every call of ``ToolOptions`` and ``ExecutorOpts`` in a file.

    Args:
        view: The file.
        findings: Where to say what is dropped, changed or can't be migrated.
    """

    def __init__(self, view: SourceView, findings: Findings) -> None:
        self._view = view
        self._findings = findings
        self.calls: dict[cst.Call, OptionsCall] = {}

    def read(self, call: cst.Call, kind: str) -> None:
        """Read one call; `kind` is the name of the class."""
        options = OptionsCall(call)
        known = _TOOL if kind == "ToolOptions" else _EXECUTOR
        for argument in call.args:
            name = argument.keyword.value if argument.keyword is not None else None
            if name is None:
                self._unread(argument, kind)
            elif name not in known:
                options.dropped.add(name)
                self._findings.note(
                    self._view.line(argument), f"{kind}({name}=...) is dropped: ivcap-lambda knows no such option"
                )
            else:
                self._argument(options, name, argument)
        self.calls[call] = options

    def _unread(self, argument: cst.Arg, kind: str) -> None:
        line = self._view.line(argument)
        if argument.star != "**":
            self._findings.error(line, f"{kind}() takes its options by name")
            return
        self._findings.warning(
            line, f"{kind}({_code(argument)}) can't be looked into: options that lambda_kit does not know are refused"
        )

    def _argument(self, options: OptionsCall, name: str, argument: cst.Arg) -> None:
        value, line = argument.value, self._view.line(argument)
        is_none = isinstance(value, cst.Name) and value.value == "None"
        match name:
            case "is_ready":
                options.dropped.add(name)
                options.is_ready = None if is_none else value
            case "max_wait_time" if is_none:
                options.forever = True
                self._findings.note(
                    line, f"max_wait_time=None waits for ever; written as {_FOREVER}, which is 68 years"
                )
            case "post_route_opts" if is_none:
                options.dropped.add(name)
            case "post_route_opts":
                self._route_options(value, line)
            case "job_cache_size" | "max_workers" if _is_zero(value):
                options.dropped.add(name)
                self._findings.note(line, f"{name}=0 means the default in ivcap-lambda, and is dropped")
            case _:
                pass

    def _route_options(self, value: cst.BaseExpression, line: int) -> None:
        if not isinstance(value, cst.Dict):
            self._findings.warning(
                line, "post_route_opts went to a FastAPI route and goes to a Litestar route now: check what is in it"
            )
            return
        names = [text_of(element.key) if isinstance(element, cst.DictElement) else None for element in value.elements]
        foreign = [name or "**" for name in names if name not in _ROUTE]
        if foreign:
            self._findings.error(
                line,
                f"post_route_opts has {', '.join(foreign)}, which FastAPI's routes take and Litestar's do not, or not "
                "with the same meaning: see guards, middleware and the like of litestar.post",
            )

    def refuse_changes(self, name: str) -> None:
        """Refuse that the options in a variable are changed: lambda_kit's are frozen."""
        for use in self._view.uses(name):
            parent = self._view.parent(use)
            if not (isinstance(parent, cst.Attribute) and parent.value is use):
                continue
            above = self._view.parent(parent)
            line, shown = self._view.line(use), f"{name}.{parent.attr.value}"
            if isinstance(above, cst.AssignTarget | cst.AugAssign | cst.AnnAssign):
                self._findings.error(line, f"{shown} is assigned: options are frozen; give it to ToolOptions(...)")
            elif parent.attr.value in _CHANGING:
                self._findings.error(line, f"{shown}: options are a frozen dataclass; use dataclasses.replace")


def _is_zero(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Integer) and value.evaluated_value == 0


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _without(call: cst.Call, dropped: set[str], wait: str | None) -> cst.Call:
    if not dropped and wait is None:
        return call
    kept: list[cst.Arg] = []
    for argument in call.args:
        name = argument.keyword.value if argument.keyword is not None else None
        if name in dropped:
            continue
        if name == "max_wait_time" and wait is not None:
            kept.append(argument.with_changes(value=cst.parse_expression(wait)))
        else:
            kept.append(argument)
    if kept and call.args and kept[-1] is not call.args[-1]:
        kept[-1] = kept[-1].with_changes(comma=call.args[-1].comma)
    if not kept:
        return call.with_changes(args=[], whitespace_before_args=cst.SimpleWhitespace(""))
    return call.with_changes(args=kept)


def with_argument(call: cst.Call, name: str, value: str) -> cst.Call:
    """The call with one more keyword argument at the end, set like the others."""
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    added = cst.Arg(cst.parse_expression(value), keyword=cst.Name(name), equal=equal)
    if not call.args:
        return call.with_changes(args=[added])
    *others, last = call.args
    between = last.comma
    if isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        between = cst.Comma(whitespace_after=call.whitespace_before_args)
    elif isinstance(between, cst.MaybeSentinel) or between.whitespace_after.empty:
        between = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return call.with_changes(args=[*others, last.with_changes(comma=between), added.with_changes(comma=last.comma)])
