"""``fastapi.Request`` parameters: whether `RequestInfo` has all that is used of them, and what changes."""

import libcst as cst

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.old_names import REQUESTS
from lambda_kit.cli.migration.source_view import SourceView, text_of
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.request_info import KeptFields

__all__ = ["RequestParameters", "parameters_of"]

_ALIKE = frozenset({"method", "url", "headers"})
_REMEDIES = {
    "client": "RequestInfo.client is a pair, (address, port)",
    "query_params": "parse RequestInfo.url",
    "path_params": "a tool's path has none",
    "cookies": "cookies are not kept; use litestar.Request",
    "body": "the request is the tool's first parameter",
    "json": "the request is the tool's first parameter",
}


def parameters_of(function: cst.FunctionDef) -> list[cst.Param]:
    """All named parameters of a function, in order."""
    params = function.params
    return [*params.posonly_params, *params.params, *params.kwonly_params]


class RequestParameters:
    """Follows ``fastapi.Request`` parameters through the functions of a file.

    Args:
        view: The file.
        findings: Where to say what `RequestInfo` has not.
    """

    def __init__(self, view: SourceView, findings: Findings) -> None:
        self._view = view
        self._findings = findings
        self.followed: set[cst.Param] = set()
        """The parameters that become `RequestInfo`."""
        self.keep_headers: set[str] = set()
        """Header fields that are read and have to be named in ``ToolServer(keep_headers=...)``."""
        self.keys: dict[cst.SimpleString, str] = {}
        """Names of header fields in the source that have to be in lower case."""

    def is_request(self, parameter: cst.Param) -> bool:
        """Whether a parameter is annotated with ``fastapi.Request``."""
        return not REQUESTS.isdisjoint(self._view.annotated(parameter.annotation))

    def follow(self, function: cst.FunctionDef, parameter: cst.Param) -> None:
        """Look at all uses of a parameter, and of those that it is handed on to."""
        if parameter in self.followed:
            return
        self.followed.add(parameter)
        uses = _NamedUses(parameter.name.value)
        function.body.visit(uses)
        for use in uses.found:
            self._use(use)

    def _use(self, use: cst.Name) -> None:
        parent = self._view.parent(use)
        if isinstance(parent, cst.Attribute) and parent.value is use:
            self._attribute(use.value, parent)
        elif not (isinstance(parent, cst.Arg) and self._hand_on(parent)):
            self._refuse(use, f"{use.value} is used as a whole, and what is read of it can't be seen")

    def _attribute(self, name: str, attribute: cst.Attribute) -> None:
        attr = attribute.attr.value
        above = self._view.parent(attribute)
        deeper = above.attr.value if isinstance(above, cst.Attribute) and above.value is attribute else None
        if attr not in _ALIKE:
            hint = f" ({_REMEDIES[attr]})" if attr in _REMEDIES else ""
            self._refuse(attribute, f"{name}.{attr}: RequestInfo has method, url, headers and client{hint}")
        elif attr == "url" and deeper is not None:
            self._refuse(attribute, f"{name}.url.{deeper}: RequestInfo.url is a string; use urllib.parse.urlsplit")
        elif attr == "headers":
            self._headers(attribute, above, deeper)

    def _headers(self, headers: cst.Attribute, above: cst.CSTNode | None, method: str | None) -> None:
        key: cst.BaseExpression | None = None
        if isinstance(above, cst.Subscript) and above.value is headers:
            index = above.slice[0].slice
            key = index.value if isinstance(index, cst.Index) else None
        elif method == "get" and above is not None and isinstance(call := self._view.parent(above), cst.Call):
            key = call.args[0].value if call.args else None
        elif method in ("items", "keys", "values", None):
            self._findings.warning(
                self._view.line(headers),
                "headers: RequestInfo has those header fields that are kept (docs/wire.md, What is kept of a request), "
                "not Authorization and Cookie",
            )
            return
        else:
            self._refuse(headers, f"headers.{method}: RequestInfo.headers is a dict")
            return
        self._key(headers, key)

    def _key(self, headers: cst.Attribute, key: cst.BaseExpression | None) -> None:
        name = text_of(key)
        if name is None or not isinstance(key, cst.SimpleString):
            self._refuse(headers, "headers: RequestInfo.headers has its names in lower case, and this one is computed")
            return
        lower = name.lower()
        try:
            KeptFields([lower])
        except ConfigurationError:
            self._refuse(key, f"header {name} is a credential: use job_authorization of the JobContext")
            return
        if not KeptFields().of([(lower.encode(), b"")]):
            self.keep_headers.add(lower)
        if lower != name:
            self.keys[key] = lower

    def _hand_on(self, argument: cst.Arg) -> bool:
        """Follow the parameter into a function of this file; False: it goes elsewhere."""
        call = self._view.parent(argument)
        function = self._view.function(call.func) if isinstance(call, cst.Call) else None
        if not isinstance(call, cst.Call) or function is None or argument.star:
            return False
        parameter = _receiving(call, argument, function, is_method=isinstance(call.func, cst.Attribute))
        if parameter is None or not self.is_request(parameter):
            return False
        self.follow(function, parameter)
        return True

    def _refuse(self, node: cst.CSTNode, text: str) -> None:
        self._findings.error(self._view.line(node), text)


def _receiving(call: cst.Call, argument: cst.Arg, function: cst.FunctionDef, *, is_method: bool) -> cst.Param | None:
    parameters = parameters_of(function)
    if argument.keyword is not None:
        return next((p for p in parameters if p.name.value == argument.keyword.value), None)
    decorators = {getattr(d.decorator, "value", None) for d in function.decorators}
    position = list(call.args).index(argument) + (1 if is_method and "classmethod" in decorators else 0)
    return parameters[position] if position < len(parameters) else None


class _NamedUses(cst.CSTVisitor):
    """Where a function's parameter is read."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.found: list[cst.Name] = []

    def visit_Name(self, node: cst.Name) -> None:
        if node.value == self._name:
            self.found.append(node)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)  # not the name behind the dot
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)  # not the keyword
        return False
