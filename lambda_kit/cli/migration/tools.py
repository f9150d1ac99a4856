"""Finds the decorated functions of a file and decides what becomes of each."""

from dataclasses import dataclass

import libcst as cst

from lambda_kit.cli.migration.blocking import find_blocking, long_loops
from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.function_checks import (
    class_name_of,
    refuse_parameters,
    why_kept,
    without_return,
)
from lambda_kit.cli.migration.old_names import DECORATORS
from lambda_kit.cli.migration.project import Project
from lambda_kit.cli.migration.registrations import Registration, find_registrations
from lambda_kit.cli.migration.request_parameters import RequestParameters, parameters_of
from lambda_kit.cli.migration.source_view import SourceView, text_of
from lambda_kit.cli.migration.tool_options import OptionsReader
from lambda_kit.core.tools.default_name import default_name

__all__ = ["ToolPlan", "plan_tools"]


@dataclass(slots=True)
class ToolPlan:
    """What becomes of one tool."""

    registration: Registration
    class_name: str
    name: str | None
    """The tool's id. None: that which the class has by its name."""
    path: cst.BaseExpression
    options: cst.BaseExpression | None
    returns: str | None
    """The return annotation to be written. None: that of the function."""
    is_ready: cst.BaseExpression | None
    on_thread: bool
    """Whether ``executor="thread"`` is written."""
    keeps_function: bool
    """Whether the function stays, and `run` calls it."""

    @property
    def function(self) -> cst.FunctionDef:
        """The function that the tool is made of."""
        return self.registration.function


class _Planner:
    def __init__(
        self,
        view: SourceView,
        project: Project,
        options: OptionsReader,
        requests: RequestParameters,
        findings: Findings,
    ) -> None:
        self._view = view
        self._project = project
        self._options = options
        self._requests = requests
        self._findings = findings
        self._class_names: set[str] = set()
        self._tool_names: set[str] = set()

    def plan(self, registration: Registration) -> ToolPlan:
        view, findings, function = self._view, self._findings, registration.function
        line, name = view.line(function), function.name.value
        refuse_parameters(view, function, self._requests, findings)
        for parameter in parameters_of(function):
            if self._requests.is_request(parameter):
                self._requests.follow(function, parameter)
        class_name = class_name_of(view, name, self._class_names)
        self._class_names.add(class_name)
        importers = self._project.importers(name)
        kept = why_kept(view, registration, importers)
        if kept is not None:
            findings.note(line, f"{name} stays a function, which {class_name}.run calls: {kept}")
        return ToolPlan(
            registration=registration,
            class_name=class_name,
            name=self._tool_name(function, class_name),
            path=self._path(registration),
            options=registration.options,
            returns=without_return(view, function, findings),
            is_ready=self._is_ready(registration.options),
            on_thread=self._on_thread(registration),
            keeps_function=kept is not None,
        )

    def _tool_name(self, function: cst.FunctionDef, class_name: str) -> str | None:
        name = function.name.value
        n = 2
        while name in self._tool_names:
            name, n = f"{function.name.value}_{n}", n + 1
        self._tool_names.add(name)
        if name != function.name.value:
            self._findings.note(
                self._view.line(function), f"a second tool of the name {function.name.value} is called {name}"
            )
        return None if name == default_name(class_name, "_") else name

    def _path(self, registration: Registration) -> cst.BaseExpression:
        path, text = registration.path, text_of(registration.path)
        line = self._view.line(path)
        if text is not None and not text.startswith("/"):
            self._findings.error(line, f"path {text!r} does not begin with '/'")
        elif text is not None and "{" in text:
            self._findings.error(line, f"path {text!r} has a parameter: make it a field of the request")
        elif text is not None and len(text) > 1 and text.endswith("/"):
            self._findings.note(line, f"path {text!r} is written without the '/' at its end")
            return cst.SimpleString(f'"{text.rstrip("/")}"')
        return path

    def _is_ready(self, options: cst.BaseExpression | None) -> cst.BaseExpression | None:
        call = self._call(options)
        return self._options.calls[call].is_ready if call is not None else None

    def _call(self, options: cst.BaseExpression | None) -> cst.Call | None:
        """The call of ``ToolOptions`` that a tool's options come from, if it is in this file."""
        if isinstance(options, cst.Call):
            return options if options in self._options.calls else None
        if not isinstance(options, cst.Name):
            return None
        for assigned in self._view.globals[options.value]:
            node = getattr(assigned, "node", None)
            above = self._view.parent(node) if isinstance(node, cst.CSTNode) else None
            while above is not None and not isinstance(above, cst.Assign | cst.AnnAssign):
                above = self._view.parent(above)
            value = above.value if above is not None else None
            if isinstance(value, cst.Call) and value in self._options.calls:
                self._options.refuse_changes(options.value)
                return value
        self._findings.warning(self._view.line(options), f"{options.value} must be a ToolOptions of lambda_kit")
        return None

    def _on_thread(self, registration: Registration) -> bool:
        function, findings = registration.function, self._findings
        if function.asynchronous is None:
            return False
        line, name = self._view.line(function), function.name.value
        found = find_blocking(self._view, function, self._project.function)
        if found is None:
            for loop in long_loops(self._view, function):
                findings.warning(
                    loop,
                    f"{name}: this loop awaits nothing; if it takes long it holds up the event loop, and with it every "
                    'other job: then write executor="thread" into the ToolOptions',
                )
            return False
        options = registration.options
        if options is not None and not (isinstance(options, cst.Call) and options in self._options.calls):
            findings.warning(
                found.line,
                f"{name} is 'async def' and blocks ({found.reason}): write executor=\"thread\" into its ToolOptions, "
                "or it holds up every other job",
            )
            return False
        findings.warning(
            max(line, found.line),
            f"{name} is 'async def' and blocks ({found.reason}): executor=\"thread\" is written, so that it runs on a "
            "thread with a loop of its own, as before",
        )
        return True


def plan_tools(
    view: SourceView, project: Project, options: OptionsReader, requests: RequestParameters, findings: Findings
) -> list[ToolPlan]:
    """Plan a class for each function that a file registers as a tool, in their order.

    Args:
        view: The file.
        project: The files around it.
        options: Has read the calls of ``ToolOptions``.
        requests: Follows the ``fastapi.Request`` parameters.
        findings: Where to say what can't be migrated, and what is different.
    """
    planner = _Planner(view, project, options, requests, findings)
    return [planner.plan(found) for found in find_registrations(view, findings, DECORATORS)]
