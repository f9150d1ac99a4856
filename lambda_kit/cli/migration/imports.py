"""The import lines: what of them goes, and what comes from lambda_kit."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import libcst as cst
from libcst.helpers import get_full_name_for_node

from lambda_kit.cli.migration.findings import Findings
from lambda_kit.cli.migration.old_names import DECORATORS, HOMES, SERVICE_NAMES, STARTERS, is_old_module, old_name
from lambda_kit.cli.migration.source_view import SourceView

__all__ = ["ImportEdits", "import_lines", "read_imports"]

_MAX_COLUMNS = 100

Wanted = dict[str, set[tuple[str, str | None]]]
"""By module: names, and the name in the file where it is another one."""


@dataclass(slots=True)
class ImportEdits:
    """What becomes of the lines with imports."""

    lines: dict[cst.SimpleStatementLine, list[cst.BaseSmallStatement]] = field(default_factory=dict)
    """What is left of a line."""
    wanted_in: dict[cst.SimpleStatementLine, Wanted] = field(default_factory=dict)
    """What is imported from elsewhere in place of what went, after what is left of the line."""


class _Reader(cst.CSTVisitor):
    def __init__(self, view: SourceView, findings: Findings, gone: frozenset[str]) -> None:
        super().__init__()
        self._view = view
        self._findings = findings
        self._gone = gone
        self.edits = ImportEdits()
        self.old_lines: list[cst.SimpleStatementLine] = []
        self.service_lines: list[cst.SimpleStatementLine] = []

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:
        if not any(isinstance(part, cst.Import | cst.ImportFrom) for part in node.body):
            return False
        wanted: Wanted = defaultdict(set)
        left: list[cst.BaseSmallStatement] = []
        before = len(self.old_lines) + len(self.service_lines)
        has_changed = False
        for part in node.body:
            kept = self._kept(node, part, wanted)
            has_changed = has_changed or kept is not part
            if kept is not None:
                left.append(kept)
        if has_changed or len(self.old_lines) + len(self.service_lines) > before:
            self.edits.lines[node] = left
            self.edits.wanted_in[node] = wanted
        return False

    def _kept(
        self, line: cst.SimpleStatementLine, part: cst.BaseSmallStatement, wanted: Wanted
    ) -> cst.BaseSmallStatement | None:
        if isinstance(part, cst.Import):
            return self._import(line, part)
        if not isinstance(part, cst.ImportFrom) or part.relative or part.module is None:
            return part
        module = get_full_name_for_node(part.module) or ""
        if is_old_module(module):
            self.old_lines.append(line)
            self._from_old(module, part, wanted)
            return None
        if isinstance(part.names, cst.ImportStar):
            return part
        if module == "ivcap_service":
            return self._without(line, part, SERVICE_NAMES, wanted)
        moved = frozenset(_name(alias) for alias in part.names if f"{module}.{_name(alias)}" in self._gone)
        return self._without(None, part, moved, defaultdict(set)) if moved else part

    def _import(self, line: cst.SimpleStatementLine, part: cst.Import) -> cst.BaseSmallStatement | None:
        kept = [alias for alias in part.names if not is_old_module(_name(alias))]
        if len(kept) == len(part.names):
            return part
        self.old_lines.append(line)
        return part.with_changes(names=_ended(kept)) if kept else None

    def _from_old(self, module: str, part: cst.ImportFrom, wanted: Wanted) -> None:
        if isinstance(part.names, cst.ImportStar):
            self._findings.error(
                self._view.line(part), f"'from {module} import *' hides which names are meant: name them"
            )
            return
        for alias in part.names:
            name = old_name([f"{module}.{_name(alias)}"]) or ""
            if name in HOMES:
                wanted[HOMES[name]].add((name, _local(alias)))
            elif name in DECORATORS and self._view.owner(part) is not None:
                wanted["lambda_kit"].add(("LambdaTool", None))
            elif name in STARTERS and self._view.owner(part) is not None:
                wanted["lambda_kit"].add(("ToolServer", None))

    def _without(
        self, line: cst.SimpleStatementLine | None, part: cst.ImportFrom, moved: frozenset[str], wanted: Wanted
    ) -> cst.BaseSmallStatement | None:
        assert not isinstance(part.names, cst.ImportStar)  # noqa: S101 - for the type checker
        taken = [alias for alias in part.names if _name(alias) in moved]
        if not taken:
            return part
        if line is not None:
            self.service_lines.append(line)
        for alias in taken:
            wanted["lambda_kit"].add((_name(alias), _local(alias)))
        kept = [alias for alias in part.names if alias not in taken]
        if not kept:
            return None
        return part.with_changes(names=_ended(kept, comma=part.names[-1].comma))


def _ended(
    aliases: list[cst.ImportAlias], comma: cst.Comma | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
) -> list[cst.ImportAlias]:
    return [*aliases[:-1], aliases[-1].with_changes(comma=comma)]


def _name(alias: cst.ImportAlias) -> str:
    return alias.evaluated_name


def _local(alias: cst.ImportAlias) -> str | None:
    return alias.evaluated_alias if alias.evaluated_alias != alias.evaluated_name else None


def read_imports(view: SourceView, findings: Findings, gone: frozenset[str], wanted: Wanted) -> ImportEdits:
    """What becomes of the imports of a file.

    Args:
        view: The file.
        findings: Where to say what can't be migrated.
        gone: Qualified names, such as ``fastapi.Request``, that nothing uses any more.
        wanted: What the migrated file needs beside what it imports already.
    """
    reader = _Reader(view, findings, gone)
    view.module.visit(reader)
    edits = reader.edits
    lines = sorted(reader.old_lines + reader.service_lines, key=view.place)  # the first one, for what is used next
    top = [line for line in lines if view.parent(line) is view.module]
    anchors = top[:1] or [line for line in lines if view.owner(line) is None]
    if not anchors and any(wanted.values()):
        findings.error(1, "ivcap-lambda is imported in a function only: import it at the level of the module")
        return edits
    for line in top:  # one import of lambda_kit is enough
        if line is not anchors[0]:
            _merge(edits.wanted_in[anchors[0]], edits.wanted_in[line])
            edits.wanted_in[line] = {}
    for line in anchors:
        _merge(edits.wanted_in[line], wanted)
    return edits


def _merge(into: Wanted, other: Wanted) -> None:
    for module, names in other.items():
        into.setdefault(module, set()).update(names)


def import_lines(wanted: Wanted, indent: str) -> list[cst.SimpleStatementLine]:
    """Import statements in order, each on a line, or on several in parentheses where it would be long."""
    return [_import_line(module, names, indent) for module, names in sorted(wanted.items()) if names]


def _import_line(module: str, names: Iterable[tuple[str, str | None]], indent: str) -> cst.SimpleStatementLine:
    shown = [f"{name} as {local}" if local else name for name, local in sorted(names, key=lambda pair: pair[0])]
    text = f"from {module} import {', '.join(shown)}"
    if len(text) > _MAX_COLUMNS:
        text = f"from {module} import (\n" + "".join(f"{indent}{one},\n" for one in shown) + ")"
    line = cst.parse_statement(text)
    assert isinstance(line, cst.SimpleStatementLine)  # noqa: S101 - for the type checker
    return line
