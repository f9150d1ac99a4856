"""Every use of a name of ivcap-lambda in a file, and what becomes of it."""

from collections import defaultdict

import libcst as cst

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.imports import Wanted
from lambda_kit.cli.migration.old_names import DECORATORS, HOMES, STARTERS, remedy
from lambda_kit.cli.migration.registrations import Registration
from lambda_kit.cli.migration.source_view import SourceView
from lambda_kit.cli.migration.tool_options import OptionsReader

__all__ = ["References"]

_BATCH_STARTERS = frozenset({"ivcap_service.start_batch_service", "ivcap_service.service.start_batch_service"})
_SERVICE_MEMBERS = frozenset({"name", "version", "contact", "license", "description"})


class References(cst.CSTVisitor):
    """Collects the uses of old names; those that have no counterpart become errors.

    Args:
        view: The file.
        options: Reads the calls of ``ToolOptions`` and ``ExecutorOpts``.
        findings: Where to say what can't be migrated.
    """

    def __init__(self, view: SourceView, options: OptionsReader, findings: Findings) -> None:
        super().__init__()
        self._view = view
        self._options = options
        self._findings = findings
        self._loose: list[tuple[cst.CSTNode, str]] = []
        self.starts: list[cst.Call] = []
        self.renamed: dict[cst.Attribute, str] = {}
        """Attributes of a module, such as ``il.ToolOptions``, and the name that is imported instead."""
        self.wanted: Wanted = defaultdict(set)
        self.service_calls: list[cst.Call] = []

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        if self._look(node):
            return False
        node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self._look(node)

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)  # not its keyword
        return False

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Name) and "ivcap_service.Service" in self._view.imported(node.func):
            self.service_calls.append(node)
        if not _BATCH_STARTERS.isdisjoint(self._view.imported(node.func)):
            self._findings.error(
                self._view.line(node),
                "start_batch_service can't be migrated here: write a class whose run() calls the worker, and start it "
                "by ToolServer(service, tools=[...]).serve(batch=True)",
            )

    def _look(self, node: cst.Name | cst.Attribute) -> bool:
        name = self._view.old(node)
        if name is None or "." in name:
            return False
        if name == "" and isinstance(node, cst.Attribute):
            return False  # a module on the way to one of its names, or by itself: then its name is looked at next
        parent = self._view.parent(node)
        call = parent if isinstance(parent, cst.Call) and parent.func is node else None
        if name in HOMES:
            if call is not None and name in ("ToolOptions", "ExecutorOpts"):
                self._options.read(call, name)
            if HOMES[name].startswith("lambda_kit.compat"):
                self._findings.note(
                    self._view.line(node),
                    f"{name} comes from lambda_kit.compat still: hand the JobContext of run() on to where it is needed",
                )
            if isinstance(node, cst.Attribute):
                self.renamed[node] = name
                self.wanted[HOMES[name]].add((name, None))
        elif name in STARTERS and call is not None:
            self.starts.append(call)
        else:
            self._loose.append((node, name))
        return True

    def refuse_loose(self, registrations: list[Registration]) -> None:
        """Refuse the uses that no tool is made of."""
        known = set()
        for found in registrations:
            known.add(found.call.func)
            if found.decorator is None and isinstance(app := found.call.args[0].value, cst.Call):
                known.add(app.func)
        for node, name in self._loose:
            if node in known or self._is_decorator(node, name):
                continue
            shown = name or getattr(node, "value", "")
            self._findings.error(self._view.line(node), f"{shown} can't be migrated here: {remedy(name)}")

    def _is_decorator(self, node: cst.CSTNode, name: str) -> bool:
        """Whether this is a decorator that was refused already, with the reason."""
        parent = self._view.parent(node)
        return (
            name in DECORATORS and isinstance(parent, cst.Call) and isinstance(self._view.parent(parent), cst.Decorator)
        )

    def service_arguments(self) -> dict[cst.Call, dict[str, str | None]]:
        """What to do about arguments of ``Service`` that lambda_kit refuses: another name, or None to drop it."""
        edits: dict[cst.Call, dict[str, str | None]] = {}
        for call in self.service_calls:
            names = {a.keyword.value for a in call.args if a.keyword is not None}
            for name in sorted(names - _SERVICE_MEMBERS):
                becomes = "license" if name == "license_info" and "license" not in names else None
                said = f"is written as {becomes}=" if becomes else "is dropped"
                self._findings.note(
                    self._view.line(call),
                    f"Service({name}=...) {said}: ivcap-service has no such member and ignores it",
                )
                edits.setdefault(call, {})[name] = becomes
        return edits
