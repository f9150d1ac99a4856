"""What a function must be like to become ``run`` of a class, and when it stays a function beside it."""

import keyword

import libcst as cst
import libcst.matchers as m

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.old_names import old_name
from lambda_kit.cli.migration.registrations import Registration
from lambda_kit.cli.migration.request_parameters import RequestParameters, parameters_of
from lambda_kit.cli.migration.source_view import SourceView, text_of

__all__ = ["class_name_of", "refuse_parameters", "why_kept", "without_return"]

_CONTEXTS = frozenset({"ivcap_service.JobContext", "ivcap_service.types.JobContext", "lambda_kit.JobContext"})
_CLASS_ATTRIBUTES = frozenset({"name", "path", "options", "run", "is_ready"})


def class_name_of(view: SourceView, function_name: str, taken: set[str]) -> str:
    """A name for the class that a function becomes, that nothing in the file has."""
    words = [word for word in function_name.split("_") if word]
    name = "".join(word[0].upper() + word[1:] for word in words) or "Tool"
    if not name.isidentifier():  # such as that of _1
        name = f"Tool{name}"
    while name in taken or name == function_name or keyword.iskeyword(name) or name in view.names:
        name += "Tool"
    return name


def refuse_parameters(
    view: SourceView, function: cst.FunctionDef, requests: RequestParameters, findings: Findings
) -> None:
    """Say which parameters nothing can supply, and that a generator is no tool."""
    name, params = function.name.value, function.params
    for star in (params.star_arg, params.star_kwarg):
        if isinstance(star, cst.Param):
            findings.error(view.line(star), f"{name}: nothing can supply '*{star.name.value}': remove it")
    supplied = 0
    for parameter in parameters_of(function):
        if parameter.annotation is None:
            findings.error(view.line(parameter), f"{name}: parameter '{parameter.name.value}' has no annotation")
            continue
        clashes = _class_names_in(parameter)
        if clashes:
            findings.error(
                view.line(parameter),
                f"{name}: parameter '{parameter.name.value}' uses the module's '{clashes[0]}', which in a class is its "
                "own attribute: rename it",
            )
        is_injected = requests.is_request(parameter) or _is_context(view, parameter)
        supplied += not is_injected
    if supplied > 1:
        findings.error(view.line(function), f"{name} has {supplied} parameters that may be the request: a tool has one")
    if _yields(function):
        findings.error(view.line(function), f"{name} is a generator: a tool returns one result")


def _is_context(view: SourceView, parameter: cst.Param) -> bool:
    names = view.annotated(parameter.annotation)
    return not _CONTEXTS.isdisjoint(names) or old_name(names) == "JobContext"


def _class_names_in(parameter: cst.Param) -> list[str]:
    nodes = [part for part in (parameter.annotation, parameter.default) if part is not None]
    names = [found.value for node in nodes for found in m.findall(node, m.Name()) if isinstance(found, cst.Name)]
    return [name for name in names if name in _CLASS_ATTRIBUTES]


class _OwnBody(cst.CSTVisitor):
    """The yields and returns of a function, without those of the functions in it."""

    def __init__(self) -> None:
        super().__init__()
        self.yields = False
        self.returned: list[cst.BaseExpression | None] = []
        self.values: dict[str, cst.BaseExpression | None] = {}
        """What a variable is; None: one thing, then another."""

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return False

    def visit_Yield(self, node: cst.Yield) -> None:
        self.yields = True

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name):
                name = target.target.value
                self.values[name] = None if name in self.values else node.value

    def visit_Return(self, node: cst.Return) -> None:
        self.returned.append(node.value)


def _own_body(function: cst.FunctionDef) -> _OwnBody:
    body = _OwnBody()
    function.body.visit(body)
    return body


def _yields(function: cst.FunctionDef) -> bool:
    return _own_body(function).yields


def without_return(view: SourceView, function: cst.FunctionDef, findings: Findings) -> str | None:
    """The return annotation for a function that has none: the class that it returns, else ``Any``."""
    if function.returns is not None:
        names = [found.value for found in m.findall(function.returns, m.Name()) if isinstance(found, cst.Name)]
        if not _CLASS_ATTRIBUTES.isdisjoint(names):
            findings.error(
                view.line(function), f"{function.name.value}: the return annotation uses a name that a class has"
            )
        return None
    body = _own_body(function)
    made = {
        _class_made(view, body.values.get(value.value) if isinstance(value, cst.Name) else value)
        for value in body.returned
    }
    name = next(iter(made)) if len(made) == 1 else None
    returns = name or "Any"
    findings.note(
        view.line(function),
        f"{function.name.value} has no return annotation, which a class needs: '-> {returns}' is written",
    )
    return returns


def _class_made(view: SourceView, value: cst.BaseExpression | None) -> str | None:
    if not isinstance(value, cst.Call) or not isinstance(value.func, cst.Name):
        return None
    name = value.func.value
    return name if view.defined_class(name) is not None else None


def why_kept(view: SourceView, registration: Registration, importers: list[str]) -> str | None:
    """Why a function must stay as it is beside its class. None: it can become `run`."""
    function = registration.function
    name = function.name.value
    if registration.decorator is None:
        return "it is registered by add_tool_api_route"
    if len(function.decorators) > 1:
        return "another decorator is made for a function, not for a method"
    own = {registration.decorator}
    used = [view.line(node) for node in view.uses(name) if own.isdisjoint({node, *view.parents(node)})]
    if used:
        return f"it is used in line {', '.join(map(str, sorted(set(used))))}"
    if importers:
        return f"it is imported in {', '.join(importers)}"
    if _is_exported(view, name):
        return "it is in __all__"
    inside = {found.value for found in m.findall(function, m.Name()) if isinstance(found, cst.Name)}
    if "self" in inside:
        return "it has a 'self' of its own"
    if any(found.startswith("__") and not found.endswith("__") for found in inside):
        return "in a class, names that begin with '__' mean something else"
    return None


def _is_exported(view: SourceView, name: str) -> bool:
    target = m.Assign(targets=[m.ZeroOrMore(), m.AssignTarget(m.Name("__all__")), m.ZeroOrMore()])
    for assigned in m.findall(view.module, target):
        if any(
            text_of(node) == name
            for node in m.findall(assigned, m.SimpleString())
            if isinstance(node, cst.SimpleString)
        ):
            return True
    return False
