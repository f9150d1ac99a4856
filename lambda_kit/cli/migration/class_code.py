"""The class that a function becomes, as code."""

from collections.abc import Sequence

import libcst as cst
import libcst.matchers as m

from lambda_kit.cli.migration.source_view import SourceView, has_docstring
from lambda_kit.cli.migration.tool_options import with_argument
from lambda_kit.cli.migration.tools import ToolPlan

__all__ = ["class_beside", "class_instead", "without_decorator"]

_BLANK = cst.EmptyLine(indent=False)
_SPACE, _NOTHING = cst.SimpleWhitespace(" "), cst.SimpleWhitespace("")


def class_instead(view: SourceView, plan: ToolPlan, function: cst.FunctionDef, call: cst.Call) -> cst.ClassDef:
    """The class whose `run` has the body of the function.

    Args:
        view: The file.
        plan: What was decided.
        function: The function, in which all else is rewritten already.
        call: The call of the decorator, likewise.
    """
    docstring, body = _split(function.body)
    run = function.with_changes(
        decorators=[],
        leading_lines=[_BLANK],
        lines_after_decorators=[],
        name=cst.Name("run"),
        params=_with_self(function),
        returns=_returns(plan, function),
        body=body,
    )
    decorator = function.decorators[0]
    comments = _comments(decorator, call)
    block = function.body if isinstance(function.body, cst.IndentedBlock) else None
    return _class(
        plan,
        head=[docstring] if docstring is not None else [],
        attributes=_attributes(plan, call, comments),
        methods=[*_is_ready(view, plan), run],
        leading_lines=[*function.leading_lines, *decorator.leading_lines, *function.lines_after_decorators],
        indent=block.indent if block is not None else None,
    )


def class_beside(
    view: SourceView, plan: ToolPlan, call: cst.Call, leading_lines: Sequence[cst.EmptyLine]
) -> cst.ClassDef:
    """The class whose `run` calls the function, which stays as it is."""
    function = plan.function
    is_async = function.asynchronous is not None
    arguments = [
        cst.Arg(cst.Name(param.name.value)) for param in (*function.params.posonly_params, *function.params.params)
    ]
    arguments += [
        cst.Arg(
            cst.Name(param.name.value), keyword=cst.Name(param.name.value), equal=cst.AssignEqual(_NOTHING, _NOTHING)
        )
        for param in function.params.kwonly_params
    ]
    called: cst.BaseExpression = cst.Call(cst.Name(function.name.value), arguments)
    if is_async:
        called = cst.Await(called)
    block = function.body if isinstance(function.body, cst.IndentedBlock) else None
    run = cst.FunctionDef(
        name=cst.Name("run"),
        params=_with_self(function).deep_clone(),
        body=cst.IndentedBlock([_line(cst.Return(called))], indent=block.indent if block is not None else None),
        asynchronous=cst.Asynchronous() if is_async else None,
        returns=_returns(plan, function),
        leading_lines=[_BLANK],
        whitespace_before_params=function.whitespace_before_params,
    )
    doc = [_line(_assign("__doc__", cst.parse_expression(f"{function.name.value}.__doc__")))]
    return _class(
        plan,
        head=doc if has_docstring(function.body) else [],
        attributes=_attributes(plan, call, []),
        methods=[*_is_ready(view, plan), run],
        leading_lines=leading_lines,
        indent=block.indent if block is not None else None,
    )


def without_decorator(function: cst.FunctionDef) -> cst.FunctionDef:
    """The function without its first decorator."""
    first, *others = function.decorators
    lines = [*function.leading_lines, *first.leading_lines]
    if others:
        return function.with_changes(decorators=others, leading_lines=lines)
    return function.with_changes(
        decorators=[], leading_lines=[*lines, *function.lines_after_decorators], lines_after_decorators=[]
    )


def _class(
    plan: ToolPlan,
    *,
    head: Sequence[cst.BaseStatement],
    attributes: list[cst.BaseStatement],
    methods: Sequence[cst.FunctionDef],
    leading_lines: Sequence[cst.EmptyLine],
    indent: str | None,
) -> cst.ClassDef:
    if head:
        first = attributes[0]
        assert isinstance(first, cst.SimpleStatementLine)  # noqa: S101 - for the type checker
        attributes[0] = first.with_changes(leading_lines=[_BLANK, *first.leading_lines])
    return cst.ClassDef(
        name=cst.Name(plan.class_name),
        bases=[cst.Arg(cst.Name("LambdaTool"))],
        lpar=cst.LeftParen(),
        rpar=cst.RightParen(),
        body=cst.IndentedBlock([*head, *attributes, *methods], indent=indent),
        leading_lines=leading_lines,
    )


def _attributes(plan: ToolPlan, call: cst.Call, comments: Sequence[cst.EmptyLine]) -> list[cst.BaseStatement]:
    lines = [] if plan.name is None else [_line(_assign("name", cst.SimpleString(f'"{plan.name}"')))]
    lines.append(_line(_assign("path", plan.path)))
    options = _options(call)
    if plan.on_thread:
        given = options if isinstance(options, cst.Call) else cst.Call(cst.Name("ToolOptions"))
        options = with_argument(given, "executor", '"thread"')
    if options is not None:
        lines.append(_line(_assign("options", options)))
    lines[0] = lines[0].with_changes(leading_lines=comments)
    return list(lines)


class _Dedented(cst.CSTTransformer):
    """Takes an indentation off the lines on which an expression goes on."""

    def __init__(self, indent: str) -> None:
        super().__init__()
        self._indent = indent

    def leave_ParenthesizedWhitespace(
        self, original_node: cst.ParenthesizedWhitespace, updated_node: cst.ParenthesizedWhitespace
    ) -> cst.ParenthesizedWhitespace:
        return updated_node.with_changes(
            last_line=self._less(updated_node.last_line),
            empty_lines=[
                line.with_changes(whitespace=self._less(line.whitespace)) for line in updated_node.empty_lines
            ],
        )

    def _less(self, space: cst.SimpleWhitespace) -> cst.SimpleWhitespace:
        return space.with_changes(value=space.value.removeprefix(self._indent))


def _indent_of(call: cst.Call, at: int) -> str:
    """How far the argument is indented, if it begins a line."""
    before = call.args[at - 1].comma if at else None
    space = before.whitespace_after if isinstance(before, cst.Comma) else call.whitespace_before_args
    return space.last_line.value if isinstance(space, cst.ParenthesizedWhitespace) else ""


def _options(call: cst.Call) -> cst.BaseExpression | None:
    given = (
        (at, argument.value)
        for at, argument in enumerate(call.args)
        if argument.keyword is not None and argument.keyword.value == "opts"
    )
    at, options = next(given, (0, None))
    if options is None or (isinstance(options, cst.Name) and options.value == "None"):
        return None
    dedented = options.visit(_Dedented(_indent_of(call, at)))
    return dedented if isinstance(dedented, cst.BaseExpression) else options


def _is_ready(view: SourceView, plan: ToolPlan) -> list[cst.FunctionDef]:
    if plan.is_ready is None:
        return []
    asked = plan.is_ready
    if not isinstance(asked, cst.Name | cst.Attribute):
        asked = asked.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    called: cst.BaseExpression = cst.Call(asked)
    function = view.function(plan.is_ready)
    is_async = function is not None and function.asynchronous is not None
    if is_async:
        called = cst.Await(called)
    return [
        cst.FunctionDef(
            name=cst.Name("is_ready"),
            params=cst.Parameters([cst.Param(cst.Name("self"))]),
            returns=cst.Annotation(cst.Name("bool")),
            body=cst.IndentedBlock([_line(cst.Return(called))]),
            asynchronous=cst.Asynchronous() if is_async else None,
            leading_lines=[_BLANK],
        )
    ]


def _with_self(function: cst.FunctionDef) -> cst.Parameters:
    params = function.params
    between = function.whitespace_before_params
    is_one_line = not isinstance(between, cst.ParenthesizedWhitespace)
    comma = cst.Comma(whitespace_after=_SPACE if is_one_line else between)
    has_others = params.posonly_params or params.params or params.kwonly_params or params.star_arg
    this = cst.Param(cst.Name("self"), comma=comma if has_others else cst.MaybeSentinel.DEFAULT)
    if params.posonly_params:
        return params.with_changes(posonly_params=[this, *params.posonly_params])
    return params.with_changes(params=[this, *params.params])


def _returns(plan: ToolPlan, function: cst.FunctionDef) -> cst.Annotation | None:
    return cst.Annotation(cst.Name(plan.returns)) if plan.returns is not None else function.returns


def _split(body: cst.BaseSuite) -> tuple[cst.BaseStatement | None, cst.BaseSuite]:
    """The docstring and the rest of a function's body."""
    if not has_docstring(body):
        return None, body
    first, *others = body.body
    if not isinstance(body, cst.IndentedBlock) or not isinstance(first, cst.SimpleStatementLine):
        docstring = first if isinstance(first, cst.BaseSmallStatement) else cst.Pass()
        rest = [part for part in others if isinstance(part, cst.BaseSmallStatement)] or [cst.Pass()]
        last = rest[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
        return (
            cst.SimpleStatementLine([docstring.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]),
            body.with_changes(body=[*rest[:-1], last]),
        )
    statements: list[cst.BaseStatement] = [other for other in others if isinstance(other, cst.BaseStatement)]
    docstring_line = first
    if len(first.body) > 1:  # more statements on the line of the docstring
        docstring_line = cst.SimpleStatementLine(
            [first.body[0].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)], leading_lines=first.leading_lines
        )
        statements.insert(0, first.with_changes(body=first.body[1:], leading_lines=[]))
    if not statements:
        statements = [_line(cst.Pass())]
    statements[0] = _without_blank_lines(statements[0])
    return docstring_line, body.with_changes(body=statements)


def _without_blank_lines(statement: cst.BaseStatement) -> cst.BaseStatement:
    lines = list(getattr(statement, "leading_lines", ()))
    while lines and lines[0].comment is None:
        del lines[0]
    return statement.with_changes(leading_lines=lines)


def _comments(decorator: cst.Decorator, call: cst.Call) -> list[cst.EmptyLine]:
    """The comments in a decorator that do not go on with its options."""
    given = [a.value for a in call.args if a.keyword is not None and a.keyword.value == "opts"]
    elsewhere = [*given, *decorator.leading_lines]
    kept = {found for node in elsewhere for found in m.findall(node, m.Comment())}
    comments = [found for found in m.findall(decorator, m.Comment()) if found not in kept]
    return [cst.EmptyLine(comment=comment) for comment in comments if isinstance(comment, cst.Comment)]


def _line(statement: cst.BaseSmallStatement) -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([statement])


def _assign(name: str, value: cst.BaseExpression) -> cst.Assign:
    return cst.Assign([cst.AssignTarget(cst.Name(name))], value)
